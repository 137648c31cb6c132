"""Deploys process files: checked, numbered, kept in the log as long as an instance may follow them."""

from payhub_engines.core import events
from payhub_engines.core.bpmn.check import parse_checked
from payhub_engines.core.bpmn.model import DefinitionError, ProcessDefinition, TimerTrigger
from payhub_engines.core.bpmn.timers import Schedule, schedule
from payhub_engines.core.commands import DeployProcess, FoundEngine
from payhub_engines.core.decision import Decision
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.limits import spend
from payhub_engines.core.reply import Accepted, Rejected, Reply
from payhub_engines.core.tables import fits_key


def found(decision: Decision, command: FoundEngine) -> Reply:
    """Name this life of the engine, once."""
    if decision.state.origin:
        return Accepted(0, duplicate=True)
    if not command.origin or not fits_key(command.origin):
        return Rejected("invalid-key", "An origin has at most 512 characters of valid Unicode.")
    decision.append(events.EngineFounded(command.origin))
    return Accepted(0)


def deploy(decision: Decision, command: DeployProcess) -> Reply:
    """Take a definition into the log, unless it is the newest of its process already."""
    try:
        definition = parse_checked(command.xml)
        timers = _start_timers(decision, definition)
    except DefinitionError as error:
        return Rejected(error.code, error.detail)
    if not fits_key(command.tenant, definition.id):
        return Rejected("invalid-key", "Names have at most 512 characters of valid Unicode.")
    state = decision.state
    newest = max((known.number for known in state.deployed() if known.process == definition.id), default=0)
    known = state.deployment(definition.id, definition.version)
    if known is not None and known.number == newest:
        return Accepted(newest, duplicate=True)
    number = newest + 1
    spend(decision, len(command.xml))
    decision.append(
        events.ProcessDeployed(
            definition.id, definition.version, number, command.xml, command.tenant, decision.now_ms
        )
    )
    for timer in list(state.start_timers()):
        if timer.process == definition.id:
            decision.append(events.StartTimerEnded(timer.key))
    for element, scheduled in timers:
        decision.append(
            events.StartTimerCreated(
                decision.new_key(),
                definition.id,
                definition.version,
                element,
                command.tenant,
                scheduled.due_ms,
                scheduled.interval_ms,
                scheduled.repetitions,
            )
        )
    return Accepted(number)


def _start_timers(decision: Decision, definition: ProcessDefinition) -> list[tuple[str, Schedule]]:
    found: list[tuple[str, Schedule]] = []
    for start in definition.starts:
        trigger = definition.elements[start].trigger
        if isinstance(trigger, TimerTrigger):
            try:
                found.append((start, schedule(trigger, {}, decision.now_ms)))
            except ExpressionError as error:
                raise DefinitionError("timer-invalid", error.detail, start) from error
    return found
