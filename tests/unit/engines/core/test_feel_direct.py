"""The short way gives what the general way gives, whatever the variables are."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payhub_engines.core.feel import compile_expression
from payhub_engines.core.feel.builtins import BUILTINS
from payhub_engines.core.feel.compiler import compiled
from payhub_engines.core.feel.display import json_of
from payhub_engines.core.feel.evaluation import Run, Scope
from payhub_engines.core.feel.parser import parse_expression

PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from(["", "a", "b", "true", 1.0, 0.5, Decimal("1.0"), Decimal(2)]),
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=6,
)
TERMS = ["x", "y", "x.y", "x.y.z", "1", "0.5", '"a"', "true", "false", "null"]
SIGNS = ["=", "!=", "<", "<=", ">", ">="]


@st.composite
def expressions(draw):
    """Draw variables, paths, comparisons, and chains of them."""

    def simple():
        left = draw(st.sampled_from(TERMS))
        if draw(st.booleans()):
            return left
        return f"{left} {draw(st.sampled_from(SIGNS))} {draw(st.sampled_from(TERMS))}"

    text = simple()
    for _ in range(draw(st.integers(0, 3))):
        text = f"{text} {draw(st.sampled_from(['and', 'or']))} {simple()}"
    return text


def generally(text, variables):
    run = Run(None)
    return json_of(compiled(parse_expression(text, BUILTINS, ()))(Scope(variables, run)), run)


@given(text=expressions(), variables=st.dictionaries(st.sampled_from("xyz"), VALUES))
def test_both_ways_give_the_same(text, variables):
    found, expected = compile_expression("=" + text)(variables), generally(text, variables)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize("text", ["=a", "= a.b", "=a = 1", "=a and b"])
def test_a_value_that_is_no_json_takes_the_general_way(text):
    assert compile_expression(text)({"a": object(), "b": True}) is None


def test_what_is_inside_a_variable_is_copied():
    variables = {"a": {"b": [1]}}
    found = compile_expression("=a")(variables)
    found["b"].append(2)
    assert variables == {"a": {"b": [1]}}
