"""Counting what the steps left behind: which are missing, and which happened more than once."""

from collections import Counter
from collections.abc import Collection, Iterable

import msgspec

from payhub_peers.workflow import STEPS

_FIELDS = 3


class EffectCount(msgspec.Struct, frozen=True, kw_only=True):
    """The effects of a set of workflows.

    Attributes:
        steps_done: distinct steps that left an effect.
        steps_lost: steps that left none.
        steps_doubled: effects beyond a step's first.
    """

    steps_done: int
    steps_lost: int
    steps_doubled: int


def count_effects(lines: Iterable[str], workflow_ids: Collection[str]) -> EffectCount:
    """Count the effects of workflows that should all have ended.

    Args:
        lines: of the effects file, ``workflow step attempt``; other workflows' are passed over.
        workflow_ids: the workflows in question.

    Raises:
        ValueError: a line is no effect, or of a step that the workflow does not have.
    """
    wanted = frozenset(workflow_ids)
    times = Counter(effect for effect in map(_effect, lines) if effect[0] in wanted)
    return EffectCount(
        steps_done=len(times),
        steps_lost=len(wanted) * STEPS - len(times),
        steps_doubled=times.total() - len(times),
    )


def _effect(line: str) -> tuple[str, int]:
    fields = line.split()
    if len(fields) != _FIELDS:
        raise ValueError(f"No effect: {line!r}.")
    step = int(fields[1])
    if not 1 <= step <= STEPS:
        raise ValueError(f"No step of the workflow: {line!r}.")
    return fields[0], step
