"""Fineract's store of answers by Idempotency-Key: refusals are kept as well, for as long as it lasts."""

from collections import OrderedDict
from typing import Final

import msgspec

ANSWERS_MAX: Final = 100_000
KEY_CHARACTERS_MAX: Final = 50

Scope = tuple[str, str, str]
"""Action, entity and key: neither URL nor user nor body is compared."""


class Answer(msgspec.Struct, frozen=True):
    """A status with its JSON body; ``finished`` is False when the bank crashed after it had booked."""

    status: int
    body: bytes
    finished: bool = True


class AnswerStore:
    """The latest answers; the oldest are purged first."""

    def __init__(self, capacity: int = ANSWERS_MAX) -> None:
        self._answers: OrderedDict[Scope, Answer] = OrderedDict()
        self._capacity = capacity

    def find(self, scope: Scope) -> Answer | None:
        """Return the stored answer, or None."""
        return self._answers.get(scope)

    def keep(self, scope: Scope, answer: Answer) -> None:
        """Store an answer."""
        self._answers[scope] = answer
        if len(self._answers) > self._capacity:
            self._answers.popitem(last=False)
