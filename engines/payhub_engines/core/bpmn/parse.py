"""Reads a BPMN file: untrusted XML in, an immutable definition out."""

import hashlib

from payhub_engines.core.bpmn.draft import Draft
from payhub_engines.core.bpmn.model import DefinitionError, ErrorTrigger, EscalationTrigger, ProcessDefinition
from payhub_engines.core.bpmn.problems import Problem
from payhub_engines.core.bpmn.reader import Reader
from payhub_engines.core.bpmn.wiring import catching, connect, event_sub_processes, waiting
from payhub_engines.core.bpmn.xml import BPMN, read


def parse(xml: bytes) -> ProcessDefinition:
    """Compile the one executable process of a file.

    It takes everything that was ever deployed: a definition in the log stays usable when checks are added.
    What is deployed anew goes through ``check.parse_checked``.

    Raises:
        DefinitionError: what cannot be executed at all, at which element, and what to do.
    """
    draft = draft_of(xml)
    refuse(draft.report.problems)
    return definition_of(draft, xml)


def draft_of(xml: bytes) -> Draft:
    """Read a file as far as it can be read; what cannot be executed stands in the draft's report.

    Raises:
        DefinitionError: there is no process to read.
    """
    root = read(xml)
    processes = [node for node in root.all(BPMN + "process") if node.get("isExecutable") != "false"]
    if len(processes) != 1:
        detail = f"A file holds one executable process; this one has {len(processes)}."
        raise DefinitionError("one-process-wanted", detail, line=root.line)
    process = processes[0]
    if not process.id:
        raise DefinitionError("id-missing", "The process has no id.", line=process.line)
    draft = Draft(process.id, process, name=process.get("name") or process.id)
    Reader(root, draft).read()
    connect(draft)
    _check_starts(draft)
    return draft


def definition_of(draft: Draft, xml: bytes) -> ProcessDefinition:
    """Return what a draft without problems defines."""
    starts = [element for element in draft.inside("") if element.tag == "startEvent"]
    handlers = event_sub_processes(draft).get("", [])
    return ProcessDefinition(
        id=draft.id,
        name=draft.name,
        version=hashlib.sha256(xml).hexdigest()[:16],
        start=next((element.id for element in starts if element.trigger is None), ""),
        elements=draft.elements,
        xml=xml,
        starts=tuple(element.id for element in starts if element.trigger is not None),
        waits=waiting(handlers),
        errors=catching(handlers, ErrorTrigger),
        escalations=catching(handlers, EscalationTrigger),
        flow_targets={flow.id: flow.target for flow in draft.flows},
    )


def refuse(problems: list[Problem]) -> None:
    """Raise the first error, if there is one.

    Raises:
        DefinitionError: that error.
    """
    for problem in problems:
        if problem.is_error:
            raise DefinitionError(problem.code, problem.detail, problem.element, problem.line)


def _check_starts(draft: Draft) -> None:
    starts = [element for element in draft.inside("") if element.tag == "startEvent"]
    without_trigger = [
        element
        for element in starts
        if not any(child.name.endswith("EventDefinition") for child in draft.nodes[element.id].children)
    ]
    if not starts:
        detail = "Nothing starts the process; add a start event."
        draft.report.add(Problem("start-missing", detail, draft.id, draft.node.line))
    elif len(without_trigger) > 1:
        detail = f"A process has one start event without a trigger; this one has {len(without_trigger)}."
        draft.report.add(Problem("one-start-wanted", detail, draft.id, draft.node.line))
