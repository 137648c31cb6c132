"""From events to payments: a pure function that no event can break.

Missing or misshapen variables leave a field as it was. The events are stored whatever happens here, so
that a better projection can be run over them again.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from payhub_operations.audit.model import moment
from payhub_operations.payments.identifiers import Identify, mask, mask_in_text
from payhub_operations.payments.model import (
    DIRECTION_OF_PROCESS,
    STATES,
    PaymentKey,
    PaymentRow,
)
from payhub_platform.contracts.audit import AuditRecord
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money

TEXT_CHARACTERS_MAX: Final = 500
_BIGINT_MAX: Final = 2**63 - 1
_TRACEPARENT_PARTS: Final = 4
NO_RESULT_CODE: Final = "no-result"


def payment_key(record: AuditRecord) -> PaymentKey | None:
    """Return the payment that a record is about; None where it is about none."""
    direction = DIRECTION_OF_PROCESS.get(record.process)
    if direction is None or not record.payment:
        return None
    return _text(record.tenant), _text(record.payment), direction


def project(
    known: Mapping[PaymentKey, PaymentRow],
    engine: str,
    records: Iterable[AuditRecord],
    identify: Identify,
) -> list[PaymentRow]:
    """Apply records, in order, and return the rows that they concern.

    Args:
        known: rows as they are stored; missing ones start here. The rows given are changed.
        engine: whose log the records come from.
        records: consecutive records.
        identify: hashes identifiers for the search.
    """
    rows: dict[PaymentKey, PaymentRow] = {}
    for record in records:
        key = payment_key(record)
        if key is None:
            continue
        row = rows.get(key) or known.get(key)
        if row is None:
            tenant, payment, direction = key
            row = PaymentRow(
                tenant=tenant,
                payment=payment,
                direction=direction,
                engine=engine,
                started_at=moment(record.at_ms),
                trace=trace_id(record.trace),
            )
        rows[key] = row
        _apply(row, record, identify)
    return list(rows.values())


def trace_id(traceparent: str) -> str:
    """Return the trace id of a W3C traceparent; empty where there is none."""
    parts = traceparent.split("-")
    return _text(parts[1]) if len(parts) == _TRACEPARENT_PARTS else ""


def _apply(row: PaymentRow, record: AuditRecord, identify: Identify) -> None:
    variables = record.data.get("variables")
    # Variables that were set in one element only say nothing of the payment.
    is_local = record.type == "VariablesMerged" and record.data.get("scope")
    if isinstance(variables, dict) and not is_local:
        _take_variables(row, variables, identify)
    if record.type == "MessageCorrelated" and record.data.get("via"):
        row.handed_over = True
    elif record.type == "InstanceCompleted":
        row.ended_at = moment(record.at_ms)
        if row.state == "PENDING":
            # A process that ends without saying how has not done what was asked of it.
            row.state = "FAILED"
            row.error_code = row.error_code or NO_RESULT_CODE
            row.error_description = row.error_description or "The process ended without a result."


def _take_variables(row: PaymentRow, variables: dict[str, Any], identify: Identify) -> None:
    quote = variables.get("quote")
    if isinstance(quote, dict):
        # The payee's side knows the payment by the quote request that announced it.
        variables = {**quote, **variables}
    payer, payee = _party(variables.get("payer")), _party(variables.get("payee"))
    if payer is not None:
        row.payer, row.payer_hash = _shown(row.tenant, payer, identify, (row.payer, row.payer_hash))
        row.payer_fsp = _field(payer, "fspId") or row.payer_fsp
    if payee is not None:
        row.payee, row.payee_hash = _shown(row.tenant, payee, identify, (row.payee, row.payee_hash))
        row.payee_fsp = _field(payee, "fspId") or row.payee_fsp
    row.payee_fsp = _field(variables, "payeeFsp") or row.payee_fsp
    amount = read_money(variables.get("amount"))
    if amount is not None:
        row.amount_minor, row.currency = amount.minor, amount.currency
    _take_outcome(row, variables)


def _take_outcome(row: PaymentRow, variables: dict[str, Any]) -> None:
    error = variables.get("error")
    if error is None and "error" in variables:
        row.error_code = row.error_description = ""
    elif isinstance(error, dict):
        row.error_code = _field(error, "code")
        row.error_description = mask_in_text(_field(error, "description"))
    state = variables.get("paymentState")
    for known in STATES:
        if state == known:
            row.state = known
    if row.state == "COMPLETED":
        row.error_code = row.error_description = ""


def _party(value: Any) -> dict[str, Any] | None:
    """Accept a party with its identifier inside or beside it."""
    if not isinstance(value, dict):
        return None
    inner = value.get("partyIdInfo")
    return inner if isinstance(inner, dict) else value


def _shown(
    tenant: str, party: dict[str, Any], identify: Identify, before: tuple[str, str]
) -> tuple[str, str]:
    identifier = _field(party, "partyIdentifier")
    if not identifier:
        return before
    return mask(_field(party, "partyIdType"), identifier), identify(tenant, identifier)


def read_money(value: Any) -> Money | None:
    """Accept ``{minor, currency}`` and FSPIOP's ``{amount, currency}``."""
    if not isinstance(value, dict) or not isinstance(value.get("currency"), str):
        return None
    minor, currency, decimal = value.get("minor"), _field(value, "currency"), value.get("amount")
    if isinstance(minor, int) and not isinstance(minor, bool) and abs(minor) <= _BIGINT_MAX:
        return Money(minor, currency)
    if not isinstance(decimal, str):
        return None
    try:
        money = Money.parse(decimal, currency)
    except InvalidInputError:
        return None
    return money if money.minor <= _BIGINT_MAX else None


def _field(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    return _text(str(found)) if isinstance(found, str | int) else ""


def _text(value: str) -> str:
    return value.replace("\0", "\ufffd")[:TEXT_CHARACTERS_MAX]
