"""Refusals that concern the lifecycle."""

from payhub_platform.errors import ConflictError


class WrongStatusError(ConflictError):
    """The tenant's status does not allow the step."""

    def __init__(self, kind: str, status: str, allowed: str) -> None:
        super().__init__("wrong-status", f"{kind} is possible from {allowed}; this tenant is {status}.")


class JobOpenError(ConflictError):
    """Another job of the tenant is not done yet."""

    def __init__(self, kind: str) -> None:
        super().__init__("job-open", f"The job {kind} of this tenant is not done yet.")


class RequirementsError(ConflictError):
    """Something is missing for the step."""

    def __init__(self, codes: list[str]) -> None:
        super().__init__("requirements-missing", f"Missing: {', '.join(codes)}. See .../requirements.")


class NotYetError(Exception):
    """A step has to wait; ``what`` tells for what, and the job goes on from there later."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class JobFailedError(Exception):
    """A step has shown that the job cannot lead on; ``what`` tells why, and the job ends."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
