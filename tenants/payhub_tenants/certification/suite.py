"""Does one case of the suite: begins with the account, pays, waits for the end and for the account again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from msgspec import Struct

from payhub_platform import ids
from payhub_platform.clock import Clock
from payhub_platform.contracts.channel import PartyIdInfo, TransferStatus
from payhub_platform.contracts.engine import StartPayment
from payhub_platform.money import Money
from payhub_tenants.certification.cases import BOOKS, Case
from payhub_tenants.certification.errors import (
    CertificationUnavailableError,
    NoSandboxError,
    NotAtSandboxError,
    OutsideError,
    SandboxUnfitError,
)
from payhub_tenants.certification.model import (
    CASE_WAIT_MS,
    SETTLE_WAIT_MS,
    Balance,
    CaseResult,
    CertificationRun,
    Found,
    OpenCase,
    amount_of,
    change,
    is_settled,
    result_of,
)
from payhub_tenants.tenants.model import Tenant

POLL_S: Final = 0.2
CLIENT_ID: Final = "payhub-certification"
_ENDED: Final = {"COMMITTED": "COMPLETED", "REFUSED": "FAILED"}  # of the test DFSP's payments

T = TypeVar("T")


class RefusedError(Exception):
    """The engine refused a payment, with the code of its problem."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Order(Struct, frozen=True, kw_only=True):
    """A payment of the test DFSP."""

    payment_id: str
    state: str
    error_code: str = ""


class PaymentEngine(Protocol):
    """The engine that serves a tenant, as far as the suite needs it."""

    async def pay(self, tenant: Tenant, payment: StartPayment) -> None:
        """Have a payment committed; the same again is the same payment.

        Raises:
            OutsideError: the engine does not answer, or does not know the tenant yet.
            RefusedError: it refuses the payment.
        """
        ...

    async def status(self, tenant: Tenant, payment_id: str) -> TransferStatus:
        """Tell how a payment stands.

        Raises:
            OutsideError: the engine does not answer.
        """
        ...

    async def balance(self, tenant: Tenant, member: PartyIdInfo, look_id: str) -> Balance:
        """Tell a member's account as the core bank shows it now; ``look_id`` is never used again.

        Raises:
            OutsideError: the engine or the core bank does not answer, or there is no such account.
        """
        ...


class Sandbox(Protocol):
    """The sandbox's test DFSP, as far as the suite needs it."""

    async def switch_key(self) -> str:
        """Return the public key, as PEM, with which the sandbox's switch signs now.

        Raises:
            OutsideError: the sandbox is not there, or has no test DFSP or no forced cases.
        """
        ...

    async def payee(self) -> PartyIdInfo:
        """Return the test DFSP's member who is paid.

        Raises:
            OutsideError: the sandbox is not there, or has no test DFSP or no forced cases.
        """
        ...

    async def pay(self, member: PartyIdInfo, amount: Money) -> None:
        """Have the test DFSP pay a member of the tenant.

        Raises:
            OutsideError: it does not answer, or refuses.
        """
        ...

    async def orders(self, member: PartyIdInfo, amount: Money) -> list[Order]:
        """Return its payments to a member over an amount, the oldest first.

        Raises:
            OutsideError: it does not answer.
        """
        ...


class Suite:
    """Cases one at a time, each in two halves; ``finish`` may be called again after an interruption."""

    def __init__(self, engine: PaymentEngine, sandbox: Sandbox, clock: Clock, poll_s: float = POLL_S) -> None:
        self._engine = engine
        self._sandbox = sandbox
        self._clock = clock
        self._poll_s = poll_s

    async def check(self, tenant: Tenant) -> None:
        """Find out whether the suite can be run at all, and pays nobody who is real.

        Raises:
            NoSandboxError: there is no sandbox that it could run at.
            CertificationUnavailableError: it cannot now.
            NotAtSandboxError: the tenant is connected to another switch.
        """
        try:
            is_sandboxed = await self._is_sandboxed(tenant)
        except SandboxUnfitError as error:
            raise NoSandboxError(error.what) from error
        except OutsideError as error:
            raise CertificationUnavailableError(error.what) from error
        if not is_sandboxed:
            raise NotAtSandboxError

    async def begin(self, tenant: Tenant, member: PartyIdInfo, case: Case) -> OpenCase:
        """Look at the account before a case.

        Raises:
            OutsideError: nobody could tell, for as long as a case may take; or the tenant is not connected
                to the sandbox any more.
        """
        now = self._clock()
        # The scheme's settings may be changed during a run, and its members' numbers are real elsewhere.
        if not await self._until(lambda: self._is_sandboxed(tenant), now + CASE_WAIT_MS):
            raise OutsideError("the institution's switch is not the sandbox's")
        before = await self._balance(tenant, member, now + CASE_WAIT_MS)
        orders = 0
        if case.role == "payee":
            amount = amount_of(case, tenant.currency)
            known = await self._until(lambda: self._sandbox.orders(member, amount), now + CASE_WAIT_MS)
            orders = len(known)
        return OpenCase(
            case_id=case.case_id, started_at_ms=self._clock(), before=before, orders_before=orders
        )

    async def finish(
        self, tenant: Tenant, member: PartyIdInfo, case: Case, run: CertificationRun, opened: OpenCase
    ) -> CaseResult:
        """Pay, wait for the end and for the account, and judge; always within a bounded time."""
        amount = amount_of(case, tenant.currency)
        expected_sum = sum(result.moved_minor for result in run.cases)
        payment_id = ids.derive(CLIENT_ID, tenant.tenant_id, str(run.started_at_ms), case.case_id)
        before = opened.before
        try:
            if case.case_id == BOOKS:
                payment_id, found, before = "", Found(state="COMPLETED"), run.first or opened.before
            elif case.role == "payer":
                found = await self._as_payer(tenant, member, case, opened, payment_id)
            else:
                payment_id, found = await self._as_payee(member, amount, opened)
        except OutsideError as error:
            found = Found(state="PENDING", note=error.what)
        except RefusedError as error:
            found = Found(state="REFUSED", error_code=error.code)
        found = await self._settled(tenant, member, case, found, before, expected_sum)
        duration_ms = max(0, self._clock() - opened.started_at_ms)
        return result_of(case, found, amount, payment_id, duration_ms, expected_sum)

    async def _is_sandboxed(self, tenant: Tenant) -> bool:
        """Tell by the key whose messages are believed: addresses of one switch may differ."""
        return _bare(tenant.switch_public_key_pem) == _bare(await self._sandbox.switch_key())

    async def _as_payer(
        self, tenant: Tenant, member: PartyIdInfo, case: Case, opened: OpenCase, payment_id: str
    ) -> Found:
        until_ms = opened.started_at_ms + CASE_WAIT_MS
        forced = PartyIdInfo(party_id_type="MSISDN", party_identifier=case.payee)
        payee = forced if case.payee else await self._until(self._sandbox.payee, until_ms)
        payment = StartPayment(
            payment_id=payment_id,
            idempotency_key=payment_id,
            fingerprint=ids.derive(payment_id, case.case_id),
            client_id=CLIENT_ID,
            payer=member,
            payee=payee,
            amount=amount_of(case, tenant.currency),
            expires_at_ms=None if case.lifetime_ms is None else opened.started_at_ms + case.lifetime_ms,
        )
        await self._until(lambda: self._engine.pay(tenant, payment), until_ms)

        async def ended() -> TransferStatus:
            status = await self._engine.status(tenant, payment_id)
            if status.state == "PENDING":
                raise OutsideError("it is under way")
            return status

        status = await self._until(ended, until_ms)
        terms, charged = status.terms, None
        if terms is not None:
            parts = (terms.transfer_amount, terms.payer_fee)
            charged = sum(Money.parse(part.amount, part.currency).minor for part in parts)
        code = "" if status.error is None else status.error.code
        return Found(state=status.state, error_code=code, charged=charged)

    async def _as_payee(self, member: PartyIdInfo, amount: Money, opened: OpenCase) -> tuple[str, Found]:
        until_ms = opened.started_at_ms + CASE_WAIT_MS

        async def ordered() -> Order:
            # Looked for first: an attempt that was interrupted may have ordered it.
            known = await self._sandbox.orders(member, amount)
            if len(known) <= opened.orders_before:
                await self._sandbox.pay(member, amount)
                known = await self._sandbox.orders(member, amount)
            return known[opened.orders_before]

        first = await self._until(ordered, until_ms)

        async def ended() -> Order:
            order = (await self._sandbox.orders(member, amount))[opened.orders_before]
            if order.state not in _ENDED:
                raise OutsideError("it is under way")
            return order

        try:
            order = await self._until(ended, until_ms)
        except OutsideError as error:
            return first.payment_id, Found(state="PENDING", note=error.what)
        return order.payment_id, Found(state=_ENDED[order.state], error_code=order.error_code)

    async def _settled(
        self,
        tenant: Tenant,
        member: PartyIdInfo,
        case: Case,
        found: Found,
        before: Balance,
        expected_sum: int,
    ) -> Found:
        """Look at the account until it is as it must be, or for as long as that may take."""
        # What has ended in another way has failed already: it is looked at once.
        has_ended = (found.state, found.error_code) == (case.outcome, case.error_code)
        until_ms = self._clock() + (SETTLE_WAIT_MS if has_ended else 0)
        amount = amount_of(case, tenant.currency)
        while True:
            try:
                after = await self._balance(tenant, member, until_ms)
            except OutsideError as error:
                return _with_change(found, None, None, error.what)
            booked, available = change(before, after)
            found = _with_change(found, booked, available, found.note)
            if is_settled(case, found, amount, expected_sum) or self._clock() >= until_ms:
                return found
            await asyncio.sleep(self._poll_s)

    async def _balance(self, tenant: Tenant, member: PartyIdInfo, until_ms: int) -> Balance:
        looks = 0

        async def look() -> Balance:
            nonlocal looks
            looks += 1
            # An answer of an earlier look would be old, so each look has an id of its own.
            parts = (CLIENT_ID, tenant.tenant_id, "balance", str(self._clock()), str(looks))
            return await self._engine.balance(tenant, member, ids.derive(*parts))

        return await self._until(look, until_ms)

    async def _until(self, attempt: Callable[[], Awaitable[T]], until_ms: int) -> T:
        """Do something until it works, and raise what is in the way once the time is over."""
        while True:
            try:
                return await attempt()
            except OutsideError:
                if self._clock() >= until_ms:
                    raise
            await asyncio.sleep(self._poll_s)


def _bare(pem: str) -> str:
    return "".join(pem.split())


def _with_change(found: Found, booked: int | None, available: int | None, note: str) -> Found:
    return Found(
        state=found.state,
        error_code=found.error_code,
        charged=found.charged,
        booked=booked,
        available=available,
        note=note,
    )
