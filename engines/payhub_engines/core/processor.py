"""Decides commands: the leader gives commands and the state, and gets events and an answer."""

from collections.abc import Callable
from typing import Any, Final

from payhub_engines.core import (
    allowances,
    broadcasts,
    business_keys,
    correlation,
    deployment,
    events,
    fencing,
    jobs,
    operator,
)
from payhub_engines.core import commands as asked
from payhub_engines.core.appliers import CURRENT_VERSION
from payhub_engines.core.decision import Decision
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.limits import UNITS_AN_EVENT
from payhub_engines.core.reply import Accepted, Rejected, Reply
from payhub_engines.core.run import InstanceRun
from payhub_engines.core.state import State
from payhub_engines.core.tables import fits_key
from payhub_engines.core.timers import fail_timer, trigger_timer
from payhub_engines.core.variables import json_variables

__all__ = ["Accepted", "Batch", "Rejected", "Reply"]


class Batch:
    """Decides commands one after the other, and joins their events to one entry of the log.

    Attributes:
        size: about how many bytes the entry has so far.
    """

    def __init__(self, state: State, now_ms: int) -> None:
        self._decision = Decision(state, now_ms, InstanceRun)
        self._events: list[events.AnyEvent] = []
        self.size = 0

    def decide(self, command: asked.Command) -> Reply:
        """Decide a command and apply its events to the state, so that the next one sees them.

        Nothing that a caller, connector or model sends makes this raise: what cannot be done is rejected,
        what a model gets wrong is an incident. When it does raise, the state must be loaded again.
        """
        decision = self._decision
        decision.begin()
        reply = _HANDLERS[type(command)](decision, command)
        if decision.events:
            decision.go_on()
            self._events += decision.events
            self.size += decision.units + UNITS_AN_EVENT * len(decision.events)
        return reply

    def seal(self) -> events.LogEntry | None:
        """Return the entry to log, None where nothing happened.

        Gives the events their positions and moves the state's next position on. ``apply_entry`` brings
        another state to exactly the same.
        """
        decision = self._decision
        decision.end()
        if not self._events:
            return None
        state, first_position = decision.state, decision.state.next_position
        state.next_position = first_position + len(self._events)
        return events.LogEntry(
            first_position,
            decision.now_ms,
            self._events,
            decision.scopes,
            state.next_key,
            CURRENT_VERSION,
            decision.ended,
        )


def _start(decision: Decision, command: asked.StartInstance) -> Reply:
    definition = decision.catalogue.latest(command.process)
    if definition is None:
        return Rejected("unknown-process", f"No process {command.process} is deployed.")
    if not definition.start:
        return Rejected("no-start", f"Process {command.process} has no none start event.")
    known = _key_refusal(command) or _started_before(decision, command)
    if known is None:
        # What is known here already is the same act, under whichever epoch it is asked for again.
        known = fencing.refusal(decision.state, command.tenant, command.epoch)
    if known is not None:
        return known
    if command.charge is not None:
        refused = allowances.refusal_at_start(decision.state, command.tenant, command.charge, decision.now_ms)
        if refused is not None:
            return refused
    try:
        variables = json_variables(command.variables)
    except ExpressionError as error:
        return Rejected("invalid-variables", error.detail)
    identity = (command.tenant, command.payment, command.fingerprint)
    run = decision.start(definition, identity, command.trace, variables)
    run.start(definition.start)
    return Accepted(run.key)


def _key_refusal(command: asked.StartInstance) -> Rejected | None:
    if not fits_key(command.tenant, command.payment, command.fingerprint, command.trace):
        return Rejected("invalid-key", "Keys have at most 512 characters of valid Unicode.")
    if business_keys.is_reserved(command.payment):
        return Rejected("reserved-key", business_keys.RESERVED_DETAIL)
    return None


def _started_before(decision: Decision, command: asked.StartInstance) -> Reply | None:
    found = decision.state.find_key(command.tenant, command.process, command.payment)
    if found is None:
        return None
    known = decision.state.document(found)
    if known is not None and known.fingerprint == command.fingerprint:
        return Accepted(found, duplicate=True)
    return Rejected("key-reused", f"{command.payment} was used with another content.")


_HANDLERS: Final[dict[type[asked.Command], Callable[[Decision, Any], Reply]]] = {
    asked.FoundEngine: deployment.found,
    asked.DeployProcess: deployment.deploy,
    asked.StartInstance: _start,
    asked.FenceTenant: fencing.fence,
    asked.CorrelateMessage: correlation.correlate,
    asked.BroadcastSignal: correlation.broadcast_signal,
    asked.ContinueBroadcast: broadcasts.go_on,
    asked.PassBroadcastOver: broadcasts.pass_over,
    asked.CompleteJob: jobs.complete,
    asked.FailJob: jobs.fail,
    asked.ThrowJobError: jobs.throw_error,
    asked.TriggerTimer: trigger_timer,
    asked.FailTimer: fail_timer,
    asked.ExpireMessage: correlation.expire,
    asked.ResolveIncident: operator.resolve_incident,
    asked.SetVariables: operator.set_variables,
    asked.CancelInstance: operator.cancel,
    asked.ModifyInstance: operator.modify,
    asked.MigrateInstance: operator.migrate,
    asked.ForgetInstances: operator.forget,
    asked.ForgetUsage: allowances.forget,
    asked.QueueHandover: correlation.queue_handover,
    asked.AcknowledgeHandover: correlation.acknowledge_handover,
}
