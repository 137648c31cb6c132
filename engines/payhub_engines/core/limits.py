"""What one command may write, and one instance may hold: a model's mistake must not stop the engine.

Units are about bytes, counted in a way that costs next to nothing for the small values of most payments.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from payhub_engines.core import tables
from payhub_engines.core.errors import CommandTooLargeError
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.records import Instance
from payhub_engines.core.variables import UNITS_A_NAME, plain_units

if TYPE_CHECKING:
    from payhub_engines.core.decision import Decision

INSTANCE_UNITS_MAX: Final = 1024 * 1024  # of an instance's document: variables, elements, loops
COMMAND_UNITS_MAX: Final = 1024 * 1024  # of variables in the events of one command; an incident beyond
EVENTS_UNITS_MAX: Final = 2_560 * 1024  # whatever no incident can stop; the command is refused beyond
UNITS_AN_EVENT: Final = 128
SMALL_UNITS: Final = 4 * 1024  # adds so little that the instance need not be measured
MANY: Final = 256  # ... unless it has so many variables or elements
_UTF8_BYTES_MAX: Final = 4  # of a character


class VariablesTooLargeError(ExpressionError):
    """Variables would grow beyond what an instance, or one command, may have."""

    title = "The variables are too large"

    def __init__(self, detail: str, code: str = "variables-too-large") -> None:
        super().__init__(detail)
        self.code = code


def units_of(variables: Mapping[str, Any]) -> int:
    """Return about how many bytes variables take; they must be JSON already."""
    units = 0
    for name, value in variables.items():
        kind = type(value)
        if kind is str:
            units += len(value) if value.isascii() else _UTF8_BYTES_MAX * len(value)
        elif kind is dict or kind is list:
            units += len(tables.encode(value))
        units += UNITS_A_NAME + len(name)
    return units


def spend(decision: "Decision", units: int) -> None:
    """Count what an event carries that no incident can stop.

    Raises:
        CommandTooLargeError: the command adds too much; nothing of it may be kept.
    """
    decision.units += units
    if decision.units > EVENTS_UNITS_MAX:
        raise CommandTooLargeError(EVENTS_UNITS_MAX)


def check_fits(
    decision: "Decision", instance: Instance | None, added: Mapping[str, Any], plain: int | None = None
) -> None:
    """Count variables that an event is about to add to an instance (None: to a new one).

    ``plain`` is what ``plain_units`` says of them, where that is known already.

    Raises:
        VariablesTooLargeError: the instance, or what this command writes, would grow too large.
    """
    units = plain_units(added) if plain is None else plain
    if units is not None and units <= SMALL_UNITS and decision.units + units <= COMMAND_UNITS_MAX:
        elements = None if instance is None else instance.elements
        if elements is None or (len(elements) <= MANY and len(elements[0].variables) <= MANY):
            decision.units += units
            return
    units = units_of(added)
    if decision.units + units > COMMAND_UNITS_MAX:
        raise VariablesTooLargeError(
            f"One command writes at most {COMMAND_UNITS_MAX // 1024} KiB of variables."
        )
    if instance is not None:
        size = len(tables.encode(instance)) + units
        if size > INSTANCE_UNITS_MAX:
            raise VariablesTooLargeError(
                f"An instance has at most {INSTANCE_UNITS_MAX // 1024} KiB of variables; "
                f"it would have {size // 1024}."
            )
    decision.units += units
