"""Fineract over HTTP: the bodies of its answers, and what an error says for certain."""

import re
from decimal import Decimal
from typing import Any, Final

import msgspec

from payhub_engines.connectors.ams.decoding import failed
from payhub_engines.connectors.ams.errors import CREDENTIALS_RETRY_MS, RETRY_AFTER_MS
from payhub_engines.connectors.ams.model import BankCall
from payhub_engines.connectors.ams.refusals import BUSINESS_RULE, RESOURCE_NOT_FOUND
from payhub_engines.connectors.ams.transport import BankRequest, BankTransport
from payhub_engines.connectors.http import UNREADABLE, HttpAnswer
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.money import Money

CODES_MAX: Final = 64

_CODE: Final = re.compile(r"[a-zA-Z0-9._-]{1,128}", re.ASCII)  # what is told in logs is a code and no more
_OK: Final = 200
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


class FineractRefusalError(Exception):
    """Fineract refused for a business reason; what that means depends on what was asked.

    Attributes:
        codes: Fineract's codes; a refusal may repeat itself, so they are a set.
        not_found: the resource named does not exist.
    """

    def __init__(self, codes: frozenset[str], *, not_found: bool) -> None:
        super().__init__(", ".join(sorted(codes)))
        self.codes = codes
        self.not_found = not_found


class FineractNotServedError(JobFailedError):
    """This Fineract has no such resource, or the API user may not use it."""


class PartyAccountBody(msgspec.Struct, rename="camel"):
    """GET /interoperation/parties."""

    account_id: str


class IdentifierBody(msgspec.Struct, rename="camel"):
    """One of GET /interoperation/accounts/{id}/identifiers."""

    id_type: str
    id_value: str
    sub_id_or_type: str | None = None


class IdentifiersBody(msgspec.Struct):
    """GET /interoperation/accounts/{id}/identifiers."""

    identifiers: list[IdentifierBody] = []


class AccountBody(msgspec.Struct, rename="camel"):
    """GET /interoperation/accounts/{id}."""

    account_id: str
    currency: str
    status: str
    sub_status: str | None = None
    deposit_type: str | None = None
    account_balance: Decimal | None = None
    available_balance: Decimal | None = None


class FeeBody(msgspec.Struct):
    """Money in a quote."""

    amount: Decimal
    currency: str


class QuoteBody(msgspec.Struct, rename="camel"):
    """POST /interoperation/quotes."""

    state: str
    quote_code: str
    fsp_fee: FeeBody | None = None


class TransferBody(msgspec.Struct, rename="camel"):
    """POST /interoperation/transfers."""

    state: str
    transfer_code: str
    transaction_code: str | None = None


class _ErrorItem(msgspec.Struct, rename={"code": "userMessageGlobalisationCode"}):
    code: str = ""


class _ErrorBody(msgspec.Struct, rename={"code": "userMessageGlobalisationCode"}):
    code: str = ""
    errors: list[_ErrorItem] | None = None


class FineractApi:
    """Sends, and tells answers from refusals, failures and what is not there."""

    def __init__(self, transport: BankTransport) -> None:
        self._transport = transport

    async def send(self, call: BankCall, request: BankRequest) -> bytes:
        """Return the body of a success.

        Raises:
            FineractRefusalError: a business rule refuses it, or what it names does not exist.
            FineractNotServedError: there is no such resource, or no permission.
            JobFailedError: anything else; whether something was done is not known.
        """
        answer = await self._transport.send(call, request)
        if answer.status == _OK:
            return answer.body
        raise _failure(answer, request.name)


def _failure(answer: HttpAnswer, what: str) -> Exception:
    """Tell a refusal, which is certain, from everything else, after which the outcome is not known.

    Fineract uses 403 for business rules and for missing permissions; only the former are refusals.
    """
    if answer.status not in (_FORBIDDEN, _NOT_FOUND):
        return failed(answer, what)
    text = f"{what}: the bank answers {answer.status} and serves no such thing, or not this user"
    retry_ms = CREDENTIALS_RETRY_MS if answer.status == _FORBIDDEN else RETRY_AFTER_MS
    try:
        told = msgspec.json.decode(answer.body, type=_ErrorBody)
    except UNREADABLE:
        return FineractNotServedError(text, retry_ms)
    items = (told.errors or [])[:CODES_MAX]
    codes = frozenset(item.code for item in items if _CODE.fullmatch(item.code))
    if answer.status == _NOT_FOUND and told.code == RESOURCE_NOT_FOUND:
        return FineractRefusalError(codes, not_found=True)
    if answer.status == _FORBIDDEN and told.code == BUSINESS_RULE:
        return FineractRefusalError(codes, not_found=False)
    return FineractNotServedError(text, retry_ms)


def money_body(money: Money) -> dict[str, Any]:
    """Write money for Fineract: all decimals of its currency and no more, so that a hold is not rounded."""
    return {"amount": money.decimal_text(), "currency": money.currency}
