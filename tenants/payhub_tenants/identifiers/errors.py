"""Refusals that concern party identifiers, and why a registration can fail."""

from payhub_platform.errors import InvalidInputError


class DuplicateIdentifierError(InvalidInputError):
    """One request names the same identifier twice."""

    def __init__(self, index: int) -> None:
        super().__init__("duplicate-identifier", "Each identifier is named once.", f"/identifiers/{index}")


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
