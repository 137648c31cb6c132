"""Why a client or a token is refused."""

from payhub_platform.errors import UnauthenticatedError

_WHERE_TOKEN = "header:Authorization"  # noqa: S105 - a place, not a secret


class RefusedAssertionError(UnauthenticatedError):
    """A client assertion does not hold; the token endpoint tells it as RFC 6749's ``invalid_client``.

    The detail is sent as ``error_description``: ASCII without quotes and backslashes (RFC 6749 section 5.2).
    """

    def __init__(self, detail: str) -> None:
        super().__init__("invalid-assertion", detail)


class InvalidTokenError(UnauthenticatedError):
    """The access token is missing, forged, malformed or meant for somebody else."""

    def __init__(self, detail: str, code: str = "invalid-token") -> None:
        super().__init__(code, detail, _WHERE_TOKEN)


class ExpiredTokenError(InvalidTokenError):
    """The access token was good once; the client asks for a new one."""

    def __init__(self) -> None:
        super().__init__("The access token has expired.", "token-expired")
