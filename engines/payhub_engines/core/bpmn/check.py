"""Checks a process file as a whole: all that is wrong, each with its line and element."""

from payhub_engines.core.bpmn.checks import events, extensions, flows, known, paths, scopes
from payhub_engines.core.bpmn.checks.known import Known
from payhub_engines.core.bpmn.draft import Draft
from payhub_engines.core.bpmn.model import DefinitionError, ProcessDefinition
from payhub_engines.core.bpmn.parse import definition_of, draft_of, refuse
from payhub_engines.core.bpmn.problems import Problem, Report

__all__ = ["Known", "check", "parse_checked"]


def check(xml: bytes, catalogue: Known | None = None) -> list[Problem]:
    """Return all that is wrong with a file, in the order of its lines.

    Args:
        xml: the file.
        catalogue: what is served and published; None where that does not matter.
    """
    try:
        draft = draft_of(xml)
    except DefinitionError as error:
        # There is no process to look at: its only problem stands for all.
        return [Problem(error.code, error.detail, error.element, error.line)]
    return _problems(draft, catalogue)


def parse_checked(xml: bytes) -> ProcessDefinition:
    """Compile a file that is to be deployed.

    Raises:
        DefinitionError: the first error that ``check`` finds.
    """
    draft = draft_of(xml)
    refuse(_problems(draft, None))
    return definition_of(draft, xml)


def _problems(draft: Draft, catalogue: Known | None) -> list[Problem]:
    report = Report()
    for look in (flows.check, events.check, scopes.check, paths.check, extensions.check):
        look(draft, report)
    if catalogue is not None:
        known.check(draft, catalogue, report)
    # What keeps a file from being read at all comes first where a line has several problems.
    found = dict.fromkeys([*draft.report.problems, *report.problems])
    return sorted(found, key=lambda problem: problem.line)
