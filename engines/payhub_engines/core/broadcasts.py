"""Signals, and messages to all: as many receivers as one command may reach, the others by further ones.

What is left stands in the state with how far it has got, in the same entry as what was reached: whoever
leads goes on there, and each receiver is reached once. Who begins to wait later is not reached.
"""

import heapq
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from payhub_engines.core import events, waits
from payhub_engines.core.commands import ContinueBroadcast, PassBroadcastOver
from payhub_engines.core.decision import STEPS_MAX, Decision
from payhub_engines.core.index import Place
from payhub_engines.core.limits import COMMAND_UNITS_MAX, spend, units_of
from payhub_engines.core.records import BroadcastRecord, ElementInstance, Subscription
from payhub_engines.core.reply import Accepted, Rejected, Reply
from payhub_platform.contracts.handover import Callback

if TYPE_CHECKING:
    from payhub_engines.core.run import InstanceRun

RECEIVERS_A_COMMAND_MAX: Final = 256
RECEIVERS_INSIDE_MAX: Final = (
    64  # of a signal that a process throws; where there are more, all come afterwards
)
BROADCASTS_MAX: Final = 1_000  # that have receivers left


def signal(decision: Decision, tenant: str, name: str, variables: dict[str, Any]) -> BroadcastRecord:
    """Return a signal for all that wait for it now."""
    until = decision.state.next_key - 1
    return BroadcastRecord(0, tenant, name, "", variables, 0, until, is_signal=True, via="")


def message(decision: Decision, callback: Callback, via: str) -> BroadcastRecord:
    """Return a message for all that wait for it now."""
    until = decision.state.next_key - 1
    named = (callback.tenant, callback.name, callback.correlation_key)
    return BroadcastRecord(0, *named, callback.variables, 0, until, is_signal=False, via=via)


def begin(decision: Decision, broadcast: BroadcastRecord) -> None:
    """Reach as many as this command may, and leave the rest to further ones; no token is moving."""
    after = _reach(decision, broadcast, RECEIVERS_A_COMMAND_MAX)
    if after < broadcast.until:
        queue(decision, replace(broadcast, after=after))


def queue(decision: Decision, broadcast: BroadcastRecord) -> None:
    """Leave a broadcast to further commands."""
    spend(decision, units_of(broadcast.variables))
    decision.append(
        events.BroadcastQueued(
            decision.new_key(),
            broadcast.tenant,
            broadcast.name,
            broadcast.correlation_key,
            broadcast.variables,
            broadcast.after,
            broadcast.until,
            broadcast.is_signal,
            broadcast.via,
        )
    )


def too_many(decision: Decision) -> Rejected | None:
    """Refuse a broadcast from outside where so many have receivers left that there may be no more."""
    if decision.state.broadcasts_count() < BROADCASTS_MAX:
        return None
    return Rejected("too-many-broadcasts", f"{BROADCASTS_MAX} signals and messages are on their way to all.")


def refusal(decision: Decision, tenant: str, name: str) -> Rejected | None:
    """Tell why a process may not throw a signal now: signals that throw signals must come to an end."""
    if len(decision.state.index.listening.get((tenant, name), ())) <= RECEIVERS_INSIDE_MAX:
        return None
    if decision.continues_broadcast:
        detail = f"What a signal to many has reached throws one to more than {RECEIVERS_INSIDE_MAX}."
        return Rejected("signals-too-deep", detail)
    return too_many(decision)


def reach_all(decision: Decision, broadcast: BroadcastRecord) -> None:
    """Reach all receivers now, while tokens move; there are few."""
    following, _ = _following(decision, broadcast, RECEIVERS_INSIDE_MAX)
    for subscription, place in following:
        found = _waiting(decision, place, subscription)
        if found is not None:
            _take(*found, broadcast)


def go_on(decision: Decision, command: ContinueBroadcast) -> Reply:
    """Reach the next receivers of a broadcast."""
    broadcast = decision.state.broadcast(command.broadcast)
    if broadcast is None:
        return Rejected("broadcast-not-found", f"Broadcast {command.broadcast} has no receiver left.")
    decision.continues_broadcast = True
    receivers_max = min(max(command.receivers_max, 1), RECEIVERS_A_COMMAND_MAX)
    _advance(decision, broadcast, _reach(decision, broadcast, receivers_max))
    return Accepted(broadcast.key)


def pass_over(decision: Decision, command: PassBroadcastOver) -> Reply:
    """Keep a broadcast for its next receiver as an incident, so that the others are reached."""
    broadcast = decision.state.broadcast(command.broadcast)
    if broadcast is None:
        return Rejected("broadcast-not-found", f"Broadcast {command.broadcast} has no receiver left.")
    following, _ = _following(decision, broadcast, 1)
    after = broadcast.until
    for after, place in following:
        found = _waiting(decision, place, after)
        if found is not None:
            run, active, subscription = found
            _keep(run, active, subscription, broadcast, command)
    _advance(decision, broadcast, after)
    return Accepted(broadcast.key)


def _keep(
    run: "InstanceRun",
    active: ElementInstance,
    subscription: Subscription,
    broadcast: BroadcastRecord,
    command: PassBroadcastOver,
) -> None:
    decision = run.decision
    if active.incident is not None and decision.state.incident_payload(active.incident.key):
        # It holds one already that it could not take; this one stands in the log, whole.
        callback = Callback(
            tenant=broadcast.tenant,
            name=broadcast.name,
            correlation_key=broadcast.correlation_key,
            variables=broadcast.variables,
            payment=run.instance.payment,
        )
        spend(decision, units_of(callback.variables))
        decision.append(events.MessageExpired(decision.new_key(), callback, "unreachable"))
        return
    element, payload = subscription.element, broadcast.variables
    run.raise_incident(active.key, element, command.code, command.message, "trigger", payload)


def _advance(decision: Decision, broadcast: BroadcastRecord, after: int) -> None:
    decision.append(events.BroadcastAdvanced(broadcast.key, broadcast.tenant, broadcast.name, after))


def _reach(decision: Decision, broadcast: BroadcastRecord, receivers_max: int) -> int:
    """Reach receivers in order; return up to which subscription it got."""
    following, is_all = _following(decision, broadcast, receivers_max)
    after = broadcast.after
    for subscription, place in following:
        if after > broadcast.after and _is_full(decision):
            return after
        found = _waiting(decision, place, subscription)
        if found is not None:  # else an earlier one of the same broadcast has ended what this one waited for
            _take(*found, broadcast)
            decision.go_on()
        after = subscription
    return broadcast.until if is_all else after


def _take(
    run: "InstanceRun", active: ElementInstance, subscription: Subscription, broadcast: BroadcastRecord
) -> None:
    """Let a receiver take what is broadcast."""
    if not broadcast.is_signal:
        run.decision.append(
            events.MessageCorrelated(
                run.key, subscription.key, subscription.element, broadcast.name, via=broadcast.via
            )
        )
    waits.trigger(run, active.key, subscription.element, broadcast.variables)


def _following(
    decision: Decision, broadcast: BroadcastRecord, count_max: int
) -> tuple[list[tuple[int, Place]], bool]:
    """Return the next receivers, the oldest first, and whether these are all."""
    index = decision.state.index
    if broadcast.is_signal:
        waiting = index.listening.get((broadcast.tenant, broadcast.name), {})
    else:
        waiting = index.waiting.get((broadcast.tenant, broadcast.name, broadcast.correlation_key), {})
    left = (one for one in waiting.items() if broadcast.after < one[0] <= broadcast.until)
    found = heapq.nsmallest(count_max + 1, left)
    return found[:count_max], len(found) <= count_max


def _waiting(
    decision: Decision, place: Place, key: int
) -> tuple["InstanceRun", ElementInstance, Subscription] | None:
    run = decision.run(place[0])
    active = run.instance.elements.get(place[1])
    found = next((one for one in active.subscriptions if one.key == key), None) if active else None
    return None if active is None or found is None else (run, active, found)


def _is_full(decision: Decision) -> bool:
    """Tell whether the next receiver belongs to another command: it may need as much as those before."""
    return 2 * decision.units > COMMAND_UNITS_MAX or 2 * decision.steps > STEPS_MAX
