"""The built-in functions, by name."""

from typing import Final

from payhub_engines.core.feel.builtins import (
    contexts,
    conversion,
    lists,
    logic,
    numeric,
    ranges,
    statistics_of_lists,
    text,
    text_patterns,
    times,
)
from payhub_engines.core.feel.functions import Builtin

BUILTINS: Final[dict[str, Builtin]] = {
    name: builtin
    for module in (
        contexts,
        conversion,
        lists,
        logic,
        numeric,
        ranges,
        statistics_of_lists,
        text,
        text_patterns,
        times,
    )
    for name, builtin in module.TABLE.builtins.items()
}
"""Without ``random number`` and ``uuid``: the core computes only from what it is told."""
