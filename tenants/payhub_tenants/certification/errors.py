"""Refusals that concern certification, and what keeps a case from going on."""

from payhub_platform.errors import ConflictError, NotFoundError, UnavailableError


class CertificationUnavailableError(UnavailableError):
    """The sandbox that the suite runs against does not answer now."""

    def __init__(self, detail: str) -> None:
        super().__init__("certification-unavailable", detail, retry_after_s=5)


class NoSandboxError(ConflictError):
    """The installation has no sandbox, or one that lacks what the suite needs; waiting does not help."""

    def __init__(self, detail: str) -> None:
        super().__init__("no-sandbox", detail)


class NotAtSandboxError(ConflictError):
    """The institution's scheme is another switch than the sandbox's: the suite's payments would be real."""

    def __init__(self) -> None:
        super().__init__(
            "not-at-sandbox",
            "The institution's switch is not the sandbox's: PUT .../scheme with its address and public key.",
        )


class NoMemberError(ConflictError):
    """There is no registered member whose account the suite could use."""

    def __init__(self) -> None:
        super().__init__("no-member", "The suite needs a registered party identifier with money.", "/value")


class NoCertificationError(NotFoundError):
    """The suite was never run."""

    def __init__(self) -> None:
        super().__init__("no-certification", "The payment suite was not run for this institution yet.")


class OutsideError(Exception):
    """The engine or the sandbox did not answer as it should, for now; ``what`` is for people."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class SandboxUnfitError(OutsideError):
    """There is no sandbox, or it lacks what the suite needs."""
