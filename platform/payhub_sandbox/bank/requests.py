"""Reading request bodies: Fineract's strict whitelists and its validation errors."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from payhub_sandbox.bank.refusal import invalid, invalid_body, parameter_error, server_error
from payhub_sandbox.bank.times import local_time

_COMMON: Final = frozenset(
    "transactionCode accountId amount transactionRole transactionType note expiration extensionList "
    "locale dateFormat".split()
)
_FIELDS: Final = {
    "transfer": _COMMON | {"transferCode", "fspFee", "fspCommission"},
    "quote": _COMMON | {"requestCode", "quoteCode", "amountType", "fees", "geoCode"},
    "request": _COMMON | {"requestCode", "geoCode"},
    "identifier": frozenset({"accountId"}),
}
_CODES: Final = {"transfer": "transferCode", "quote": "quoteCode", "request": "requestCode"}
_MONEY_FIELDS: Final = frozenset({"amount", "currency", "locale"})
_TYPE_FIELDS: Final = frozenset(
    "scenario subScenario initiator initiatorType refundInfo balanceOfPayments".split()
)
_TYPE_ENUMS: Final = {
    "scenario": frozenset("DEPOSIT WITHDRAWAL TRANSFER PAYMENT REFUND".split()),
    "initiator": frozenset({"PAYER", "PAYEE"}),
    "initiatorType": frozenset("CONSUMER AGENT BUSINESS DEVICE".split()),
}
CURRENCY_CHARACTERS_MAX: Final = 3
AMOUNT_EXPONENT_MAX: Final = 12  # the bank's columns are DECIMAL(19,6)

_decoder: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


class BankMoney(msgspec.Struct, frozen=True):
    """An amount in major units, exactly as it was sent."""

    amount: Decimal
    currency: str


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What the three POST bodies have in common."""

    code: str  # transferCode, quoteCode or requestCode
    transaction_code: str
    account_id: str
    amount: BankMoney
    role: str
    expiration: datetime | None
    extension_list: list[Any] | None
    fee: BankMoney | None = None
    commission: BankMoney | None = None


def exact_decimal(value: object) -> Decimal | None:
    """Return a number or a text of one as it is; None where it is none that the bank's columns hold."""
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        return None
    try:
        decimal = Decimal(value)
    except InvalidOperation:
        return None
    return decimal if decimal.is_finite() and abs(decimal.adjusted()) <= AMOUNT_EXPONENT_MAX else None


def amount_of(values: Mapping[str, Any]) -> Decimal | None:
    """Return the amount of a body that may not be valid, in major units."""
    money = values.get("amount")
    return exact_decimal(money.get("amount") if isinstance(money, dict) else values.get("transactionAmount"))


def read_object(body: bytes) -> dict[str, Any]:
    """Decode a JSON object; decimals stay exact.

    Raises:
        BankRefusalError: 400 with a lone error object.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid_body("The request body is not valid JSON.") from error


def read_identifier(values: dict[str, Any]) -> str:
    """Return the account id of POST /parties."""
    reader = _Reader("identifier", values)
    account_id = reader.text("accountId")
    reader.finish()
    return account_id


def read_command(kind: str, values: dict[str, Any]) -> Command:
    """Read the body of POST /transfers, /quotes or /requests.

    Args:
        kind: ``transfer``, ``quote`` or ``request``.
        values: the decoded body.

    Raises:
        BankRefusalError: 400 with every validation error; 500 for an unknown word of an enumeration.
    """
    reader = _Reader(kind, values)
    command = Command(
        code=reader.text(_CODES[kind]),
        transaction_code=reader.text("transactionCode"),
        account_id=reader.text("accountId"),
        amount=reader.money("amount") or BankMoney(Decimal(0), ""),
        role=reader.role(),
        expiration=reader.expiration(),
        extension_list=values.get("extensionList"),
        fee=reader.money("fspFee") if kind == "transfer" and "fspFee" in values else None,
        commission=reader.money("fspCommission")
        if kind == "transfer" and "fspCommission" in values
        else None,
    )
    reader.transaction_type()
    reader.finish()
    if kind == "quote" and values.get("amountType") not in ("SEND", "RECEIVE"):
        raise server_error()
    return command


class _Reader:
    """Collects validation errors, as Fineract does, and refuses unknown fields first."""

    def __init__(self, kind: str, values: Mapping[str, Any]) -> None:
        self._kind = kind
        self._values = values
        self._errors: list[dict[str, Any]] = []
        self._refuse_unknown(values, _FIELDS[kind])

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str) or not value.strip():
            self._error(name, "cannot.be.blank", "is mandatory.")
            return ""
        return value

    def role(self) -> str:
        role = self._values.get("transactionRole", "PAYER" if self._kind == "request" else None)
        if role is None:
            self._error("transactionRole", "cannot.be.blank", "is mandatory.")
        elif role not in ("PAYER", "PAYEE"):
            raise server_error()
        return role or ""

    def money(self, name: str) -> BankMoney | None:
        value = self._values.get(name)
        if not isinstance(value, dict):
            self._error(name, "cannot.be.blank", "is mandatory.")
            return None
        self._refuse_unknown(value, _MONEY_FIELDS)
        currency, amount = value.get("currency"), value.get("amount")
        if not isinstance(currency, str) or not currency.strip():
            self._error("currency", "cannot.be.blank", "is mandatory.")
        elif len(currency) > CURRENCY_CHARACTERS_MAX:
            self._error("currency", "exceeds.max.length", "has more than 3 characters.", currency)
        decimal = self._decimal(amount)
        if decimal is None or not isinstance(currency, str):
            return None
        if decimal < 0:
            self._error("amount", "not.zero.or.greater", "must be zero or greater.", str(decimal))
        return BankMoney(decimal, currency)

    def expiration(self) -> datetime | None:
        text = self._values.get("expiration")
        if text is None:
            return None
        moment = local_time(text) if isinstance(text, str) else None
        if moment is None:
            code = "validation.msg.invalid.dateFormat.format"
            message = "The parameter expiration is invalid for the date format yyyy-MM-dd'T'HH:mm:ss.SSS."
            self._errors.append(parameter_error(code, message, "expiration", str(text)))
        return moment

    def transaction_type(self) -> None:
        value = self._values.get("transactionType")
        if value is None:
            if self._kind != "transfer":
                self._error("transactionType", "cannot.be.blank", "is mandatory.")
            return
        if not isinstance(value, dict):
            raise server_error()
        self._refuse_unknown(value, _TYPE_FIELDS)
        # Compared as text: a list or an object is none of the words either.
        if any(str(value.get(name)) not in words for name, words in _TYPE_ENUMS.items()):
            raise server_error()

    def finish(self) -> None:
        if self._errors:
            raise invalid(self._errors)

    def _decimal(self, amount: Any) -> Decimal | None:
        if amount is None or amount == "":
            self._error("amount", "cannot.be.blank", "is mandatory.")
            return None
        try:
            decimal = Decimal(str(amount)) if not isinstance(amount, bool) else Decimal("NaN")
        except InvalidOperation:
            decimal = Decimal("NaN")
        if not decimal.is_finite() or abs(decimal.adjusted()) > AMOUNT_EXPONENT_MAX:
            text = "The parameter amount has an invalid decimal format."
            self._errors.append(
                parameter_error("validation.msg.invalid.decimal.format", text, "amount", str(amount))
            )
            return None
        return decimal

    def _error(self, name: str, rule: str, text: str, value: str | None = None) -> None:
        code = f"validation.msg.interoperation.{self._kind}.{name}.{rule}"
        self._errors.append(parameter_error(code, f"The parameter {name} {text}", name, value))

    @staticmethod
    def _refuse_unknown(values: Mapping[str, Any], known: frozenset[str]) -> None:
        unknown = sorted(set(values) - known)
        if unknown:
            text = "The parameter {} is not supported."
            code = "error.msg.parameter.unsupported"
            raise invalid([parameter_error(code, text.format(name), name, name) for name in unknown])
