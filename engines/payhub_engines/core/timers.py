"""Timers that are due: of waiting elements, and of the start events of processes."""

from typing import Final

from payhub_engines.core import business_keys, events, waits
from payhub_engines.core.commands import FailTimer, TriggerTimer
from payhub_engines.core.decision import Decision
from payhub_engines.core.records import StartTimer
from payhub_engines.core.reply import Accepted, Rejected, Reply

RETRY_STEP: Final = "timer"  # of an incident: the timer goes on being tried, and ends it when it succeeds


def trigger_timer(decision: Decision, command: TriggerTimer) -> Reply:
    """Let a due timer do what it does."""
    found = decision.state.index.timers.get(command.timer)
    if found is None:
        return Rejected("timer-not-found", f"Timer {command.timer} is not running.")
    instance, element_instance, due_ms = found
    if due_ms > decision.now_ms:
        return Rejected("timer-not-due", f"Timer {command.timer} is due at {due_ms}.")
    if instance:
        run = decision.run(instance)
        host = run.instance.elements[element_instance]
        if host.incident is not None and host.incident.retry == RETRY_STEP:
            run.resolve_incident(host)
        waits.trigger_timer(run, element_instance, command.timer)
        return Accepted(command.timer)
    start = decision.state.start_timer(command.timer)
    if start is None:
        return Rejected("timer-not-found", f"Timer {command.timer} is not running.")
    _start(decision, start)
    return Accepted(command.timer)


def fail_timer(decision: Decision, command: FailTimer) -> Reply:
    """Show that a due timer cannot be fired, where it is an instance's."""
    found = decision.state.index.timers.get(command.timer)
    if found is None or not found[0]:
        return Rejected("timer-not-found", f"Timer {command.timer} is of no instance.")
    run = decision.run(found[0])
    timers = run.instance.elements[found[1]].timers
    element = next(timer.element for timer in timers if timer.key == command.timer)
    run.raise_incident(found[1], element, command.code, command.message, RETRY_STEP)
    return Accepted(command.timer)


def _start(decision: Decision, timer: StartTimer) -> None:
    decision.append(events.StartTimerEnded(timer.key))
    if timer.repetitions:
        left = timer.repetitions - 1 if timer.repetitions > 0 else timer.repetitions
        due_ms = max(timer.due_ms + timer.interval_ms, decision.now_ms)
        decision.append(
            events.StartTimerCreated(
                decision.new_key(),
                timer.process,
                timer.version,
                timer.element,
                timer.tenant,
                due_ms,
                timer.interval_ms,
                left,
            )
        )
    definition = decision.catalogue.get(timer.process, timer.version)
    if definition is not None:
        identity = (timer.tenant, business_keys.make(decision.state, "timer", timer.key), "")
        decision.start(definition, identity, "", {}).start(timer.element)
