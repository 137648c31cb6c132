"""Unary tests, after DMN 1.5 chapter 10.3.1 (grammar rules 7 to 18) and Camunda."""

import pytest

from payhub_engines.core.feel import ExpressionSyntaxError, compile_unary_tests

ROWS = [
    ("< 3", 2, True),
    ("< 3", 3, False),
    ("<= 3", 3, True),
    ("> 3", 4, True),
    (">= 3", 2, False),
    ("= 3", 3, True),
    ("!= 3", 3, False),
    ("3", 3, True),
    ("3", 2, False),
    ("-1", -1, True),
    ("-", 5, True),
    ("-", None, True),
    ("(2..4)", 2, False),
    ("(2..4)", 3, True),
    ("[2..4]", 4, True),
    ("]2..4[", 4, False),
    ("[2..4)", 2, True),
    ("[1..5], [6..10]", 6, True),
    ("[1..5], [6..10]", 11, False),
    ("2, 3", 3, True),
    ("2, 3", 4, False),
    ("not(3)", 3, False),
    ("not(3)", 4, True),
    ("not(2, 3)", 2, False),
    ("not(2, 3)", 4, True),
    ("not(< 3)", 5, True),
    ("limit", 3, True),
    ("< limit", 2, True),
    ("c.a", 7, True),
    ("xs", 2, True),
    ("xs", 9, False),
    ("[1, 2, 3]", 2, True),
    ("3", None, False),
    ("< 3", None, None),
    ("[0..10]", None, None),
    ("null", None, True),
    ("null", 1, False),
    ('"b"', "b", True),
    ('"b"', "a", False),
    ('"a", "b"', "b", True),
    ('"a"', 1, None),
    ("true", True, True),
    ("true", False, False),
    ("false", False, True),
    ("true", None, False),
    ("1 < 2", True, True),
    ("2 < 1", True, False),
    ("true and null", True, False),
    ("? > 3", 4, True),
    ("? > 3", 2, False),
    ("? > 3", "a", None),
    ("odd(?)", 3, True),
    ("odd(?)", 4, False),
    ("? > 1 and ? < limit", 2, True),
    ('starts with(?, "fo")', "foo", True),
    ("? + 1", 2, None),
    ("? in [1..3]", 2, True),
    ("count(xs) = 3", 99, True),
    ("some x in xs satisfies x = ?", 3, True),
    ("not(? > 3)", 2, True),
    ("5, ? > 9", 10, True),
    ("if ? > 3 then true else false", 4, True),
]


@pytest.mark.parametrize(("text", "value", "holds"), ROWS)
def test_unary_tests_hold(text, value, holds):
    assert compile_unary_tests(text)(value, {"limit": 3, "c": {"a": 7}, "xs": [1, 2, 3]}) is holds


@pytest.mark.parametrize("text", ["", "<", "1,", ",", "not(", "not()", "- 1 -", "1 2", "[1.."])
def test_what_is_no_test_is_refused(text):
    with pytest.raises(ExpressionSyntaxError):
        compile_unary_tests(text)


def test_tests_see_the_time():
    assert compile_unary_tests("< now()")(None, {}, now_ms=0) is None
    assert compile_unary_tests('now() > @"1969-01-01T00:00:00Z"')(1, {}, now_ms=0) is True
