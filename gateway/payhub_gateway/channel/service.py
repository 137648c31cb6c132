"""Flows: begun under an id that makes retries harmless, and asked for, at the tenant's engine."""

import asyncio
from contextlib import AbstractContextManager
from typing import Final, TypeVar

import msgspec

from payhub_gateway.channel import checks
from payhub_gateway.channel.access import Caller
from payhub_gateway.channel.idempotency import AtWork
from payhub_gateway.channel.model import Act
from payhub_gateway.engine_client import EngineClient
from payhub_gateway.limits import InFlight
from payhub_platform.clock import Clock
from payhub_platform.contracts.channel import AccountStatus, TransferAccepted
from payhub_platform.errors import NotFoundError, UnavailableError, UnprocessableError

ANSWER_WAIT_S: Final = 5.0
LOOK_S: Final = 0.05  # until the first look at the answer; twice as long after each
LOOK_MAX_S: Final = 0.5
StatusT = TypeVar("StatusT", bound=msgspec.Struct)


class FlowService:
    """Begins flows, tells how they stand, and passes on what members decide."""

    def __init__(self, engines: EngineClient, in_flight: InFlight, clock: Clock) -> None:
        self._engines = engines
        self._in_flight = in_flight
        self._clock = clock
        self._at_work = AtWork()

    async def begin(self, caller: Caller, act: Act, traceparent: str) -> TransferAccepted:
        """Have the tenant's engine commit an act; the same key and request again give the same answer.

        Raises:
            PayhubError: the request is refused (422 ``expired`` and what the engine says), its key was
                used for another request (422 ``key-reused``), the same request is at work (409
                ``request-in-progress``), or the engine cannot take it now (503).
        """
        command, tenant = act.command, caller.tenant
        with (
            self._slot(caller),
            self._at_work.mark(command.payment_id, command.fingerprint),
        ):
            if act.is_below:
                return await self._engines.tell(tenant, act.path, command, traceparent)
            await self._refuse_expired(caller, act, traceparent)
            return await self._engines.start(tenant, command, traceparent, act.path)

    async def find(
        self, caller: Caller, path: str, own_id: str, kind: type[StatusT], traceparent: str
    ) -> StatusT:
        """Return how something of the tenant's stands.

        Args:
            caller: who asks.
            path: of the engine's API.
            own_id: what the path is followed by.
            kind: the engine's answer.
            traceparent: of the request.

        Raises:
            NotFoundError: code ``unknown-payment``; also for another tenant's.
            PayhubError: the engine cannot answer now (503).
        """
        require_id(own_id)
        with self._slot(caller):
            return await self._engines.find(caller.tenant, f"{path}/{own_id}", kind, traceparent)

    async def account(
        self, caller: Caller, act: Act, traceparent: str, wait_s: float = ANSWER_WAIT_S
    ) -> AccountStatus:
        """Look an account up and wait for the answer; all the while it is one of the client's at work.

        Raises:
            PayhubError: see ``begin``; 503 ``account-not-told`` where it is not answered in time.
        """
        loop, pause_s = asyncio.get_running_loop(), LOOK_S
        until_s = loop.time() + wait_s
        with self._slot(caller):
            begun = await self._engines.start(caller.tenant, act.command, traceparent, act.path)
            path = f"{act.path}/{begun.transaction_id}"
            while True:
                told = await self._engines.find(caller.tenant, path, AccountStatus, traceparent)
                if told.account is not None or told.state != "PENDING":
                    return told
                if loop.time() >= until_s:
                    raise UnavailableError("account-not-told", "The core system has not answered yet.")
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LOOK_MAX_S)

    async def find_all(
        self, caller: Caller, path: str, kind: type[StatusT], traceparent: str
    ) -> tuple[list[StatusT], bool]:
        """Return what all engines of the tenant say, and whether all of them did.

        Raises:
            PayhubError: none can answer now (503).
        """
        with self._slot(caller):
            return await self._engines.find_all(caller.tenant, path, kind, traceparent)

    async def tell(
        self, caller: Caller, path: str, decision: msgspec.Struct, act: str, traceparent: str
    ) -> TransferAccepted:
        """Have the engine commit what a member has decided; the same act again is done once.

        Raises:
            PayhubError: nothing waits for it (422 ``nothing-to-confirm``), the same is at work (409
                ``request-in-progress``), or the engine cannot take it now (503).
        """
        with (
            self._slot(caller),
            self._at_work.mark(f"{path} {act}", checks.fingerprint(decision)),
        ):
            return await self._engines.tell(caller.tenant, path, decision, traceparent, act)

    def _slot(self, caller: Caller) -> AbstractContextManager[None]:
        tenant = caller.tenant
        return self._in_flight.slot(tenant.tenant_id, caller.client_id, tenant.api_limits)

    async def _refuse_expired(self, caller: Caller, act: Act, traceparent: str) -> None:
        """Refuse what came too late, unless it is a retry of what came in time.

        A client that never got its 202 repeats the request after the expiration. Telling it "expired" would
        make it believe that nothing was paid, so only a payment that the engine does not know is refused.
        """
        if act.expires_at_ms is None or act.expires_at_ms > self._clock():
            return
        known = f"{act.path}/{act.command.payment_id}"
        try:
            await self._engines.find(caller.tenant, known, act.status, traceparent)
        except NotFoundError as error:
            raise UnprocessableError("expired", "The expiration has passed.", "/expiration") from error


def require_id(own_id: str) -> None:
    """Refuse what cannot be an id, before it becomes part of an engine's address.

    Raises:
        NotFoundError: code ``unknown-payment``.
    """
    if not checks.is_id(own_id):
        raise NotFoundError("unknown-payment", "There is nothing with this id.")
