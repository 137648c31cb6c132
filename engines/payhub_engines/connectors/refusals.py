"""Refusals that a process handles: BPMN error codes of the process files, FSPIOP codes for people."""

from typing import Any, Final

from payhub_engines.connectors.job import BpmnError

# BPMN error codes: what the boundary events of processes/*.bpmn catch.
PAYER_REFUSED: Final = "payer-refused"
SCHEME_REFUSED: Final = "scheme-refused"
PARTY_REFUSED: Final = "party-refused"
QUOTE_REFUSED: Final = "quote-refused"
TRANSFER_REFUSED: Final = "transfer-refused"
REQUEST_REFUSED: Final = "request-refused"
CREDIT_REFUSED: Final = "credit-refused"
FULFILMENT_MISMATCH: Final = "fulfilment-mismatch"
ACCOUNT_REFUSED: Final = "account-refused"
LOAN_REFUSED: Final = "loan-refused"

# FSPIOP error codes (API Definition 1.1 section 7.6).
SERVER_ERROR: Final = "2000"
NOT_IMPLEMENTED: Final = "2002"
SERVICE_UNAVAILABLE: Final = "2003"
CLIENT_ERROR: Final = "3000"
UNACCEPTABLE_VERSION: Final = "3001"
UNKNOWN_URI: Final = "3002"
MALFORMED_SYNTAX: Final = "3101"
MISSING_ELEMENT: Final = "3102"
TOO_MANY_ELEMENTS: Final = "3103"
TOO_LARGE: Final = "3104"
INVALID_SIGNATURE: Final = "3105"
MODIFIED_REQUEST: Final = "3106"
ID_NOT_FOUND: Final = "3200"
PAYER_NOT_FOUND: Final = "3202"
PARTY_NOT_FOUND: Final = "3204"
QUOTE_NOT_FOUND: Final = "3205"
TRANSACTION_REQUEST_NOT_FOUND: Final = "3206"
TRANSACTION_NOT_FOUND: Final = "3207"
TRANSFER_NOT_FOUND: Final = "3208"
BULK_QUOTE_NOT_FOUND: Final = "3209"
BULK_TRANSFER_NOT_FOUND: Final = "3210"
REQUEST_EXPIRED: Final = "3301"
QUOTE_EXPIRED: Final = "3302"
TRANSFER_EXPIRED: Final = "3303"
PAYER_INSUFFICIENT: Final = "4001"
PAYER_REJECTION: Final = "4100"
PAYER_TYPE: Final = "4102"
PAYER_CURRENCY: Final = "4103"
PAYER_LIMIT: Final = "4200"
PAYER_PERMISSION: Final = "4300"
PAYER_BLOCKED: Final = "4400"
PAYEE_ERROR: Final = "5000"
PAYEE_REJECTED_QUOTE: Final = "5103"
PAYEE_CURRENCY: Final = "5106"
PAYEE_PERMISSION: Final = "5300"
PAYEE_BLOCKED: Final = "5400"

DESCRIPTION_CHARACTERS_MAX: Final = 128  # FSPIOP 1.1 ErrorDescription


def error_value(code: str, description: str) -> dict[str, str]:
    """Return the process variable ``error``, which gateways compare with null."""
    return {"code": code, "description": description[:DESCRIPTION_CHARACTERS_MAX]}


def refusal(
    bpmn_code: str, fspiop_code: str, description: str, variables: dict[str, Any] | None = None
) -> BpmnError:
    """Build the BPMN error that carries an FSPIOP code in the variable ``error``."""
    error = error_value(fspiop_code, description)
    return BpmnError(bpmn_code, description, {**(variables or {}), "error": error})
