"""Which engine a scheme message belongs to, where a tenant has one, has several, or has moved."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from payhub_engines.connectors.mojaloop.received import names
from payhub_engines.core.state import State
from payhub_platform.contracts.engine import RecallRequest
from payhub_platform.contracts.handover import Callback, Subject
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError

HOPS_MAX: Final = 2  # to an engine that has moved on meanwhile, and from there to whom it knows

# Answering a look-up twice does no harm, so nobody is asked.
_LOOK_UPS: Final = frozenset({names.PAYEE_PARTICIPANT_LOOKUP, names.PAYEE_PARTY_LOOKUP})

Ask = Callable[[str, RecallRequest], Awaitable[bool]]


class Belongs(msgspec.Struct, frozen=True):
    """Where a message goes: to this engine, to others, or both where nobody knows yet who will wait."""

    here: bool
    owners: tuple[str, ...] = ()
    epoch: int | None = None  # under which it may begin something here


class Placing:
    """Decides where a message goes by what is committed here, by the placement, and by asking others.

    Whoever waits for a message gets it. An answer that nobody waits for yet goes to every engine at which
    something of the tenant may run: one of them will. A request begins at the home engine, unless another
    one has begun it before the tenant moved.

    Args:
        engine_id: this engine.
        state: as far as it is decided here.
        ask: whether another engine has begun something.
    """

    def __init__(self, engine_id: str, state: Callable[[], State], ask: Ask) -> None:
        self._here = engine_id
        self._state = state
        self._ask = ask

    async def of(self, tenant: TenantConfig, callback: Callback) -> Belongs:
        """Tell where a message goes.

        Raises:
            UnavailableError: ``placement-unknown``, the tenant has moved and this engine does not know where;
                ``engine-unasked``, an engine that may have begun it did not tell.
        """
        state = self._state()
        waits = state.has_subscription(callback.tenant, callback.name, callback.correlation_key)
        if waits:
            return Belongs(here=True)
        if state.fence(callback.tenant) > tenant.epoch:
            raise placement_unknown()
        if callback.subject is not None:
            known = await self._who_knows(tenant, callback, callback.subject)
            if known is not None:
                return Belongs(here=known == self._here, owners=() if known == self._here else (known,))
        is_answered = callback.subject is not None and callback.subject.or_unknown
        if callback.start_process or is_answered:
            return await self._of_new(tenant, callback)
        owners = tenant.open_engines(but=self._here) if callback.hops < HOPS_MAX else []
        return Belongs(here=not owners or self._may_wait(tenant), owners=tuple(owners))

    async def _of_new(self, tenant: TenantConfig, callback: Callback) -> Belongs:
        """Tell which engine begins what a message asks for: the home engine, unless another one has."""
        state = self._state()
        if state.find_key(callback.tenant, callback.start_process, callback.payment) is not None:
            return Belongs(here=True)
        if tenant.home_engine != self._here:
            if callback.hops >= HOPS_MAX:
                raise placement_unknown()  # they do not agree yet on who begins it
            return Belongs(here=False, owners=(tenant.home_engine,))
        for engine in self._asked_first(tenant, callback.start_process):
            if await self._ask(engine, _recall(tenant, callback, callback.start_process, callback.payment)):
                return Belongs(here=False, owners=(engine,))
        return Belongs(here=True, epoch=tenant.epoch)

    async def _who_knows(self, tenant: TenantConfig, callback: Callback, subject: Subject) -> str | None:
        """Return the engine that has the instance which a message is about; None where nobody told of one.

        Only the home engine asks others: a message that reached another one is committed there, and goes on.
        """
        if self._state().find_key(callback.tenant, subject.process, subject.key) is not None:
            return self._here
        if tenant.home_engine == self._here and callback.hops < HOPS_MAX:
            asked = _recall(tenant, callback, subject.process, subject.key)
            others = (*tenant.open_engines(but=self._here), *tenant.formers(but=self._here))
            for engine in dict.fromkeys(others):
                if await self._ask(engine, asked):
                    return engine
        return None

    def _may_wait(self, tenant: TenantConfig) -> bool:
        return self._here in tenant.open_engines(but="")

    def _asked_first(self, tenant: TenantConfig, process: str) -> list[str]:
        """Return the engines that may have begun it, or run what it is about."""
        if not process or process in _LOOK_UPS:
            return []
        if process == names.REFUSE_QUERY:
            return tenant.open_engines(but=self._here)
        if process == names.PAYER_TRANSACTION_REQUEST:
            # It makes our member pay: no repetition of it may begin again, however late it comes.
            return tenant.formers(but=self._here)
        return tenant.undrained(but=self._here)


def _recall(tenant: TenantConfig, callback: Callback, process: str, payment: str) -> RecallRequest:
    return RecallRequest(
        tenant=callback.tenant,
        epoch=tenant.epoch,
        process=process,
        payment=payment,
        name=callback.name,
        correlation_key=callback.correlation_key,
    )


def sent_on(callback: Callback) -> Callback:
    """Return a message as it goes to the next engine."""
    return msgspec.structs.replace(callback, hops=callback.hops + 1)


def placement_unknown() -> UnavailableError:
    """Tell that the tenant has moved, and that this engine has not heard where."""
    return UnavailableError("placement-unknown", "The tenant's present placement is on its way here.")
