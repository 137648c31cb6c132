"""Built-ins that make one number, or one value, of a list; a list with anything else in it gives null."""

import functools
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from payhub_engines.core.feel.arithmetic import add, divide, multiply, subtract
from payhub_engines.core.feel.functions import Table
from payhub_engines.core.feel.values import DECIMAL, Number, exact, number_of, order

TABLE: Final = Table()


def _numbers(items: list[Any]) -> list[Number] | None:
    numbers = [number for number in map(number_of, items) if number is not None]
    return numbers if items and len(numbers) == len(items) else None


def _best(items: list[Any], sign: int) -> Any:
    best = items[0] if items else None
    for item in items:
        found = order(item, best)
        if found is None:
            return None
        if found == sign:
            best = item
    return best


@TABLE.add("min", "list:list*")
def _min(items: list[Any]) -> Any:
    return _best(items, -1)


@TABLE.add("max", "list:list*")
def _max(items: list[Any]) -> Any:
    return _best(items, 1)


def _folded(items: list[Any], operation: Callable[[Number, Number], Any]) -> Number | None:
    numbers = _numbers(items)
    return None if numbers is None else functools.reduce(operation, numbers)


@TABLE.add("sum", "list:list*")
def _sum(items: list[Any]) -> Number | None:
    return _folded(items, add)


@TABLE.add("product", "list:list*")
def _product(items: list[Any]) -> Number | None:
    return _folded(items, multiply)


@TABLE.add("mean", "list:list*")
def _mean(items: list[Any]) -> Any:
    return divide(_folded(items, add), len(items))


@TABLE.add("median", "list:list*")
def _median(items: list[Any]) -> Any:
    numbers = _numbers(items)
    if numbers is None:
        return None
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else divide(add(ordered[middle - 1], ordered[middle]), 2)


@TABLE.add("stddev", "list:list*")
def _stddev(items: list[Any]) -> Number | None:
    """Return the standard deviation of a sample; null for fewer than two numbers."""
    mean = _mean(items)
    if mean is None:
        return None
    deviations = [subtract(item, mean) for item in items]
    squares = _folded([multiply(deviation, deviation) for deviation in deviations], add)
    variance = number_of(divide(squares, len(items) - 1))
    return None if variance is None else exact(DECIMAL.sqrt(Decimal(variance)))


@TABLE.add("mode", "list:list*")
def _mode(items: list[Any]) -> list[Number] | None:
    numbers = _numbers(items)
    if numbers is None:
        return None if items else []
    counts: dict[Number, int] = {}
    for number in numbers:
        counts[number] = counts.get(number, 0) + 1
    most = max(counts.values())
    return sorted(number for number, count in counts.items() if count == most)
