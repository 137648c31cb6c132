"""What the core answers to a command."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Accepted:
    """The command took effect, or (``duplicate``) had done so before.

    ``key`` is the instance, job, timer or message key, or the hand-over's sequence.
    """

    key: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """The command has no effect; ``code`` is stable and kebab-case."""

    code: str
    detail: str


Reply = Accepted | Rejected
