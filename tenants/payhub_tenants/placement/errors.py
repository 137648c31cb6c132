"""Refusals that concern placement."""

from payhub_platform.errors import InvalidInputError, UnprocessableError


class NoHeadroomError(UnprocessableError):
    """No engine can take the tenant's payments as well."""

    def __init__(self, needed: int) -> None:
        super().__init__(
            "no-headroom",
            f"No engine has room for {needed} payments a second; add one, or pin.",
            "/automatic",
        )


class UnfitWeightsError(InvalidInputError):
    """Weights do not fit the engines that they are for."""

    def __init__(self, detail: str) -> None:
        super().__init__("unfit-weights", detail, "/weights")
