"""The payment processes, as BPMN 2.0 files that a BPMN modeller opens and the engine executes."""

from importlib import resources
from typing import Final

PAYER_FUND_TRANSFER: Final = "payer-fund-transfer"
PAYEE_PARTY_LOOKUP: Final = "payee-party-lookup"
PAYEE_QUOTE_TRANSFER: Final = "payee-quote-transfer"

_NAMES: Final = (PAYER_FUND_TRANSFER, PAYEE_PARTY_LOOKUP, PAYEE_QUOTE_TRANSFER)


def load() -> list[tuple[str, bytes]]:
    """Return every process file as (BPMN process id, XML bytes)."""
    folder = resources.files(__name__)
    return [(name, (folder / f"{name}.bpmn").read_bytes()) for name in _NAMES]
