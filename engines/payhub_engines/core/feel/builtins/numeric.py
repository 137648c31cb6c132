"""Built-ins of numbers; results are exact to 34 digits."""

import decimal
from decimal import Decimal
from typing import Any, Final

from payhub_engines.core.feel.arithmetic import modulo, negate
from payhub_engines.core.feel.evaluation import Run
from payhub_engines.core.feel.functions import Table
from payhub_engines.core.feel.limits import DECIMAL_EXPONENT_MAX, SERIES_STEPS
from payhub_engines.core.feel.temporal import DaysTime, YearsMonths
from payhub_engines.core.feel.values import DECIMAL, Number, exact, number_of

TABLE: Final = Table()

_MODES: Final = frozenset("UP DOWN CEILING FLOOR HALF_UP HALF_DOWN HALF_EVEN UNNECESSARY".split())


def _rounded(number: Number, scale: int, mode: str) -> Number | None:
    """Round to ``scale`` digits behind the point, keeping zeros; with 0 or less digits a whole number."""
    if abs(scale) > DECIMAL_EXPONENT_MAX:
        return None
    unit = Decimal(1).scaleb(-scale)
    if mode == "UNNECESSARY":
        rounded = DECIMAL.quantize(Decimal(number), unit)
        if rounded != number:
            return None
    else:
        rounded = Decimal(number).quantize(unit, getattr(decimal, f"ROUND_{mode}"), DECIMAL)
    return rounded if scale > 0 else exact(rounded)


@TABLE.add("decimal", "n:number, scale:integer, mode:string?")
def _decimal(number: Number, scale: int, mode: str | None) -> Number | None:
    name = (mode or "HALF_EVEN").upper()
    return _rounded(number, scale, name) if name in _MODES else None


@TABLE.add("floor", "n:number, scale:integer?")
def _floor(number: Number, scale: int | None) -> Number | None:
    return _rounded(number, scale or 0, "FLOOR")


@TABLE.add("ceiling", "n:number, scale:integer?")
def _ceiling(number: Number, scale: int | None) -> Number | None:
    return _rounded(number, scale or 0, "CEILING")


@TABLE.add("round up", "n:number, scale:integer")
def _round_up(number: Number, scale: int) -> Number | None:
    return _rounded(number, scale, "UP")


@TABLE.add("round down", "n:number, scale:integer")
def _round_down(number: Number, scale: int) -> Number | None:
    return _rounded(number, scale, "DOWN")


@TABLE.add("round half up", "n:number, scale:integer")
def _round_half_up(number: Number, scale: int) -> Number | None:
    return _rounded(number, scale, "HALF_UP")


@TABLE.add("round half down", "n:number, scale:integer")
def _round_half_down(number: Number, scale: int) -> Number | None:
    return _rounded(number, scale, "HALF_DOWN")


@TABLE.add("abs", "number|n:any")
def _abs(value: object) -> Any:
    number = number_of(value)
    if number is not None:
        return abs(number) if isinstance(number, int) else number.copy_abs()
    is_negative = (isinstance(value, YearsMonths) and value.months < 0) or (
        isinstance(value, DaysTime) and value.ns < 0
    )
    return negate(value) if is_negative else value if isinstance(value, YearsMonths | DaysTime) else None


@TABLE.add("modulo", "dividend:number, divisor:number")
def _modulo(dividend: Number, divisor: Number) -> Number | None:
    return modulo(dividend, divisor)


@TABLE.add("sqrt", "number:number")
def _sqrt(number: Number) -> Number | None:
    return exact(DECIMAL.sqrt(Decimal(number)))


@TABLE.add("log", "number:number", sees_run=True)
def _log(run: Run, number: Number) -> Number | None:
    run.spend(SERIES_STEPS)
    return exact(DECIMAL.ln(Decimal(number)))


@TABLE.add("exp", "number:number", sees_run=True)
def _exp(run: Run, number: Number) -> Number | None:
    run.spend(SERIES_STEPS)
    return exact(DECIMAL.exp(Decimal(number)))


@TABLE.add("odd", "number:number")
def _odd(number: Number) -> bool:
    return modulo(number, 2) == 1


@TABLE.add("even", "number:number")
def _even(number: Number) -> bool:
    return modulo(number, 2) == 0
