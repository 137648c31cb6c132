"""Refusals that concern endpoints."""

from payhub_platform.errors import InvalidInputError


class PrivateAddressError(InvalidInputError):
    """The address leads into a private network: payhub would be the way in for whoever set it."""

    def __init__(self, where: str) -> None:
        super().__init__("private-address", "The address must be public and speak https.", where)


class UnknownHostError(InvalidInputError):
    """No address is known for the host."""

    def __init__(self, where: str) -> None:
        super().__init__("unknown-host", "The host has no address.", where)
