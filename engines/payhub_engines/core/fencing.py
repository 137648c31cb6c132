"""The fence of a tenant's placement: what was sent under an older epoch begins nothing here any more."""

from payhub_engines.core import events, tables
from payhub_engines.core.commands import FenceTenant
from payhub_engines.core.decision import Decision
from payhub_engines.core.reply import Accepted, Rejected, Reply
from payhub_engines.core.state import State
from payhub_platform.contracts.engine import STALE_EPOCH


def fence(decision: Decision, command: FenceTenant) -> Reply:
    """Raise the fence; it never falls. The reply's key is the epoch that holds."""
    if not tables.fits_key(command.tenant) or not 0 < command.epoch <= tables.NUMBER_MAX:
        return Rejected("invalid-key", "A fence needs a tenant and an epoch from 1.")
    held = decision.state.fence(command.tenant)
    if held >= command.epoch:
        return Accepted(held, duplicate=True)
    decision.append(events.TenantFenced(command.tenant, command.epoch, decision.state.next_key))
    return Accepted(command.epoch)


def refusal(state: State, tenant: str, epoch: int | None) -> Rejected | None:
    """Return why nothing begins under an epoch, or None."""
    if epoch is None or epoch >= state.fence(tenant):
        return None
    return Rejected(STALE_EPOCH, "The tenant's placement has changed.")


def keeps_keys(state: State, tenant: str, first_key: int) -> bool:
    """Tell whether the key of anything may still be kept that began for a tenant below an instance key."""
    if next(state.rows.scan(tables.BUSINESS_KEY + tables.texts(tenant)), None) is None:
        return False
    oldest = state.instances.oldest()
    return oldest is not None and oldest < first_key


def open_below(state: State, tenant: str, first_key: int) -> list[int]:
    """Return the tenant's instances that have not ended, of those with lower keys, the oldest first."""
    return sorted(key for key in state.index.instances_of.get(tenant, ()) if key < first_key)
