"""The root of payhub's errors, and how they are told to users: RFC 9457 problem details."""

from typing import Any, ClassVar, Final

import msgspec

PROBLEM_TYPE_PREFIX: Final = "urn:payhub:problem:"
PROBLEM_MEDIA_TYPE: Final = "application/problem+json"


class Problem(msgspec.Struct, omit_defaults=True):
    """RFC 9457 problem details, with payhub's stable ``code`` and ``errors`` that say where."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    instance: str = ""
    errors: list[dict[str, str]] = []


class PayhubError(Exception):
    """Any refusal or failure that payhub tells a user.

    Attributes:
        code: stable, kebab-case; documented in docs/errors.md.
        status: HTTP status.
        where: JSON pointer (``/amount/currency``) or ``header:Name`` of what is wrong; may be empty.
        retry_after_s: when set, the answer carries Retry-After.
    """

    status: ClassVar[int] = 500
    title: ClassVar[str] = "payhub could not do this"

    def __init__(self, code: str, detail: str, where: str = "", *, retry_after_s: int | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.where = where
        self.retry_after_s = retry_after_s

    def problem(self, instance: str = "") -> Problem:
        """Return the RFC 9457 body that tells this error."""
        return Problem(
            type=PROBLEM_TYPE_PREFIX + self.code,
            title=self.title,
            status=self.status,
            code=self.code,
            detail=self.detail,
            instance=instance,
            errors=[{"pointer": self.where, "detail": self.detail}] if self.where else [],
        )

    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the answer."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class InvalidInputError(PayhubError):
    """What was sent cannot be understood or is not allowed; nothing was done."""

    status = 400
    title = "The request is not valid"


class UnauthenticatedError(PayhubError):
    """No credential, or one that does not hold."""

    status = 401
    title = "Who you are could not be established"

    def headers(self) -> dict[str, str]:
        """Add the challenge of RFC 6750."""
        return {**super().headers(), "WWW-Authenticate": 'Bearer error="invalid_token"'}


class ForbiddenError(PayhubError):
    """The credential holds, but does not allow this."""

    status = 403
    title = "You may not do this"


class NotFoundError(PayhubError):
    """There is no such thing, or not for this tenant."""

    status = 404
    title = "Not found"


class ConflictError(PayhubError):
    """The request contradicts what is already there."""

    status = 409
    title = "This contradicts what is already there"


class UnprocessableError(PayhubError):
    """The request is well-formed, but cannot be carried out as it stands."""

    status = 422
    title = "The request cannot be carried out as it stands"


class UnavailableError(PayhubError):
    """Overloaded, starting or cut off; the same request may be sent again."""

    status = 503
    title = "Try again shortly"

    def __init__(self, code: str, detail: str, where: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(code, detail, where, retry_after_s=retry_after_s)


def problem_of(error: Exception, instance: str = "") -> tuple[Problem, dict[str, str]]:
    """Turn any exception into a problem and its headers; what is not ours tells nothing of itself."""
    if isinstance(error, PayhubError):
        return error.problem(instance), error.headers()
    generic: Any = PayhubError("internal-error", "An unexpected error was logged; quote the trace id.")
    return generic.problem(instance), {}
