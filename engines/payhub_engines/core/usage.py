"""What tenants and their members have moved on each day (UTC): rows that limits are held against.

A day is told by the time of the command that takes. A clock that was set back counts on the day that it says,
and finds what it had counted there: the rows of a few days are kept.
"""

from typing import Final

import msgspec

from payhub_engines.core import tables
from payhub_engines.core.records import Usage
from payhub_engines.core.rows import Rows

DAY_MS: Final = 86_400_000
DAYS_KEPT: Final = 2  # before the present one
WINDOW_MS_MAX: Final = DAYS_KEPT * DAY_MS  # payments of a member are counted so far back
ROWS_AT_ONCE_MAX: Final = 1_024  # of earlier days that one command forgets
WHOLE_TENANT: Final = ""  # in place of a member

_decode: Final = msgspec.msgpack.Decoder(Usage).decode


def day_of(at_ms: int) -> int:
    """Return the day of a time, counted from 1970-01-01."""
    return at_ms // DAY_MS


def find(rows: Rows, day: int, tenant: str, member: str) -> Usage:
    """Return what was moved on a day; nothing where there is no row."""
    raw = rows.get(_key(day, tenant, member))
    return Usage() if raw is None else _decode(raw)


def put(rows: Rows, day: int, tenant: str, member: str, usage: Usage) -> None:
    """Write what was moved on a day; where that is nothing, there is no row."""
    key = _key(day, tenant, member)
    if usage.spent or usage.times:
        rows.put(key, tables.encode(usage))
    else:
        rows.delete(key)


def counted(times: list[int], now_ms: int, window_ms: int) -> list[int]:
    """Return the times within a window, before now or (the clock was set back) after it."""
    return [at_ms for at_ms in times if abs(now_ms - at_ms) < window_ms]


def recent(rows: Rows, tenant: str, member: str, now_ms: int, window_ms: int) -> list[int]:
    """Return when the payments began that count within a window (``WINDOW_MS_MAX``), the earliest first."""
    days = range(day_of(max(now_ms - window_ms, 0)), day_of(now_ms + window_ms) + 1)
    times = [at_ms for day in days for at_ms in find(rows, day, tenant, member).times]
    return sorted(counted(times, now_ms, window_ms))


def earlier(rows: Rows, day: int, rows_max: int) -> list[bytes]:
    """Return the oldest rows of the days before one."""
    found: list[bytes] = []
    begin = len(tables.USAGE)
    for key, _ in rows.scan(tables.USAGE):
        if len(found) == rows_max or int.from_bytes(key[begin : begin + tables.NUMBER_BYTES], "big") >= day:
            break
        found.append(key)
    return found


def forgotten_before(now_ms: int) -> int:
    """Return the day before which nothing counts any more."""
    return max(day_of(now_ms) - DAYS_KEPT, 0)


def _key(day: int, tenant: str, member: str) -> bytes:
    return tables.USAGE + tables.number(day) + tables.texts(tenant, member)
