"""Uncommitted writes laid over committed ones, against a sorted dict."""

from hypothesis import given
from hypothesis import strategies as st

from payhub_engines.storage.overlay import Overlay, merge, upper_bound

KEYS = st.binary(max_size=4)
SHORT_KEYS = st.lists(st.sampled_from([0, 1, 0x61, 0xFE, 0xFF]), max_size=4).map(bytes)


@given(KEYS)
def test_the_upper_bound_is_above_all_keys_with_the_prefix_and_nothing_between(prefix):
    bound = upper_bound(prefix)
    if bound is None:
        assert prefix.strip(b"\xff") == b""
    else:
        assert prefix + b"\xff" * 10 < bound
        assert bound[:-1] + bytes([bound[-1] - 1]) == prefix[: len(bound)]


@given(
    st.dictionaries(SHORT_KEYS, st.binary(max_size=2)),
    st.lists(st.tuples(SHORT_KEYS, st.none() | st.binary(max_size=2))),
    SHORT_KEYS,
)
def test_a_merged_scan_is_what_a_sorted_dict_gives(base, changes, prefix):
    overlay, expected = Overlay(), dict(base)
    for key, value in changes:
        overlay.set(key, value)
        if value is None:
            expected.pop(key, None)
        else:
            expected[key] = value
    committed = iter(sorted((k, v) for k, v in base.items() if k.startswith(prefix)))
    found = list(merge(committed, overlay.copy_range(prefix)))
    assert found == sorted((k, v) for k, v in expected.items() if k.startswith(prefix))
