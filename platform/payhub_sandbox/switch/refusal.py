"""How the switch refuses: FSPIOP's errorInformation (API Definition 1.1 sections 7.4.3 and 7.6)."""

from typing import Any, Final

import msgspec

from payhub_platform.errors import PayhubError

MALFORMED_SYNTAX: Final = "3101"
MISSING_ELEMENT: Final = "3102"
TOO_MANY_ELEMENTS: Final = "3103"
TOO_LARGE_PAYLOAD: Final = "3104"
INVALID_SIGNATURE: Final = "3105"
MODIFIED_REQUEST: Final = "3106"
VALIDATION_ERROR: Final = "3100"
UNACCEPTABLE_VERSION: Final = "3001"
UNKNOWN_URI: Final = "3002"
PARTY_INFORMATION_ERROR: Final = "3003"
DELETE_PARTY_ERROR: Final = "3040"  # Mojaloop's own, in no document
ID_NOT_FOUND: Final = "3200"
DESTINATION_FSP_ERROR: Final = "3201"
PAYER_FSP_NOT_FOUND: Final = "3202"
PAYEE_FSP_NOT_FOUND: Final = "3203"
PARTY_NOT_FOUND: Final = "3204"
QUOTE_NOT_FOUND: Final = "3205"
TRANSACTION_REQUEST_NOT_FOUND: Final = "3206"
TRANSACTION_NOT_FOUND: Final = "3207"
TRANSFER_NOT_FOUND: Final = "3208"
BULK_QUOTE_NOT_FOUND: Final = "3209"
BULK_TRANSFER_NOT_FOUND: Final = "3210"
QUOTE_EXPIRED: Final = "3302"
TRANSFER_EXPIRED: Final = "3303"
PAYER_FSP_INSUFFICIENT_LIQUIDITY: Final = "4001"
PAYEE_ERROR: Final = "5000"
PAYEE_FSP_REJECTED: Final = "5105"
PAYEE_UNSUPPORTED_CURRENCY: Final = "5106"
SERVICE_UNAVAILABLE: Final = "2003"

DESCRIPTION_CHARACTERS_MAX: Final = 128  # ErrorDescription, section 7.3.10
_BAD_REQUEST: Final = 400


class FspiopRefusalError(PayhubError):
    """A message that the switch answers with an error at once, before it does anything.

    Attributes:
        error_code: FSPIOP's four digits.
        http_status: status of the answer.
    """

    def __init__(
        self,
        error_code: str,
        description: str,
        http_status: int = _BAD_REQUEST,
        extensions: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(f"fspiop-{error_code}", description)
        self.error_code = error_code
        self.http_status = http_status
        self._extensions = extensions

    def body(self) -> bytes:
        """Return the errorInformation body."""
        return msgspec.json.encode(error_information(self.error_code, self.detail, self._extensions))


def error_information(
    error_code: str, description: str, extensions: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Return an errorInformation object (section 7.4.3).

    Args:
        error_code: four digits.
        description: cut to what ErrorDescription holds.
        extensions: keys and values of its extensionList.
    """
    information: dict[str, Any] = {
        "errorCode": error_code,
        "errorDescription": description[:DESCRIPTION_CHARACTERS_MAX],
    }
    if extensions:
        information["extensionList"] = {"extension": extensions}
    return {"errorInformation": information}
