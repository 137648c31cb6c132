"""Refusals that concern tenants."""

from payhub_platform.errors import ConflictError, InvalidInputError, NotFoundError, UnprocessableError


class TenantNotFoundError(NotFoundError):
    """No tenant has this id."""

    def __init__(self) -> None:
        super().__init__("tenant-not-found", "There is no tenant with this id.")


class TenantExistsError(ConflictError):
    """The id is taken by a tenant that was created with another request."""

    def __init__(self) -> None:
        super().__init__(
            "tenant-exists", "A tenant with this id was created with another request.", "/tenantId"
        )


class FspTakenError(ConflictError):
    """Another tenant is known to the scheme by this FSP id."""

    def __init__(self) -> None:
        super().__init__("fsp-taken", "Another tenant has this FSP id.", "/fspId")


class UnknownEngineError(UnprocessableError):
    """A placement names an engine that this installation does not have."""

    def __init__(self, engine: str, where: str) -> None:
        super().__init__("unknown-engine", f"This installation has no engine {engine!r}.", where)


class UnsuitableKeyError(InvalidInputError):
    """A PEM text holds no key, or not one of the kind that is needed."""

    def __init__(self, detail: str, where: str) -> None:
        super().__init__("unsuitable-key", detail, where)


class TenantLeavingError(ConflictError):
    """The tenant is being offboarded, or is gone."""

    def __init__(self) -> None:
        super().__init__("tenant-leaving", "This tenant is offboarded; nothing new is set up for it.")
