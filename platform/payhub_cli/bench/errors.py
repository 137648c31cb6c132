"""What can stop a measurement."""

from payhub_platform.errors import PayhubError


class BenchError(PayhubError):
    """The measurement could not be made; the text says why."""

    title = "The measurement could not be made"

    def __init__(self, detail: str) -> None:
        super().__init__("bench-failed", detail)
