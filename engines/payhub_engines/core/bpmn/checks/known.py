"""Who serves the jobs and publishes the messages of a process."""

from dataclasses import dataclass

from payhub_engines.core.bpmn.draft import Draft
from payhub_engines.core.bpmn.model import MessageTrigger
from payhub_engines.core.bpmn.problems import Problem, Report
from payhub_engines.core.bpmn.tasks import USER_TASK_JOB


@dataclass(frozen=True, slots=True)
class Known:
    """What the connectors of an installation serve and publish."""

    jobs: frozenset[str]
    messages: frozenset[str]


def check(draft: Draft, known: Known, report: Report) -> None:
    """Warn of static job types that nobody serves and static message names that nobody publishes."""
    for element in draft.elements.values():
        job, trigger = element.job, element.trigger
        if job is not None and isinstance(job.type, str) and job.type not in known.jobs | {USER_TASK_JOB}:
            detail = f"No connector serves the job type {job.type!r}; the instance would wait here for ever."
            report.add(Problem("job-type-unserved", detail, element.id, element.line, "warning"))
        name = trigger.name if isinstance(trigger, MessageTrigger) and not element.start else None
        if isinstance(name, str) and name not in known.messages:
            detail = f"Nobody publishes the message {name!r}; the instance would wait here for ever."
            report.add(Problem("message-unpublished", detail, element.id, element.line, "warning"))
