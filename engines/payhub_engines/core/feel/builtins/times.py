"""Built-ins of dates; the time of day comes from whoever evaluates, never from a clock."""

from collections.abc import Callable
from datetime import date
from typing import Final, TypeVar

from payhub_engines.core.feel.evaluation import Run
from payhub_engines.core.feel.functions import Table
from payhub_engines.core.feel.temporal import DateTime, days_of_month, instant_of

TABLE: Final = Table()
Computed = TypeVar("Computed")

_DAYS: Final = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_MONTHS: Final = (
    "January February March April May June July August September October November December".split()
)


@TABLE.add("now", sees_run=True)
def _now(run: Run) -> DateTime | None:
    return None if run.now_ms is None else instant_of(run.now_ms)


@TABLE.add("today", sees_run=True)
def _today(run: Run) -> date | None:
    return None if run.now_ms is None else instant_of(run.now_ms).date


def _of_day(value: object, compute: Callable[[date], Computed]) -> Computed | None:
    day = value.date if isinstance(value, DateTime) else value
    return compute(day) if isinstance(day, date) else None


@TABLE.add("day of year", "date:any")
def _day_of_year(value: object) -> int | None:
    return _of_day(value, lambda day: day.timetuple().tm_yday)


@TABLE.add("day of week", "date:any")
def _day_of_week(value: object) -> str | None:
    return _of_day(value, lambda day: _DAYS[day.weekday()])


@TABLE.add("month of year", "date:any")
def _month_of_year(value: object) -> str | None:
    return _of_day(value, lambda day: _MONTHS[day.month - 1])


@TABLE.add("week of year", "date:any")
def _week_of_year(value: object) -> int | None:
    """Return the week as ISO 8601 counts them."""
    return _of_day(value, lambda day: day.isocalendar().week)


@TABLE.add("last day of month", "date:any")
def _last_day_of_month(value: object) -> date | None:
    return _of_day(value, lambda day: day.replace(day=days_of_month(day.year, day.month)))
