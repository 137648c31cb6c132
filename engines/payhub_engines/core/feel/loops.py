"""Runs over lists: ``for``, ``some``, ``every`` and filters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from payhub_engines.core.feel.errors import ExpressionError
from payhub_engines.core.feel.evaluation import Compiled, Scope
from payhub_engines.core.feel.limits import LIST_ITEMS_MAX
from payhub_engines.core.feel.values import DECIMAL, Number, Range, conjunction, disjunction, number_of


@dataclass(frozen=True, slots=True)
class CompiledIteration:
    """``name in values``, or with ``last`` the numbers from one to the other."""

    name: str
    values: Compiled
    last: Compiled | None

    def items(self, scope: Scope) -> Sequence[Any] | None:
        """Return what the name stands for, one after the other; null when that is no list."""
        values = self.values(scope)
        if self.last is not None:
            return _numbers(number_of(values), number_of(self.last(scope)))
        if isinstance(values, Range):
            return _numbers_inside(values)
        return values if isinstance(values, list) else None


class _NoListError(Exception):
    """What should be iterated is no list, so the whole expression is null."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Something that is computed for each combination of what its names stand for.

    ``weight`` is what computing it once costs.
    """

    iterations: Sequence[CompiledIteration]
    body: Compiled
    weight: int

    def results(self, scope: Scope, *, partial: bool) -> list[Any] | None:
        """Return the body's value for each combination; ``partial`` shows it the results so far.

        Raises:
            ExpressionError: there are too many.
        """
        results: list[Any] = []
        try:
            for names in self._combinations(scope):
                if partial:
                    scope.run.spend(len(results))
                    names["partial"] = list(results)
                results.append(self.body(scope.inner(names)))
                _bounded(len(results))
        except _NoListError:
            return None
        return results

    def some(self, scope: Scope) -> bool | None:
        """Tell whether the condition holds for any combination, in three-valued logic."""
        found: bool | None = False
        try:
            for names in self._combinations(scope):
                found = disjunction(found, self.body(scope.inner(names)))
                if found:
                    return True
        except _NoListError:
            return None
        return found

    def every(self, scope: Scope) -> bool | None:
        """Tell whether the condition holds for all combinations, in three-valued logic."""
        found: bool | None = True
        try:
            for names in self._combinations(scope):
                found = conjunction(found, self.body(scope.inner(names)))
                if found is False:
                    return False
        except _NoListError:
            return None
        return found

    def _combinations(self, scope: Scope) -> Iterator[dict[str, Any]]:
        for names in _combinations(self.iterations, scope):
            scope.run.spend(self.weight)
            yield names


def _combinations(iterations: Sequence[CompiledIteration], scope: Scope) -> Iterator[dict[str, Any]]:
    """Walk all combinations, the last iteration fastest; later ones see the names of earlier ones."""
    iteration, rest = iterations[0], iterations[1:]
    items = iteration.items(scope)
    if items is None:
        raise _NoListError
    for item in items:
        scope.run.spend(1)
        names = {iteration.name: item}
        if not rest:
            yield names
            continue
        for more in _combinations(rest, scope.inner(names)):
            yield {**names, **more}


def _numbers(first: Number | None, last: Number | None) -> Sequence[Number] | None:
    if first is None or last is None:
        return None
    step = 1 if first <= last else -1
    count = int(DECIMAL.subtract(Decimal(last), Decimal(first)).copy_abs()) + 1
    if isinstance(first, int):
        return range(first, first + step * count, step)
    _bounded(count)
    return [DECIMAL.add(first, Decimal(step * place)) for place in range(count)]


def _bounded(count: int) -> None:
    if count > LIST_ITEMS_MAX:
        raise ExpressionError(f"A list may have at most {LIST_ITEMS_MAX} items.")


def _numbers_inside(interval: Range) -> Sequence[Number] | None:
    """Return the whole numbers of a range, as DMN 1.5 iterates it."""
    start, end = number_of(interval.start), number_of(interval.end)
    if not isinstance(start, int) or not isinstance(end, int):
        return None
    first = start if interval.start_included else start + 1
    last = end if interval.end_included else end - 1
    return _numbers(first, last) if first <= last else []


def filtered(items: list[Any], condition: Compiled, scope: Scope, weight: int) -> Any:
    """Return the items for which the condition holds, or the item whose place it computes."""
    found: list[Any] = []
    for place, item in enumerate(items):
        scope.run.spend(weight)
        holds = condition(_item_scope(item, scope))
        number = number_of(holds) if place == 0 else None
        if number is not None:
            return item_at(items, number)
        if holds is True:
            found.append(item)
    return found


def _item_scope(item: Any, scope: Scope) -> Scope:
    inner = scope.inner({"item": item})
    return inner.inner(item) if isinstance(item, Mapping) else inner


def item_at(items: list[Any], place: Number) -> Any:
    """Return the item at a place from 1, or with a negative place from the end; null where there is none."""
    index = int(place) - 1 if place > 0 else len(items) + int(place)
    return items[index] if 0 <= index < len(items) else None
