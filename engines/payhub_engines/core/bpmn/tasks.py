"""Reads what activities do: jobs, scripts, called processes, loops, and the mappings of their variables."""

import re
from typing import Final

import msgspec

from payhub_engines.core.bpmn.expressions import expression_of, is_expression, value_of
from payhub_engines.core.bpmn.model import (
    Allowance,
    Called,
    JobDefinition,
    Loop,
    Mapped,
    ReturnAllowance,
    Script,
    TakeAllowance,
    Value,
)
from payhub_engines.core.bpmn.problems import Problem, Report
from payhub_engines.core.bpmn.xml import BPMN, ZEEBE, Node

RETRIES_DEFAULT: Final = 3
RETRIES_MAX: Final = 1_000_000
_RETRIES: Final = re.compile(r"[0-9]{1,7}")
TAKE_ALLOWANCE: Final = "payhub:take-allowance"
RETURN_ALLOWANCE: Final = "payhub:return-allowance"
ENGINE_TASKS: Final = frozenset({TAKE_ALLOWANCE, RETURN_ALLOWANCE})
"""Types that are no jobs: the engine does them itself, while the token passes."""
_TAKING: Final = ("limits", "member", "amount")
USER_TASK_JOB: Final = "io.camunda.zeebe:userTask"
_HEADER: Final = "io.camunda.zeebe:"
_USER_TASK_HEADERS: Final = (
    ("assignmentDefinition", "assignee"),
    ("assignmentDefinition", "candidateGroups"),
    ("assignmentDefinition", "candidateUsers"),
    ("taskSchedule", "dueDate"),
    ("taskSchedule", "followUpDate"),
)
_LISTS: Final = frozenset({"candidateGroups", "candidateUsers"})
_FORMS: Final = ("formKey", "formId", "externalReference")


def job_of(node: Node, report: Report, definition: Node | None = None) -> JobDefinition | None:
    """Read the job of a task or message event; None where it has no type, which is reported.

    Args:
        node: the task or event.
        report: takes what is wrong.
        definition: the event's message definition, which may hold the extensions instead.
    """
    task = node.extension("taskDefinition")
    if task is None and definition is not None:
        task = definition.extension("taskDefinition")
    job_type = "" if task is None else task.get("type")
    if task is None or not job_type:
        detail = "No job type; add zeebe:taskDefinition with a type that a connector serves."
        report.add(Problem("job-type-missing", detail, node.id, node.line))
        return None
    return JobDefinition(
        type=value_of(job_type, node.id, task.line, report),
        retries=_retries(task, node.id, report),
        headers=_headers(node),
    )


def allowance_of(job: JobDefinition, node: Node, report: Report) -> Allowance | None:
    """Read what a task of the engine's own takes or gives back, from its headers; None of all others."""
    if job.type not in ENGINE_TASKS:
        return None
    named = job.headers.get("part", "")
    part = expression_of(named, node.id, node.line, report) if is_expression(named) else None
    if job.type == RETURN_ALLOWANCE:
        return ReturnAllowance(part)
    for name in _TAKING:
        if not is_expression(job.headers.get(name, "")):
            detail = f"{TAKE_ALLOWANCE} needs a header {name!r} with an expression, such as ={name}."
            report.add(Problem("header-missing", detail, node.id, node.line))
    limits, member, amount = (
        expression_of(job.headers.get(name, "null"), node.id, node.line, report) for name in _TAKING
    )
    return TakeAllowance(limits, member, amount, part, job.headers.get("refusal", ""))


def user_task_of(node: Node, report: Report) -> JobDefinition:
    """Read the job of a user task, with its assignment, dates and form as headers."""
    task = node.extension("taskDefinition")
    job_type = task.get("type") if task is not None else ""
    headers, computed = _headers(node), dict[str, Value]()
    for extension, name in _USER_TASK_HEADERS:
        found = node.extension(extension)
        text = found.get(name) if found is not None else ""
        if found is not None and text and is_expression(text):
            computed[_HEADER + name] = expression_of(text, node.id, found.line, report)
        elif text:
            headers[_HEADER + name] = _list(text) if name in _LISTS else text
    form = node.extension("formDefinition")
    keys = [form.get(name) for name in _FORMS] if form is not None else []
    key = next((text for text in keys if text), "")
    if form is not None and is_expression(key):
        computed[_HEADER + "formKey"] = expression_of(key, node.id, form.line, report)
    elif key:
        headers[_HEADER + "formKey"] = key
    return JobDefinition(
        type=value_of(job_type or USER_TASK_JOB, node.id, node.line, report),
        retries=RETRIES_DEFAULT if task is None else _retries(task, node.id, report),
        headers=headers,
        computed=computed,
    )


def script_of(node: Node, report: Report) -> Script | None:
    """Read a FEEL script; None where it is unfinished, which is reported."""
    script = node.extension("script")
    expression = script.get("expression") if script is not None else ""
    result = script.get("resultVariable") if script is not None else ""
    if script is None or not expression or not result:
        detail = (
            "No script; add zeebe:script with a FEEL expression and a resultVariable, "
            "or zeebe:taskDefinition for a connector that runs another language."
        )
        report.add(Problem("script-missing", detail, node.id, node.line))
        return None
    return Script(expression_of(expression, node.id, script.line, report), result)


def called_of(node: Node, report: Report) -> Called | None:
    """Read which process a call activity calls; None where it is not said, which is reported."""
    called = node.extension("calledElement")
    process = called.get("processId") if called is not None else ""
    if called is None or not process:
        detail = "No process to call; add zeebe:calledElement with a processId."
        report.add(Problem("called-process-missing", detail, node.id, node.line))
        return None
    return Called(
        process=value_of(process, node.id, called.line, report),
        propagate_parent=called.get("propagateAllParentVariables") != "false",
        propagate_child=called.get("propagateAllChildVariables") != "false",
    )


def loop_of(node: Node, report: Report) -> Loop | None:
    """Read multi-instance characteristics; None where there are none."""
    around = node.first(BPMN + "multiInstanceLoopCharacteristics")
    if around is None:
        return None
    loop = around.extension("loopCharacteristics")
    collection = loop.get("inputCollection") if loop is not None else ""
    if loop is None or not collection:
        detail = "No collection; add zeebe:loopCharacteristics with an inputCollection such as =items."
        report.add(Problem("collection-missing", detail, node.id, around.line))
        return None
    output, item = loop.get("outputCollection"), loop.get("outputElement")
    if bool(output) != bool(item):
        detail = "outputCollection and outputElement belong together; give both, or none."
        report.add(Problem("output-incomplete", detail, node.id, loop.line))
    completion = around.first(BPMN + "completionCondition")
    text = completion.text.strip() if completion is not None else ""
    return Loop(
        is_sequential=around.get("isSequential") == "true",
        collection=expression_of(collection, node.id, loop.line, report),
        item=loop.get("inputElement"),
        output_collection=output,
        output_item=expression_of(item, node.id, loop.line, report) if item else None,
        completion=expression_of(text, node.id, around.line, report) if text else None,
    )


def mappings_of(node: Node, direction: str, report: Report) -> tuple[Mapped, ...]:
    """Read the ``input`` or ``output`` mappings of an element."""
    mapping = node.extension("ioMapping")
    found: list[Mapped] = []
    for item in mapping.all(ZEEBE + direction) if mapping is not None else ():
        target = tuple(part.strip() for part in item.get("target").split("."))
        if not all(target):
            detail = f"An {direction} mapping has no target."
            report.add(Problem("mapping-invalid", detail, node.id, item.line))
            continue
        found.append(Mapped(value_of(item.attributes.get("source", ""), node.id, item.line, report), target))
    return tuple(found)


def _headers(node: Node) -> dict[str, str]:
    around = node.extension("taskHeaders")
    found = around.all(ZEEBE + "header") if around is not None else ()
    return {header.get("key"): header.attributes.get("value", "") for header in found if header.get("key")}


def _retries(task: Node, element: str, report: Report) -> int | Value:
    """Read the retries; some files leave them empty (then 3) or write 0, which still is one try."""
    text = task.get("retries")
    if not text:
        return RETRIES_DEFAULT
    if is_expression(text):
        return expression_of(text, element, task.line, report)
    if not _RETRIES.fullmatch(text) or int(text) > RETRIES_MAX:
        detail = f"retries is {text[:20]!r}; write a number up to {RETRIES_MAX}."
        report.add(Problem("retries-invalid", detail, element, task.line))
        return RETRIES_DEFAULT
    return max(1, int(text))


def _list(text: str) -> str:
    """Write a list with commas as the JSON that workers expect in this header."""
    return msgspec.json.encode([part.strip() for part in text.split(",") if part.strip()]).decode()
