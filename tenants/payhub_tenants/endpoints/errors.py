"""Refusals that concern endpoints."""

from payhub_platform.errors import InvalidInputError, NotFoundError


class UnknownHostError(InvalidInputError):
    """No address is known for the host."""

    def __init__(self, where: str) -> None:
        super().__init__("unknown-host", "The host has no address.", where)


class EndpointNotFoundError(NotFoundError):
    """The institution has no such endpoint."""

    def __init__(self) -> None:
        super().__init__("endpoint-not-found", "The institution has no such endpoint.")
