"""What the core answers to a command."""

import msgspec


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The command took effect, or (``duplicate``) had done so before.

    ``key`` is the instance, job, timer or message key, or the hand-over's sequence.
    """

    key: int
    duplicate: bool = False


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """The command has no effect; ``code`` is stable and kebab-case.

    ``retry_at_ms`` is when the same may be accepted, where that is known.
    """

    code: str
    detail: str
    retry_at_ms: int | None = None


Reply = Accepted | Rejected
