"""The payment processes, as BPMN 2.0 files that a BPMN modeller opens and the engine executes."""

from importlib import resources
from typing import Final

PAYER_FUND_TRANSFER: Final = "payer-fund-transfer"
PAYEE_PARTY_LOOKUP: Final = "payee-party-lookup"
PAYEE_QUOTE_TRANSFER: Final = "payee-quote-transfer"
PAYER_TRANSACTION_REQUEST: Final = "payer-transaction-request"
PAYEE_TRANSACTION_REQUEST: Final = "payee-transaction-request"
PAYEE_PARTICIPANT_LOOKUP: Final = "payee-participant-lookup"
REFUSE_QUERY: Final = "refuse-query"
ANSWER_AGAIN: Final = "answer-again"
ACCOUNT_LOOKUP: Final = "account-lookup"
PARTY_REGISTRATION: Final = "party-registration"
PARTY_LOOKUP: Final = "party-lookup"
PAYER_BULK_PAYMENT: Final = "payer-bulk-payment"
PAYER_BULK_LOOKUP: Final = "payer-bulk-lookup"
PAYER_BULK_TRANSFER: Final = "payer-bulk-transfer"
PAYER_BULK_ON_US: Final = "payer-bulk-on-us"
PAYEE_BULK_QUOTE_TRANSFER: Final = "payee-bulk-quote-transfer"

_NAMES: Final = (
    PAYER_FUND_TRANSFER,
    PAYEE_PARTY_LOOKUP,
    PAYEE_QUOTE_TRANSFER,
    PAYER_TRANSACTION_REQUEST,
    PAYEE_TRANSACTION_REQUEST,
    PAYEE_PARTICIPANT_LOOKUP,
    REFUSE_QUERY,
    ANSWER_AGAIN,
    ACCOUNT_LOOKUP,
    PARTY_REGISTRATION,
    PARTY_LOOKUP,
    PAYER_BULK_PAYMENT,
    PAYER_BULK_LOOKUP,
    PAYER_BULK_TRANSFER,
    PAYER_BULK_ON_US,
    PAYEE_BULK_QUOTE_TRANSFER,
)


def load() -> list[tuple[str, bytes]]:
    """Return every process file as (BPMN process id, XML bytes)."""
    folder = resources.files(__name__)
    return [(name, (folder / f"{name}.bpmn").read_bytes()) for name in _NAMES]
