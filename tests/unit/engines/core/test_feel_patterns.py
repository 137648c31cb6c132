"""Regular expressions: as Python's where both know them, and never slow."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payhub_engines.core.feel import ExpressionError, compile_expression
from payhub_engines.core.feel.evaluation import Run
from payhub_engines.core.feel.pattern import Pattern

ATOMS = st.sampled_from(["a", "b", "c", ".", "[ab]", "[^a]", "[a-b]", "\\w", "\\d", "\\s", "^", "$", "\\b"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner.map(lambda text: f"({text})")).map("".join),
        st.tuples(
            ATOMS.filter(lambda atom: atom not in {"^", "$", "\\b"}),
            st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "*?", "+?", "??"]),
        ).map("".join),
    ),
    max_leaves=8,
)


@given(PATTERNS, st.text(alphabet="abc 1\n", max_size=12))
@settings(max_examples=500)
def test_matches_are_those_of_a_backtracking_matcher(pattern, text):
    python = re.compile(pattern.replace("$", "\\Z"), re.ASCII)
    expected = python.search(text)
    found = Pattern(pattern, "", Run()).search(text)
    assert (found is None) == (expected is None)
    if found is not None and expected is not None:
        assert (found.start, found.end) == expected.span()
        assert [found.group(number) for number in range(1, python.groups + 1)] == list(expected.groups())


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "found"),
    [
        ("(a+)+$", "", "a" * 30, True),
        ("(a|b)*c", "", "ababc", True),
        ("^\\p{Lu}\\p{Ll}+$", "", "Äpfel", True),
        ("\\P{L}", "", "abc", False),
        ("[\\d-]+", "", "--", True),
        ("[a-c&]", "", "&", True),
        ("[]a]", "", "]", True),
        ("[^\\s]", "", " \t", False),
        ("\\.", "", "a", False),
        ("A[B-D]", "i", "xac", True),
        ("a#comment", "x", "a", True),
        ("", "", "", True),
        ("a{0}b", "", "b", True),
        ("\\Bb", "", "ab", True),
    ],
)
def test_patterns_find(pattern, flags, text, found):
    assert (Pattern(pattern, flags, Run()).search(text) is not None) is found


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[a",
        "a{2",
        "a{3,1}",
        "*",
        "a**",
        "a++",
        "(?=a)",
        "(?<n>a)",
        "(a)\\1",
        "\\p{Greek}",
        "\\q",
        "[b-a]",
        "[[a]]",
        "a" * 300,
        "((a{50}){50}){50}",
        "(" * 40 + ")" * 40,
        "\\",
    ],
)
def test_what_is_no_pattern_gives_null(pattern):
    assert compile_expression("matches(text, pattern)")({"text": "aaa", "pattern": pattern}) is None


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|aa)+b", "(a*)*b", "a*a*a*a*a*a*b", "(.*a){12}b", "(a?){30}a{30}b"]
)
def test_patterns_that_would_backtrack_for_ever_end(pattern):
    assert compile_expression("matches(text, pattern)")({"text": "a" * 60, "pattern": pattern}) is False


def test_much_text_times_much_pattern_meets_the_budget():
    with pytest.raises(ExpressionError):
        compile_expression("matches(text, pattern)")({"text": "a" * 60_000, "pattern": "(a?){60}b"})
