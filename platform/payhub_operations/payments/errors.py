"""What can be wrong with a question about payments."""

from payhub_platform.errors import InvalidInputError, NotFoundError


class PaymentNotFoundError(NotFoundError):
    """The tenant has no such payment; whether another has it is not said."""

    def __init__(self, payment: str) -> None:
        super().__init__("payment-not-found", f"There is no payment {payment!r} for this tenant.")


class InvalidSearchError(InvalidInputError):
    """A filter of the search is not understood."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__("invalid-search", detail, f"query:{field}")
