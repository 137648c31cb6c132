"""Codes of ISO 20022 for FSPIOP's values."""

from typing import Any, Final

Json = dict[str, Any]

STATES: Final = {"COMMITTED": "COMM", "RESERVED": "RESV", "RECEIVED": "RECV", "ABORTED": "ABOR"}
FSPIOP_STATES: Final = {code: state for state, code in STATES.items()}
BEARERS: Final = {"SEND": "CRED", "RECEIVE": "DEBT"}  # who bears the charges
SHARED: Final = "SHAR"
AMOUNT_TYPES: Final = {"DEBT": "RECEIVE"}  # any other bearer leaves what is sent as it was asked
ORGANISATIONS: Final = frozenset(("BUSINESS", "ALIAS", "DEVICE"))  # identifiers of no private person
ACTIVE: Final = "ActiveCurrencyAndAmount"
HISTORIC: Final = "ActiveOrHistoricCurrencyAndAmount"
ERROR_CHARACTERS_MAX: Final = 105  # Max105Text
