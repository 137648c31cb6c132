"""Refusals that concern operators."""

from payhub_platform.errors import ConflictError, ForbiddenError, NotFoundError, UnprocessableError


class OperatorExistsError(ConflictError):
    """The id is taken."""

    def __init__(self) -> None:
        super().__init__("operator-exists", "An operator with this id is there.", "/operatorId")


class OperatorNotFoundError(NotFoundError):
    """No operator has this id."""

    def __init__(self) -> None:
        super().__init__("operator-not-found", "There is no operator with this id.")


class TooManyOperatorsError(UnprocessableError):
    """The installation has as many operators as it may."""

    def __init__(self, count_max: int) -> None:
        super().__init__("too-many-operators", f"An installation has at most {count_max} operators.")


class OperatorActiveError(ConflictError):
    """The operator does not wait."""

    def __init__(self) -> None:
        super().__init__("operator-active", "This operator was let in before.")


class RoleMissingError(ForbiddenError):
    """The operator may not do this."""

    def __init__(self, role: str) -> None:
        super().__init__("role-missing", f"This needs the role {role!r}.", "header:Authorization")
