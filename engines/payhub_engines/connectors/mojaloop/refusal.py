"""A scheme message that is refused at once, with FSPIOP's own error body."""

import msgspec

from payhub_engines.connectors import refusals
from payhub_platform.contracts.fspiop import ErrorInformation, ErrorResponse, ExtensionList


class FspiopRefusal(Exception):  # noqa: N818 - the scheme's word for it, agreed between rooms
    """A scheme message that is refused at once, with FSPIOP's error body instead of a problem.

    Attributes:
        status: HTTP status of the answer.
        error_code: FSPIOP error code, such as 3101.
        description: where and what is wrong, at most 128 characters, without contents of the message.
        where: JSON pointer or ``header:Name``; may be empty.
        extensions: what else the sender should know, such as the versions spoken here.
    """

    def __init__(
        self,
        status: int,
        error_code: str,
        description: str,
        where: str = "",
        extensions: ExtensionList | None = None,
    ) -> None:
        super().__init__(f"{error_code}: {description}")
        self.status = status
        self.error_code = error_code
        told = f"{where}: {description}" if where else description
        self.description = told[: refusals.DESCRIPTION_CHARACTERS_MAX]
        self.where = where
        self.extensions = extensions

    def body(self) -> bytes:
        """Return the answer's JSON body."""
        information = ErrorInformation(
            error_code=self.error_code,
            error_description=self.description,
            extension_list=self.extensions,
        )
        return msgspec.json.encode(ErrorResponse(error_information=information))


def malformed(description: str, where: str = "") -> FspiopRefusal:
    """Refuse with 3101, malformed syntax."""
    return FspiopRefusal(400, refusals.MALFORMED_SYNTAX, description, where)


def missing(description: str, where: str = "") -> FspiopRefusal:
    """Refuse with 3102, missing mandatory element."""
    return FspiopRefusal(400, refusals.MISSING_ELEMENT, description, where)


def unknown_uri() -> FspiopRefusal:
    """Refuse with 3002, unknown URI."""
    return FspiopRefusal(404, refusals.UNKNOWN_URI, "There is no such resource here.")


def not_allowed() -> FspiopRefusal:
    """Refuse a method that a resource never has."""
    return FspiopRefusal(405, refusals.CLIENT_ERROR, "The resource does not take this method.")


def not_served(what: str) -> FspiopRefusal:
    """Refuse with 501 and 2002 what only a scheme or another kind of institution serves; never sent again."""
    return FspiopRefusal(501, refusals.NOT_IMPLEMENTED, what)
