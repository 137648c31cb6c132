"""Timers that are due: of waiting elements, and of the start events of processes."""

from payhub_engines.core import events, waits
from payhub_engines.core.commands import TriggerTimer
from payhub_engines.core.decision import Decision
from payhub_engines.core.records import StartTimer
from payhub_engines.core.reply import Accepted, Rejected, Reply


def trigger_timer(decision: Decision, command: TriggerTimer) -> Reply:
    """Let a due timer do what it does."""
    found = decision.state.index.timers.get(command.timer)
    if found is None:
        return Rejected("timer-not-found", f"Timer {command.timer} is not running.")
    instance, element_instance, due_ms = found
    if due_ms > decision.now_ms:
        return Rejected("timer-not-due", f"Timer {command.timer} is due at {due_ms}.")
    if instance:
        waits.trigger_timer(decision.run(instance), element_instance, command.timer)
        return Accepted(command.timer)
    start = decision.state.start_timer(command.timer)
    if start is None:
        return Rejected("timer-not-found", f"Timer {command.timer} is not running.")
    _start(decision, start)
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
        identity = (timer.tenant, f"timer-{timer.key}", "")
        decision.start(definition, identity, "", {}).start(timer.element)
