"""JSON bodies with one value changed, for fuzzing."""

import copy
from collections.abc import Sequence
from typing import Any


def changed(body: Any, path: Sequence[Any], value: Any, *, leave_out: bool) -> Any:
    """Return a copy with the value at a path replaced or left out; an empty path is the whole body."""
    if not path:
        return value
    body = copy.deepcopy(body)
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    if leave_out:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return body
