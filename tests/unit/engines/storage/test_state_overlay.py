"""Changes laid over a store, against a sorted dict."""

from hypothesis import given
from hypothesis import strategies as st

from payhub_engines.core.memory_store import MemoryStore
from payhub_engines.core.rows import Rows, merge

SHORT_KEYS = st.lists(st.sampled_from([0, 1, 0x61, 0xFE, 0xFF]), max_size=4).map(bytes)
CHANGES = st.lists(st.tuples(SHORT_KEYS, st.none() | st.binary(max_size=2)))
BASES = st.dictionaries(SHORT_KEYS, st.binary(max_size=2))


def filled(base):
    store = MemoryStore()
    for key, value in base.items():
        store.put(key, value)
    return store


def change(rows, changes, expected):
    for key, value in changes:
        if value is None:
            rows.delete(key)
            expected.pop(key, None)
        else:
            rows.put(key, value)
            expected[key] = value


@given(BASES, CHANGES, SHORT_KEYS, CHANGES)
def test_rows_read_as_a_sorted_dict_before_and_after_they_are_written(base, changes, prefix, more):
    store, expected = filled(base), dict(base)
    rows = Rows(store)
    for some in (changes, more):
        change(rows, some, expected)
        wanted = sorted((key, value) for key, value in expected.items() if key.startswith(prefix))
        assert list(rows.scan(prefix)) == wanted
        assert all(rows.get(key) == expected.get(key) for key in [*base, *(key for key, _ in some), prefix])
        for key, value in rows.take().items():
            store.delete(key) if value is None else store.put(key, value)
        assert list(store.scan(prefix)) == wanted
        assert rows.take() == {}


@given(BASES, CHANGES, SHORT_KEYS)
def test_a_scan_sees_the_rows_as_they_were_at_the_call(base, changes, key):
    rows = Rows(filled(base))
    scan = rows.scan(b"")
    change(rows, changes, {})
    rows.put(key, b"later")
    assert list(scan) == sorted(base.items())


@given(BASES, st.dictionaries(SHORT_KEYS, st.none() | st.binary(max_size=2)))
def test_a_merged_scan_is_what_a_sorted_dict_gives(base, changes):
    expected = {**base, **changes}
    found = list(merge(iter(sorted(base.items())), sorted(changes.items())))
    assert found == sorted((key, value) for key, value in expected.items() if value is not None)
