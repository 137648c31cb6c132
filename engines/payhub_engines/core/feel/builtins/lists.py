"""Built-ins of lists; places count from 1, or from the end with a minus."""

import functools
from typing import Any, Final

from payhub_engines.core.feel.errors import ExpressionError
from payhub_engines.core.feel.evaluation import Run
from payhub_engines.core.feel.functions import Function, Table
from payhub_engines.core.feel.limits import LIST_ITEMS_MAX, STRING_CHARS_MAX, VALUE_DEPTH_MAX
from payhub_engines.core.feel.values import equals, number_of

TABLE: Final = Table()


def _place(items: list[Any], position: int) -> int:
    return position - 1 if position > 0 else len(items) + position


def _has(items: list[Any], wanted: object, run: Run) -> bool:
    run.spend(len(items))
    return any(equals(item, wanted, run) is True for item in items)


@TABLE.add("list contains", "list:list, element:any", sees_run=True)
def _list_contains(run: Run, items: list[Any], element: object) -> bool:
    return _has(items, element, run)


@TABLE.add("count", "list:list")
def _count(items: list[Any]) -> int:
    return len(items)


@TABLE.add("is empty", "list:list")
def _is_empty(items: list[Any]) -> bool:
    return not items


@TABLE.add("sublist", "list:list, start|start position:integer, length:integer?")
def _sublist(items: list[Any], position: int, length: int | None) -> list[Any] | None:
    start = _place(items, position)
    end = len(items) if length is None else start + length
    return items[max(start, 0) : max(end, 0)] if position != 0 else None


@TABLE.add("append", "list:list, items|item:list*")
def _append(items: list[Any], more: list[Any]) -> list[Any]:
    return [*items, *more]


@TABLE.add("concatenate", "lists|list:list*")
def _concatenate(lists: list[Any]) -> list[Any]:
    return [item for part in lists for item in (part if isinstance(part, list) else [part])]


@TABLE.add("insert before", "list:list, position:integer, newItem:any")
def _insert_before(items: list[Any], position: int, item: object) -> list[Any] | None:
    place = _place(items, position)
    return [*items[: max(place, 0)], item, *items[max(place, 0) :]] if position != 0 else None


@TABLE.add("remove", "list:list, position:integer")
def _remove(items: list[Any], position: int) -> list[Any] | None:
    place = _place(items, position)
    if position == 0:
        return None
    return [*items[:place], *items[place + 1 :]] if 0 <= place < len(items) else list(items)


@TABLE.add("list replace", "list:list, position|match:any, newItem:any", sees_run=True)
def _list_replace(run: Run, items: list[Any], where: object, item: object) -> list[Any] | None:
    """Replace the item at a place, or all items for which ``match(item, newItem)`` holds."""
    if isinstance(where, Function):
        run.spend(len(items))
        return [item if where.call([old, item], ()) is True else old for old in items]
    position = number_of(where)
    place = -1 if position is None or position == 0 else _place(items, int(position))
    return [*items[:place], item, *items[place + 1 :]] if 0 <= place < len(items) else None


@TABLE.add("reverse", "list:list")
def _reverse(items: list[Any]) -> list[Any]:
    return items[::-1]


@TABLE.add("index of", "list:list, match:any", sees_run=True)
def _index_of(run: Run, items: list[Any], wanted: object) -> list[int]:
    run.spend(len(items))
    return [place for place, item in enumerate(items, 1) if equals(item, wanted, run) is True]


@TABLE.add("distinct values", "list:list", sees_run=True)
def _distinct_values(run: Run, items: list[Any]) -> list[Any]:
    distinct: list[Any] = []
    for item in items:
        if not _has(distinct, item, run):
            distinct.append(item)
    return distinct


@TABLE.add("union", "lists|list:list*", sees_run=True)
def _union(run: Run, lists: list[Any]) -> list[Any]:
    return _distinct_values(run, _concatenate(lists))


@TABLE.add("duplicate values", "list:list", sees_run=True)
def _duplicate_values(run: Run, items: list[Any]) -> list[Any]:
    return [item for item in _distinct_values(run, items) if len(_index_of(run, items, item)) > 1]


@TABLE.add("flatten", "list:list", sees_run=True)
def _flatten(run: Run, items: list[Any]) -> list[Any]:
    flat: list[Any] = []
    _add_flat(run, items, flat, 0)
    return flat


def _add_flat(run: Run, items: list[Any], flat: list[Any], depth: int) -> None:
    run.spend(1 + len(items))
    if depth > VALUE_DEPTH_MAX or len(flat) > LIST_ITEMS_MAX:
        raise ExpressionError(f"A list has at most {LIST_ITEMS_MAX} items, {VALUE_DEPTH_MAX} deep.")
    for item in items:
        if isinstance(item, list):
            _add_flat(run, item, flat, depth + 1)
        else:
            flat.append(item)


@TABLE.add("sort", "list:list, precedes:function")
def _sort(items: list[Any], precedes: Function) -> list[Any] | None:
    """Sort by a function that tells whether its first argument comes before its second."""

    def compare(left: object, right: object) -> int:
        return -1 if _precedes(precedes, left, right) else int(_precedes(precedes, right, left))

    return sorted(items, key=functools.cmp_to_key(compare))


def _precedes(function: Function, left: object, right: object) -> bool:
    answer = function.call([left, right], ())
    if not isinstance(answer, bool):
        raise ValueError("The function must tell true or false.")  # noqa: TRY004 - the language's null, not ours
    return answer


@TABLE.add("string join", "list:list, delimiter:string?, prefix:string?, suffix:string?")
def _string_join(
    items: list[Any], delimiter: str | None, prefix: str | None, suffix: str | None
) -> str | None:
    texts = [item for item in items if item is not None]
    if not all(isinstance(text, str) for text in texts):
        return None
    joined = _bounded_join(delimiter or "", texts)
    return (prefix or "") + joined + (suffix or "")


def _bounded_join(delimiter: str, texts: list[str]) -> str:
    # What is joined may share its parts; the sum is looked at before it is built.
    if sum(map(len, texts)) + len(delimiter) * len(texts) > STRING_CHARS_MAX:
        raise ExpressionError(f"A string may have at most {STRING_CHARS_MAX} characters.")
    return delimiter.join(texts)


@TABLE.add("partition", "list:list, size:integer")
def _partition(items: list[Any], size: int) -> list[Any] | None:
    return [items[place : place + size] for place in range(0, len(items), size)] if size > 0 else None
