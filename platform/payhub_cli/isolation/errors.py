"""What can stop the proof."""

from payhub_platform.errors import PayhubError


class IsolationError(PayhubError):
    """What the proof needs could not be had; the text says what."""

    title = "Isolation could not be tried"

    def __init__(self, detail: str) -> None:
        super().__init__("isolation-untried", detail)
