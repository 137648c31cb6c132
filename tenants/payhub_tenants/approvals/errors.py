"""Refusals that concern approvals."""

from payhub_platform.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError


class ApprovalNotFoundError(NotFoundError):
    """The tenant has no approval of this id."""

    def __init__(self) -> None:
        super().__init__("approval-not-found", "There is no such request for approval.")


class SameOperatorError(ForbiddenError):
    """Who asked approves."""

    def __init__(self) -> None:
        super().__init__("same-operator", "Another person than the one who asked must approve.")


class ApprovalDecidedError(ConflictError):
    """It was decided the other way."""

    def __init__(self, state: str) -> None:
        super().__init__("approval-decided", f"This was {state} before.")


class NotConfirmedError(InvalidInputError):
    """The id was not typed again."""

    def __init__(self) -> None:
        super().__init__(
            "not-confirmed", "Repeat the tenant's id, so that the right one is purged.", "/confirm"
        )
