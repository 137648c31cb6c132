"""Built-ins of contexts."""

from collections.abc import Mapping
from typing import Any, Final

from payhub_engines.core.feel.functions import Table

TABLE: Final = Table()


def _keys(key: object) -> list[str] | None:
    """Return a key, or a path of keys, as a path; null for what is neither."""
    given = key if isinstance(key, list) else [key]
    keys = [name for name in given if isinstance(name, str)]
    return keys if keys and len(keys) == len(given) else None


@TABLE.add("get value", "m|context:context, key|keys:any")
def _get_value(context: Mapping[str, Any], key: object) -> Any:
    """Return the entry of a key, or the one at the end of a path of keys."""
    keys = _keys(key)
    found: Any = None if keys is None else context
    for name in keys or ():
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


@TABLE.add("get entries", "m|context:context")
def _get_entries(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in context.items()]


@TABLE.add("context put, put", "context:context, key|keys:any, value:any")
def _context_put(context: Mapping[str, Any], key: object, value: object) -> dict[str, Any] | None:
    """Return the context with one more entry, at a key or at the end of a path of keys."""
    keys = _keys(key)
    if keys is None:
        return None
    parents: list[Mapping[str, Any]] = [context]
    for name in keys[:-1]:
        inner = parents[-1].get(name)
        parents.append(inner if isinstance(inner, Mapping) else {})
    changed: Any = value
    for name, parent in zip(reversed(keys), reversed(parents), strict=True):
        changed = {**parent, name: changed}
    return dict(changed)


@TABLE.add("context merge, put all", "contexts:list*")
def _context_merge(contexts: list[Any]) -> dict[str, Any] | None:
    merged: dict[str, Any] = {}
    for context in contexts:
        if not isinstance(context, Mapping):
            return None
        merged.update(context)
    return merged


@TABLE.add("context", "entries:list*")
def _context(entries: list[Any]) -> dict[str, Any] | None:
    """Return the context that ``get entries`` lists."""
    context: dict[str, Any] = {}
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("key"), str) or "value" not in entry:
            return None
        context[entry["key"]] = entry["value"]
    return context
