"""Refusals that concern OAuth clients."""

from payhub_platform.errors import ConflictError, InvalidInputError, UnprocessableError


class ClientExistsError(ConflictError):
    """The id is taken by a client that was registered with another request."""

    def __init__(self) -> None:
        super().__init__(
            "client-exists", "A client with this id was registered with another request.", "/clientId"
        )


class ClientTakenError(ConflictError):
    """The id belongs to a client of another tenant."""

    def __init__(self) -> None:
        super().__init__("client-taken", "This client id is taken.", "/clientId")


class TooManyClientsError(UnprocessableError):
    """The tenant has as many clients as a configuration may hold."""

    def __init__(self, count_max: int) -> None:
        super().__init__("too-many-clients", f"A tenant has at most {count_max} clients.")


class UnsuitableJwkError(InvalidInputError):
    """A key of the set cannot be used to check signatures of a client."""

    def __init__(self, detail: str, where: str) -> None:
        super().__init__("unsuitable-key", detail, where)


class PrivateKeySentError(InvalidInputError):
    """The key set holds a private or symmetric key; it must be replaced, because it was sent to us."""

    def __init__(self, where: str) -> None:
        super().__init__("private-key-sent", "Send public keys only, and replace the key you sent.", where)
