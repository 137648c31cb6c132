"""Refusals that concern party identifiers, and why a registration can fail."""

from payhub_platform.errors import ConflictError, InvalidInputError, NotFoundError, UnprocessableError


class DuplicateIdentifierError(InvalidInputError):
    """One request names the same identifier twice."""

    def __init__(self, index: int) -> None:
        super().__init__("duplicate-identifier", "Each identifier is named once.", f"/identifiers/{index}")


class IdentifierNotFoundError(NotFoundError):
    """The tenant has no such identifier."""

    def __init__(self) -> None:
        super().__init__("identifier-not-found", "The institution has no such party identifier.")


class IdentifierBusyError(ConflictError):
    """The identifier is being registered, moved or withdrawn by another request."""

    def __init__(self) -> None:
        super().__init__("identifier-busy", "Another request works on this identifier; send it again later.")


class NotDoneError(UnprocessableError):
    """The scheme or the core bank did not do it; sending the same again goes on from there."""

    def __init__(self, reason: str) -> None:
        super().__init__("not-done-outside", f"Not done yet: {reason}")


class FileOpenError(ConflictError):
    """Another file of the tenant is worked on."""

    def __init__(self) -> None:
        super().__init__("file-open", "Another file of this institution is not done yet.")


class NoFileError(NotFoundError):
    """The tenant never sent a file."""

    def __init__(self) -> None:
        super().__init__("no-file", "This institution has sent no file.")


class RegistrationError(Exception):
    """One identifier could not be registered; told in its own line of the answer, not as a problem.

    Attributes:
        code: stable, kebab-case.
        detail: for people; never holds the identifier itself.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
