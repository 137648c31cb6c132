"""How the state follows what payments take of their tenant's limits."""

from payhub_engines.core import events, usage
from payhub_engines.core.appliers.registry import applier
from payhub_engines.core.errors import ReplayError
from payhub_engines.core.records import Allowance
from payhub_engines.core.state import State


@applier(events.AllowanceTaken, version=4)
def _taken(event: events.AllowanceTaken, state: State) -> None:
    instance = state.instances.change(event.instance)
    taken = Allowance(event.member, event.currency, event.minor, event.at_ms)
    instance.allowances = {**(instance.allowances or {}), event.part: taken}
    day, tenant = usage.day_of(event.at_ms), instance.tenant
    for member in (usage.WHOLE_TENANT, event.member):
        found = usage.find(state.rows, day, tenant, member)
        found.spent[event.currency] = found.spent.get(event.currency, 0) + event.minor
        if member:
            found.times = [*usage.counted(found.times, event.at_ms, event.kept_ms), event.at_ms]
        usage.put(state.rows, day, tenant, member, found)


@applier(events.AllowanceReturned, version=4)
def _returned(event: events.AllowanceReturned, state: State) -> None:
    instance = state.instances.change(event.instance)
    left_over = dict(instance.allowances or {})
    taken = left_over.pop(event.part, None)
    if taken is None:
        raise ReplayError("unknown-allowance", f"Instance {event.instance} returns what it has not taken.")
    instance.allowances = left_over or None
    day, tenant = usage.day_of(taken.at_ms), instance.tenant
    for member in (usage.WHOLE_TENANT, taken.member):
        found = usage.find(state.rows, day, tenant, member)
        left = found.spent.pop(taken.currency, 0) - taken.minor
        if left > 0:
            found.spent[taken.currency] = left
        if member and taken.at_ms in found.times:
            found.times.remove(taken.at_ms)
        usage.put(state.rows, day, tenant, member, found)


@applier(events.AllowanceRefused, version=4)
def _refused(_event: events.AllowanceRefused, _state: State) -> None:
    """Change nothing: what follows from it stands in events of its own."""


@applier(events.UsageForgotten, version=4)
def _forgotten(event: events.UsageForgotten, state: State) -> None:
    for key in usage.earlier(state.rows, event.day, event.rows):
        state.rows.delete(key)
