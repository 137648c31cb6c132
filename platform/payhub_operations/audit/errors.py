"""What can go wrong with the audit log."""

from payhub_platform.errors import InvalidInputError, UnavailableError


class MalformedBatchError(InvalidInputError):
    """A message on the audit stream is no batch of consecutive records; its positions stay missing."""

    def __init__(self, detail: str) -> None:
        super().__init__("malformed-audit-batch", detail)


class ReplayError(UnavailableError):
    """The engine did not give the missing records now; the gap stays open and is asked for again."""

    def __init__(self, engine: str, detail: str) -> None:
        super().__init__("audit-replay", f"Engine {engine}: {detail}")


class NobodyHoldsError(ReplayError):
    """No replica answered that it holds the records."""
