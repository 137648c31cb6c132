"""What can stop an onboarding."""

from payhub_platform.errors import PayhubError


class OnboardError(PayhubError):
    """A step could not be done; the text says which and why."""

    title = "The institution could not be onboarded"

    def __init__(self, detail: str) -> None:
        super().__init__("onboard-failed", detail)
