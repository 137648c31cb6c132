"""What channels call a payment, and what FSPIOP calls it: scenario, and who starts it (1.1 section 5.3)."""

from typing import Final

from payhub_platform.contracts.channel import RequestUse, UseCase
from payhub_platform.contracts.fspiop import TransactionType

PEER_TO_PEER: Final = TransactionType(scenario="TRANSFER", initiator="PAYER", initiator_type="CONSUMER")
USE_CASES: Final[dict[UseCase, TransactionType]] = {
    "transfer": PEER_TO_PEER,
    "merchant-payment": TransactionType(scenario="PAYMENT", initiator="PAYER", initiator_type="CONSUMER"),
    "cash-in": TransactionType(scenario="DEPOSIT", initiator="PAYER", initiator_type="AGENT"),
    "cash-out": TransactionType(scenario="WITHDRAWAL", initiator="PAYER", initiator_type="CONSUMER"),
    "loan-repayment": TransactionType(scenario="PAYMENT", initiator="PAYER", initiator_type="CONSUMER"),
}
REQUEST_USES: Final[dict[RequestUse, TransactionType]] = {
    "merchant-payment": TransactionType(scenario="PAYMENT", initiator="PAYEE", initiator_type="BUSINESS"),
    "agent-cash-out": TransactionType(scenario="WITHDRAWAL", initiator="PAYEE", initiator_type="AGENT"),
    "atm-cash-out": TransactionType(scenario="WITHDRAWAL", initiator="PAYEE", initiator_type="DEVICE"),
}
