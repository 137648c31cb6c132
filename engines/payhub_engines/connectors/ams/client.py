"""Apache Fineract's interoperation API: calls, bounds for each bank, and what an answer says for certain."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote

import msgspec
from opentelemetry.trace import SpanKind

from payhub_engines.connectors.ams.refusals import BUSINESS_RULE, RESOURCE_NOT_FOUND, Account, Role
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import HttpAnswer, HttpFactory
from payhub_engines.connectors.job import Job, JobFailedError
from payhub_platform.contracts.fspiop import PartyIdInfo
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.money import Money

TIMEOUT_S: Final = 10.0
CALLS_PER_TENANT_MAX: Final = 16  # a slow bank fills its own places only
PLACE_WAIT_S: Final = 10.0
RETRY_AFTER_MS: Final = 500
SAME_KEY_ATTEMPTS: Final = 2

AnswerT = TypeVar("AnswerT", bound=msgspec.Struct)
Action = Literal["PREPARE", "CREATE", "RELEASE"]
_OK: Final = 200
_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_PAYER_SUFFIX: Final = "P"
_PAYEE_SUFFIX: Final = "R"


class AmsRefusalError(Exception):
    """The bank refused for a business reason and has done nothing.

    Attributes:
        codes: Fineract's codes; a refusal may repeat itself, so they are a set.
        not_found: the resource named does not exist.
    """

    def __init__(self, codes: frozenset[str], *, not_found: bool) -> None:
        super().__init__(", ".join(sorted(codes)))
        self.codes = codes
        self.not_found = not_found


class TransferOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One action on a transfer; amount and fee are the same in PREPARE, CREATE and RELEASE."""

    action: Action
    role: Role
    transaction_id: str
    transfer_id: str  # Fineract's transferCode
    account: str
    amount: Money
    fee: Money


class _ErrorItem(msgspec.Struct, rename={"code": "userMessageGlobalisationCode"}):
    code: str = ""


class _ErrorBody(msgspec.Struct, rename={"code": "userMessageGlobalisationCode"}):
    code: str = ""
    errors: list[_ErrorItem] | None = None


class _PartyAccount(msgspec.Struct, rename="camel"):
    account_id: str


class _FeeBody(msgspec.Struct):
    amount: Decimal
    currency: str


class _QuoteBody(msgspec.Struct, rename="camel"):
    state: str
    fsp_fee: _FeeBody | None = None


class _TransferBody(msgspec.Struct, rename="camel"):
    state: str
    transfer_code: str


class FineractClient:
    """Calls in the name of a job's tenant; one object for each engine process."""

    def __init__(self, http: HttpFactory) -> None:
        self._http = http
        self._places: dict[str, asyncio.Semaphore] = {}

    async def account_of(self, job: Job, context: ConnectorContext, party: PartyIdInfo) -> str:
        """Return the account of an identifier: GET /parties.

        Raises:
            AmsRefusalError: there is none.
            JobFailedError: the bank could not tell.
        """
        path = ["parties", party.party_id_type, party.party_identifier]
        if party.party_sub_id_or_type:
            path.append(party.party_sub_id_or_type)
        body = await self._call(job, context, "GET", path)
        return _decode(body, _PartyAccount).account_id

    async def account(self, job: Job, context: ConnectorContext, account: str) -> Account:
        """Return an account's state: GET /accounts/{id}; errors as ``account_of``."""
        return _decode(await self._call(job, context, "GET", ["accounts", account]), Account)

    async def fee(
        self, job: Job, context: ConnectorContext, account: str, role: Role, amount: Money, quote_id: str
    ) -> Money:
        """Ask whether the account could do the transfer, and for what fee: POST /quotes.

        Raises:
            AmsRefusalError: it could not.
            JobFailedError: the bank could not tell.
        """
        body = {
            "transactionCode": job.payment,
            "quoteCode": quote_id,
            "accountId": account,
            "amount": _money(amount),
            "amountType": "SEND",
            "transactionRole": role,
            "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
        }
        answer = _decode(await self._call(job, context, "POST", ["quotes"], body), _QuoteBody)
        if answer.fsp_fee is None:
            return Money(0, amount.currency)
        return _exact(answer.fsp_fee)

    async def transfer(self, job: Job, context: ConnectorContext, order: TransferOrder) -> None:
        """Act on a transfer: POST /transfers. ``expiration`` is never sent, since Fineract misreads it.

        The first attempts use one idempotency key, so that the bank repeats the answer it gave. Fineract
        keeps failures under a key too, forever: later attempts have keys of their own, and the transfer
        code keeps the booking single.

        Raises:
            AmsRefusalError: refused; what that means depends on the action.
            JobFailedError: whether it was done is not known.
        """
        suffix = _PAYER_SUFFIX if order.role == "PAYER" else _PAYEE_SUFFIX
        if job.attempt > SAME_KEY_ATTEMPTS:
            suffix += str(job.attempt)
        body = {
            "transactionCode": order.transaction_id,
            "transferCode": order.transfer_id,
            "accountId": order.account,
            "amount": _money(order.amount),
            "fspFee": _money(order.fee),
            "transactionRole": order.role,
        }
        key = f"{order.transfer_id}:{suffix}"
        data = await self._call(job, context, "POST", ["transfers"], body, action=order.action, key=key)
        answer = _decode(data, _TransferBody)
        if answer.state != "ACCEPTED" or answer.transfer_code != order.transfer_id:
            raise JobFailedError(
                f"{order.action}: the bank's answer is not for this transfer", RETRY_AFTER_MS
            )

    async def _call(
        self,
        job: Job,
        context: ConnectorContext,
        method: str,
        path: list[str],
        body: dict[str, Any] | None = None,
        *,
        action: str = "",
        key: str = "",
    ) -> bytes:
        tenant = context.tenant(job.tenant)
        url = f"{tenant.ams.base_url.rstrip('/')}/interoperation/" + "/".join(
            quote(segment, safe="") for segment in path
        )
        headers = _headers(tenant, context) | ({"Idempotency-Key": key} if key else {})
        what = f"{method} {path[0]} {action}".strip()
        with context.tracing.span(f"ams {what}", job.trace, SpanKind.CLIENT, element=job.element):
            async with self._place(job.tenant):
                answer = await self._http(context.http).request(
                    method,
                    f"{url}?action={action}" if action else url,
                    headers=headers,
                    body=b"" if body is None else msgspec.json.encode(body),
                    timeout_s=TIMEOUT_S,
                )
        if answer.status == _OK:
            return answer.body
        raise _failure(answer, what)

    @asynccontextmanager
    async def _place(self, tenant: str) -> AsyncIterator[None]:
        places = self._places.setdefault(tenant, asyncio.Semaphore(CALLS_PER_TENANT_MAX))
        try:
            async with asyncio.timeout(PLACE_WAIT_S):
                await places.acquire()
        except TimeoutError as error:
            raise JobFailedError("the bank is too slow for what is asked of it", RETRY_AFTER_MS) from error
        try:
            yield
        finally:
            places.release()


def _headers(tenant: TenantConfig, context: ConnectorContext) -> dict[str, str]:
    password = context.secrets.open(tenant.ams.password_sealed, f"ams:{tenant.tenant_id}")
    credentials = base64.b64encode(f"{tenant.ams.username}:{password}".encode()).decode()
    return {
        "Authorization": f"Basic {credentials}",
        "Fineract-Platform-TenantId": tenant.ams.platform_tenant,
        "Content-Type": "application/json",
        "Accept": "application/json",
    }


def _failure(answer: HttpAnswer, what: str) -> Exception:
    """Tell a refusal, which is certain, from everything else, after which the outcome is not known.

    Fineract uses 403 for business rules and for missing permissions; only the former are refusals.
    """
    failed = JobFailedError(f"{what}: the bank answers {answer.status}", RETRY_AFTER_MS)
    if answer.status not in (_FORBIDDEN, _NOT_FOUND):
        return failed
    try:
        told = msgspec.json.decode(answer.body, type=_ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return failed
    codes = frozenset(item.code for item in told.errors or [])
    if answer.status == _NOT_FOUND and told.code == RESOURCE_NOT_FOUND:
        return AmsRefusalError(codes, not_found=True)
    if answer.status == _FORBIDDEN and told.code == BUSINESS_RULE:
        return AmsRefusalError(codes, not_found=False)
    return failed


def _decode(body: bytes, kind: type[AnswerT]) -> AnswerT:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise JobFailedError(f"the bank's answer is no {kind.__name__.strip('_')}", RETRY_AFTER_MS) from error


def _money(money: Money) -> dict[str, str]:
    return {"amount": money.decimal_text(), "currency": money.currency}


def _exact(fee: _FeeBody) -> Money:
    text = format(fee.amount.normalize(), "f")
    return Money.parse(text, fee.currency, where="/fspFee")
