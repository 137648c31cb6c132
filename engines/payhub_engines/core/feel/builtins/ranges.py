"""Built-ins that compare points and ranges, after Allen's interval algebra (DMN 1.5, table 78)."""

from typing import Final

from payhub_engines.core.feel.functions import Table
from payhub_engines.core.feel.values import Range, in_range, order

TABLE: Final = Table()

_ANY_PAIR: Final = "point1|range1|point:any, point2|range2|range:any"
_RANGE_FIRST: Final = "range1|range:any, range2|point:any"
_RANGE_SECOND: Final = "range1|point:any, range2|range:any"


class _NoOrderError(ValueError):
    """The values cannot be compared, so the built-in's answer is null."""


def _order(left: object, right: object) -> int:
    found = order(left, right)
    if found is None:
        raise _NoOrderError("The values cannot be compared.")
    return found


def _range_of(value: object) -> Range:
    """Return a point as the range of this point alone."""
    return value if isinstance(value, Range) else Range(value, value)


def _starts_compared(a: Range, b: Range) -> int:
    """Compare where ranges start; one that excludes its start begins later."""
    return _order(a.start, b.start) or int(b.start_included) - int(a.start_included)


def _ends_compared(a: Range, b: Range) -> int:
    """Compare where ranges end; one that excludes its end stops earlier."""
    return _order(a.end, b.end) or int(a.end_included) - int(b.end_included)


def _is_before(a: Range, b: Range) -> bool:
    gap = _order(a.end, b.start)
    return gap < 0 or (gap == 0 and not (a.end_included and b.start_included))


def _is_inside(inner: Range, outer: Range) -> bool:
    return _starts_compared(inner, outer) >= 0 and _ends_compared(inner, outer) <= 0


@TABLE.add("before", _ANY_PAIR)
def _before(left: object, right: object) -> bool:
    return _is_before(_range_of(left), _range_of(right))


@TABLE.add("after", _ANY_PAIR)
def _after(left: object, right: object) -> bool:
    return _is_before(_range_of(right), _range_of(left))


@TABLE.add("meets", "range1:range, range2:range")
def _meets(a: Range, b: Range) -> bool:
    return a.end_included and b.start_included and _order(a.end, b.start) == 0


@TABLE.add("met by", "range1:range, range2:range")
def _met_by(a: Range, b: Range) -> bool:
    return _meets(b, a)


@TABLE.add("overlaps", "range1:range, range2:range")
def _overlaps(a: Range, b: Range) -> bool:
    return not _is_before(a, b) and not _is_before(b, a)


@TABLE.add("overlaps before", "range1:range, range2:range")
def _overlaps_before(a: Range, b: Range) -> bool:
    return _starts_compared(a, b) < 0 and not _is_before(a, b) and _ends_compared(a, b) <= 0


@TABLE.add("overlaps after", "range1:range, range2:range")
def _overlaps_after(a: Range, b: Range) -> bool:
    return _overlaps_before(b, a)


@TABLE.add("includes", _RANGE_FIRST)
def _includes(outer: object, inner: object) -> bool | None:
    if not isinstance(outer, Range):
        return None
    return _is_inside(inner, outer) if isinstance(inner, Range) else in_range(inner, outer)


@TABLE.add("during", _RANGE_SECOND)
def _during(inner: object, outer: object) -> bool | None:
    return _includes(outer, inner)


@TABLE.add("finishes", _RANGE_SECOND)
def _finishes(left: object, right: object) -> bool | None:
    if not isinstance(right, Range):
        return None
    a = _range_of(left)
    return _ends_compared(a, right) == 0 and _starts_compared(a, right) >= 0


@TABLE.add("finished by", _RANGE_FIRST)
def _finished_by(left: object, right: object) -> bool | None:
    return _finishes(right, left)


@TABLE.add("starts", _RANGE_SECOND)
def _starts(left: object, right: object) -> bool | None:
    if not isinstance(right, Range):
        return None
    a = _range_of(left)
    return _starts_compared(a, right) == 0 and _ends_compared(a, right) <= 0


@TABLE.add("started by", _RANGE_FIRST)
def _started_by(left: object, right: object) -> bool | None:
    return _starts(right, left)


@TABLE.add("coincides", _ANY_PAIR)
def _coincides(left: object, right: object) -> bool | None:
    if isinstance(left, Range) != isinstance(right, Range):
        return None
    a, b = _range_of(left), _range_of(right)
    return _starts_compared(a, b) == 0 and _ends_compared(a, b) == 0
