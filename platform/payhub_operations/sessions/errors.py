"""Why somebody is not let in."""

from typing import ClassVar

from payhub_platform.errors import PayhubError, UnauthenticatedError


class OperatorTokenError(UnauthenticatedError):
    """A program sent no operator token, or a wrong one."""

    def __init__(self) -> None:
        super().__init__(
            "operator-token", "Send the operator token as a bearer token.", "header:Authorization"
        )


class LoginRequiredError(UnauthenticatedError):
    """A person has no session, or one that is over; the browser is sent to the login page.

    Attributes:
        wanted: path and query that were asked for.
    """

    def __init__(self, wanted: str) -> None:
        super().__init__("login-required", "Log in first.")
        self.wanted = wanted


class TooManyAttemptsError(PayhubError):
    """One address has sent too many wrong credentials."""

    status: ClassVar[int] = 429
    title: ClassVar[str] = "Too many attempts"

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(
            "too-many-attempts",
            "Too many wrong credentials came from this address; wait a minute.",
            retry_after_s=retry_after_s,
        )
