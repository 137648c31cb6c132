"""Why a client, a token or a proof is refused.

The endpoints of OAuth2 itself tell RFC 6749's errors (``Refused``); an API that is called with a token tells
problems, with the challenges of RFC 6750 and RFC 9449.
"""

from typing import Any, Final

from authlib.oauth2 import OAuth2Error

from payhub_gateway.oauth2.signatures import ALGORITHMS
from payhub_platform.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PayhubError,
    UnauthenticatedError,
)

_WHERE_TOKEN = "header:Authorization"  # noqa: S105 - a place, not a secret
_WHERE_PROOF = "header:DPoP"
_SERVER_ERROR: Final = 500
_DPOP: Final = f'DPoP algs="{" ".join(ALGORITHMS)}"'


class RefusedError(OAuth2Error):  # type: ignore[misc] # Authlib ships no types
    """An error of RFC 6749 section 5.2 or of a later standard, by its name.

    Args:
        error: the standard's name of it, such as ``invalid_dpop_proof``.
        description: ASCII without quotes and backslashes.
        status: HTTP status.
        headers: sent with it.
    """

    def __init__(
        self, error: str, description: str, status: int = 400, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(description=description, status_code=status, error=error)
        self._headers = headers or {}

    def get_headers(self) -> list[tuple[str, str]]:
        """Return Authlib's headers and ours."""
        return [*super().get_headers(), *self._headers.items()]


class RefusedAssertionError(UnauthenticatedError):
    """A client assertion does not hold; the token endpoint tells it as RFC 6749's ``invalid_client``.

    The detail is sent as ``error_description``: ASCII without quotes and backslashes (RFC 6749 section 5.2).
    """

    def __init__(self, detail: str) -> None:
        super().__init__("invalid-assertion", detail)


class InvalidTokenError(UnauthenticatedError):
    """The access token is missing, forged, malformed, revoked, or not the caller's."""

    def __init__(self, detail: str, code: str = "invalid-token") -> None:
        super().__init__(code, detail, _WHERE_TOKEN)

    def headers(self) -> dict[str, str]:
        """Add the challenges of RFC 6750 and RFC 9449 section 7.1."""
        challenges = f'Bearer error="invalid_token", {_DPOP}, error="invalid_token"'
        return {**super().headers(), "WWW-Authenticate": challenges}


class ExpiredTokenError(InvalidTokenError):
    """The access token was good once; the client asks for a new one."""

    def __init__(self) -> None:
        super().__init__("The access token has expired.", "token-expired")


class InvalidProofError(UnauthenticatedError):
    """A DPoP proof does not hold (RFC 9449 section 4.3)."""

    oauth_error = "invalid_dpop_proof"

    def __init__(self, detail: str, code: str = "invalid-dpop-proof") -> None:
        super().__init__(code, detail, _WHERE_PROOF)

    def headers(self) -> dict[str, str]:
        """Add the challenge of RFC 9449 section 7.1."""
        return {**super().headers(), "WWW-Authenticate": f'{_DPOP}, error="{self.oauth_error}"'}


class NonceWantedError(InvalidProofError):
    """The proof must carry the nonce that the answer's DPoP-Nonce names (RFC 9449 section 8)."""

    oauth_error = "use_dpop_nonce"

    def __init__(self, nonce: str) -> None:
        super().__init__("The DPoP proof must carry the nonce of DPoP-Nonce.", "dpop-nonce-wanted")
        self.nonce = nonce

    def headers(self) -> dict[str, str]:
        """Add the nonce."""
        return {**super().headers(), "DPoP-Nonce": self.nonce}


class InvalidCertificateError(InvalidInputError):
    """What the proxy passes on as the client's certificate is none."""

    def __init__(self) -> None:
        super().__init__("invalid-client-certificate", "The client certificate cannot be read.")


class SigningKeyError(PayhubError):
    """The token signing keys on disk cannot be used."""


class ConsentPageError(InvalidInputError):
    """The consent page cannot go on; the user starts again at the application that sent them."""


class UnknownClientError(NotFoundError):
    """There is no client registration for this credential."""

    def __init__(self) -> None:
        super().__init__("unknown-registration", "There is no such client registration.")


class RegistrationChangedError(ConflictError):
    """Two requests changed one registration at the same time."""

    def __init__(self) -> None:
        super().__init__("registration-changed", "The registration was changed meanwhile; read it again.")


def told(error: PayhubError) -> RefusedError:
    """Return how an endpoint of OAuth2 tells an error of ours."""
    named: Any = getattr(error, "oauth_error", None)
    if named is not None:
        headers = {name: value for name, value in error.headers().items() if name == "DPoP-Nonce"}
        return RefusedError(named, error.detail, 400, headers)
    name = "invalid_request" if error.status < _SERVER_ERROR else "temporarily_unavailable"
    return RefusedError(name, error.detail, error.status, error.headers())
