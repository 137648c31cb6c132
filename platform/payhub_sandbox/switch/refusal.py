"""How the switch refuses: FSPIOP's errorInformation (API Definition 1.1 sections 7.4.3 and 7.6)."""

from typing import Final

import msgspec

from payhub_platform.contracts.fspiop import ErrorInformation, ErrorResponse
from payhub_platform.errors import PayhubError

MALFORMED_SYNTAX: Final = "3101"
MISSING_ELEMENT: Final = "3102"
TOO_LARGE_PAYLOAD: Final = "3104"
INVALID_SIGNATURE: Final = "3105"
MODIFIED_REQUEST: Final = "3106"
VALIDATION_ERROR: Final = "3100"
UNACCEPTABLE_VERSION: Final = "3001"
UNKNOWN_URI: Final = "3002"
PARTY_INFORMATION_ERROR: Final = "3003"
ID_NOT_FOUND: Final = "3200"
DESTINATION_FSP_ERROR: Final = "3201"
PAYEE_FSP_NOT_FOUND: Final = "3203"
PARTY_NOT_FOUND: Final = "3204"
TRANSFER_NOT_FOUND: Final = "3208"
TRANSFER_EXPIRED: Final = "3303"
PAYER_FSP_INSUFFICIENT_LIQUIDITY: Final = "4001"
PAYEE_ERROR: Final = "5000"
SERVICE_UNAVAILABLE: Final = "2003"

DESCRIPTION_CHARACTERS_MAX: Final = 128  # ErrorDescription, section 7.3.10
_BAD_REQUEST: Final = 400


class FspiopRefusalError(PayhubError):
    """A message that the switch answers with an error at once, before it does anything.

    Attributes:
        error_code: FSPIOP's four digits.
        http_status: status of the answer.
    """

    def __init__(self, error_code: str, description: str, http_status: int = _BAD_REQUEST) -> None:
        super().__init__(f"fspiop-{error_code}", description)
        self.error_code = error_code
        self.http_status = http_status

    def body(self) -> bytes:
        """Return the errorInformation body."""
        return error_body(self.error_code, self.detail)


def error_body(error_code: str, description: str) -> bytes:
    """Write an errorInformation object as compact JSON."""
    information = ErrorInformation(
        error_code=error_code, error_description=description[:DESCRIPTION_CHARACTERS_MAX]
    )
    return msgspec.json.encode(ErrorResponse(error_information=information))
