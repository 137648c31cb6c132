"""The log goes behind operations; the disk's limit comes first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payhub_engines.export.trimming import Held, Trim, decide_trim

HELD = Held(first_index=100, next_index=200, size_bytes=1000)


@pytest.mark.parametrize(
    ("exported", "confirmed", "expected"),
    [
        (None, None, 100),
        (150, None, 100),
        (None, 150, 150),
        (150, 120, 120),
        (120, 150, 120),
        (50, 60, 100),
        (900, 800, 200),
    ],
)
def test_the_log_waits_for_operations(exported: int | None, confirmed: int | None, expected: int) -> None:
    assert decide_trim(HELD, exported, confirmed) == Trim(below_index=expected)


@pytest.mark.parametrize(
    ("exported", "confirmed", "expected"),
    [(None, None, 100), (150, None, 150), (150, 120, 150), (None, 120, 120)],
)
def test_jetstream_is_enough_where_it_is_chosen(
    exported: int | None, confirmed: int | None, expected: int
) -> None:
    trim = decide_trim(HELD, exported, confirmed, waits_for_operations=False)
    assert trim == Trim(below_index=expected)


def test_beyond_its_limit_the_log_goes_whatever_was_stored() -> None:
    assert decide_trim(HELD, None, None, bytes_kept_max=1000) == Trim(below_index=100)
    assert decide_trim(HELD, None, None, bytes_kept_max=600) == Trim(below_index=140, unconfirmed=40)
    assert decide_trim(HELD, 200, 130, bytes_kept_max=600) == Trim(below_index=140, unconfirmed=10)
    assert decide_trim(HELD, 200, 170, bytes_kept_max=600) == Trim(below_index=170)
    assert decide_trim(HELD, None, None, bytes_kept_max=0) == Trim(below_index=200, unconfirmed=100)


indices = st.none() | st.integers(0, 10_000)


@given(
    first=st.integers(1, 5_000),
    entries=st.integers(0, 5_000),
    size=st.integers(0, 10**12),
    limit=st.integers(0, 10**12),
    exported=indices,
    confirmed=indices,
    waits=st.booleans(),
)
def test_it_stays_within_the_log_and_says_what_it_gives_up(
    first: int, entries: int, size: int, limit: int, exported: int | None, confirmed: int | None, waits: bool
) -> None:
    held = Held(first_index=first, next_index=first + entries, size_bytes=size)
    trim = decide_trim(held, exported, confirmed, waits_for_operations=waits, bytes_kept_max=limit)
    assert held.first_index <= trim.below_index <= held.next_index
    if size <= limit:
        assert trim.unconfirmed == 0
    if waits and not trim.unconfirmed and trim.below_index > first:
        assert confirmed is not None
        assert trim.below_index <= confirmed
        assert exported is None or trim.below_index <= exported
