"""What can stop a demonstration."""

from payhub_platform.errors import PayhubError


class DemoError(PayhubError):
    """A step of the demonstration could not be done; the text says which and why."""

    title = "The demonstration could not go on"

    def __init__(self, detail: str) -> None:
        super().__init__("demo-failed", detail)
