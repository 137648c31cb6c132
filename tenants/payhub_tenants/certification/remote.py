"""How the suite calls an engine and the sandbox's test DFSP over HTTP."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
import msgspec

from payhub_platform.contracts.channel import AccountStatus, PartyIdInfo, TransferStatus
from payhub_platform.contracts.engine import (
    HEADER_EPOCH,
    HEADER_TENANT,
    PATH_ACCOUNTS,
    PATH_PAYMENTS,
    StartAccountLookup,
    StartPayment,
)
from payhub_platform.errors import Problem
from payhub_platform.money import Money
from payhub_platform.replicas import ENGINES_VARIABLE, engine_addresses
from payhub_platform.security.internal import internal_headers
from payhub_tenants.certification.errors import OutsideError, SandboxUnfitError
from payhub_tenants.certification.model import Balance
from payhub_tenants.certification.suite import CLIENT_ID, Order, RefusedError
from payhub_tenants.tenants.model import Tenant

CALL_TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024  # the test DFSP lists up to 10,000 payments
LOOKS_MAX: Final = 40  # at an account look-up that is under way
LOOK_PAUSE_S: Final = 0.1
# The engine has not heard of the tenant or of its newest placement yet.
_LATER: Final = (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS)

T = TypeVar("T")


class HttpPaymentEngines:
    """The engines' internal API, with the credential between payhub's own processes.

    Not the gateway's: what is certified is the institution's core bank, members and connection to the
    scheme. A channel's key is the channel's alone, and the control plane holds none.
    """

    def __init__(self, http: aiohttp.ClientSession, engines: Mapping[str, str], internal_token: str) -> None:
        self._http = http
        self._engines = {
            engine: list(engine_addresses(text, ENGINES_VARIABLE).values())
            for engine, text in engines.items()
        }
        self._token = internal_token

    async def pay(self, tenant: Tenant, payment: StartPayment) -> None:
        """POST /engine/v1/payments."""
        status, answer = await self._call(tenant, "POST", PATH_PAYMENTS, payment)
        if status >= HTTPStatus.BAD_REQUEST:
            raise RefusedError(_code(answer, status))

    async def status(self, tenant: Tenant, payment_id: str) -> TransferStatus:
        """GET /engine/v1/payments/{id}."""
        return await self._read(tenant, f"{PATH_PAYMENTS}/{payment_id}", TransferStatus)

    async def balance(self, tenant: Tenant, member: PartyIdInfo, look_id: str) -> Balance:
        """POST /engine/v1/account-lookups, then GET until it is answered."""
        start = StartAccountLookup(payment_id=look_id, fingerprint=look_id, client_id=CLIENT_ID, party=member)
        status, answer = await self._call(tenant, "POST", PATH_ACCOUNTS, start)
        if status >= HTTPStatus.BAD_REQUEST:
            raise OutsideError(f"the engine answers {_code(answer, status)}")
        for _ in range(LOOKS_MAX):
            told = await self._read(tenant, f"{PATH_ACCOUNTS}/{look_id}", AccountStatus)
            if told.state != "PENDING":
                return _balance(told)
            await asyncio.sleep(LOOK_PAUSE_S)
        raise OutsideError("the core bank does not tell the account")

    async def _read(self, tenant: Tenant, path: str, type_: type[T]) -> T:
        status, answer = await self._call(tenant, "GET", path)
        if status >= HTTPStatus.BAD_REQUEST:
            raise OutsideError(f"the engine answers {_code(answer, status)}")
        return _decoded(answer, type_, "engine")

    async def _call(
        self, tenant: Tenant, method: str, path: str, body: msgspec.Struct | None = None
    ) -> tuple[int, bytes]:
        """Ask the replicas in turn; what another try may mend is no answer."""
        headers = {
            **internal_headers(self._token),
            HEADER_TENANT: tenant.tenant_id,
            HEADER_EPOCH: str(tenant.epoch),
            "content-type": "application/json",
        }
        content = None if body is None else msgspec.json.encode(body)
        told = "there is no address of the engine"
        for address in self._engines.get(tenant.placement[0], []):
            try:
                status, answer = await _send(self._http, method, address + path, headers, content)
            except OutsideError as error:
                told = f"the engine: {error.what}"
                continue
            if status not in _LATER and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                return status, answer
            told = f"the engine answers {_code(answer, status)}"
        raise OutsideError(told)


class _Resident(msgspec.Struct, rename="camel"):
    party: str


class _Counterparty(msgspec.Struct, rename="camel"):
    role: str
    admin_url: str = ""
    parties: list[_Resident] = []


class _Switch(msgspec.Struct, rename="camel"):
    public_key_pem: str


class _Guide(msgspec.Struct, rename="camel"):
    """``GET /sandbox``, as far as it is needed."""

    switch: _Switch
    counterparties: list[_Counterparty] = []
    forced_cases: list[dict[str, str]] = []


class _Payment(msgspec.Struct, rename="camel"):
    payment_id: str
    kind: str
    state: str
    amount: int
    currency: str
    party: str = ""
    error_code: str | None = None


class HttpSandbox:
    """The sandbox's guide, and its test DFSP's administration, which answers on its own machine alone."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._dfsp: _Counterparty | None = None  # the same at every start

    async def switch_key(self) -> str:
        """Read it now: the switch has another key after each start."""
        return (await self._read())[0].public_key_pem

    async def payee(self) -> PartyIdInfo:
        """Take the member who pays as well: its money goes round, and is not used up by many runs."""
        kind, _, value = (await self._test_dfsp()).parties[0].party.partition("/")
        return msgspec.convert({"partyIdType": kind, "partyIdentifier": value}, PartyIdInfo)

    async def pay(self, member: PartyIdInfo, amount: Money) -> None:
        """POST /testbank/admin/payments."""
        dfsp = await self._test_dfsp()
        order = {
            "member": dfsp.parties[0].party,
            "partyType": member.party_id_type,
            "partyId": member.party_identifier,
            "amount": amount.fspiop_text(),
            "currency": amount.currency,
            **({"subId": member.party_sub_id_or_type} if member.party_sub_id_or_type else {}),
        }
        await self._call("POST", f"{dfsp.admin_url}/payments", msgspec.json.encode(order))

    async def orders(self, member: PartyIdInfo, amount: Money) -> list[Order]:
        """GET /testbank/admin/payments."""
        body = await self._call("GET", f"{(await self._test_dfsp()).admin_url}/payments")
        parts = (member.party_id_type, member.party_identifier, member.party_sub_id_or_type)
        key = "/".join(part for part in parts if part)
        return [
            Order(payment_id=one.payment_id, state=one.state, error_code=one.error_code or "")
            for one in _decoded(body, list[_Payment], "sandbox")
            if (one.kind, one.party, one.amount, one.currency)
            == ("transfer", key, amount.minor, amount.currency)
        ]

    async def _test_dfsp(self) -> _Counterparty:
        if self._dfsp is None:
            self._dfsp = (await self._read())[1]
        return self._dfsp

    async def _read(self) -> tuple[_Switch, _Counterparty]:
        """Return the switch and the test DFSP, as the guide tells them."""
        if not self._url:
            raise SandboxUnfitError("This installation has no sandbox; PAYHUB_SANDBOX_URL names one.")
        guide = _decoded(await self._call("GET", f"{self._url}/sandbox"), _Guide, "sandbox")
        dfsp = next((one for one in guide.counterparties if one.role == "DFSP" and one.parties), None)
        if dfsp is None or not guide.forced_cases:
            raise SandboxUnfitError(
                "The sandbox needs its test DFSP (PAYHUB_RESIDENTS) and forced cases (PAYHUB_FORCED_CASES)."
            )
        return guide.switch, dfsp

    async def _call(self, method: str, url: str, content: bytes | None = None) -> bytes:
        headers = {"content-type": "application/json"}
        try:
            status, answer = await _send(self._http, method, url, headers, content)
        except OutsideError as error:
            raise OutsideError(f"The sandbox: {error.what}.") from error
        if status >= HTTPStatus.BAD_REQUEST:
            raise OutsideError(f"The sandbox answers {_code(answer, status)}.")
        return answer


async def _send(
    http: aiohttp.ClientSession, method: str, url: str, headers: dict[str, str], content: bytes | None
) -> tuple[int, bytes]:
    try:
        async with http.request(
            method,
            url,
            data=content,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
        ) as answer:
            parts = bytearray()
            async for part in answer.content.iter_any():
                parts += part
                if len(parts) > ANSWER_BYTES_MAX:
                    raise OutsideError("its answer is too long")
            return answer.status, bytes(parts)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise OutsideError(f"no answer ({type(error).__name__})") from error


def _balance(told: AccountStatus) -> Balance:
    account = told.account
    if account is None:
        code = told.error.code if told.error is not None else "none"
        raise OutsideError(f"the core bank tells no account of the member (error {code})")
    booked, available = (
        None if text is None else Money.parse(text, account.currency).minor
        for text in (account.balance, account.available)
    )
    return Balance(booked=booked, available=available)


def _decoded(body: bytes, type_: type[T], whose: str) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.MsgspecError as error:
        raise OutsideError(f"the {whose}'s answer is not readable") from error


def _code(answer: bytes, status: int) -> str:
    try:
        return msgspec.json.decode(answer, type=Problem).code
    except msgspec.MsgspecError:
        return f"HTTP {status}"
