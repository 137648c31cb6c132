"""Refusals that concern keys and certificates."""

from payhub_platform.errors import ConflictError, InvalidInputError, NotFoundError, UnprocessableError


class KeyNotFoundError(NotFoundError):
    """The tenant has no key of this id."""

    def __init__(self) -> None:
        super().__init__("key-not-found", "The institution has no key with this id.")


class KeyInUseError(ConflictError):
    """The key signs messages now."""

    def __init__(self) -> None:
        super().__init__("key-in-use", "This key signs messages now; activate another one first.")


class KeyWaitsError(ConflictError):
    """Another key than the one asked for is the next one."""

    def __init__(self) -> None:
        super().__init__("key-waits", "Another key is the next one; activate it or have it deleted first.")


class KeyOverError(ConflictError):
    """The key was used before, or has expired."""

    def __init__(self) -> None:
        super().__init__("key-over", "A key that was replaced or has expired is not used again.")


class UnsuitableRequestError(InvalidInputError):
    """The text is no certificate signing request, or one that proves nothing."""

    def __init__(self, detail: str) -> None:
        super().__init__("unsuitable-csr", detail, "/csrPem")


class TooManyCertificatesError(UnprocessableError):
    """The tenant has as many certificates as it may."""

    def __init__(self, count_max: int) -> None:
        super().__init__("too-many-certificates", f"An institution has at most {count_max} certificates.")
