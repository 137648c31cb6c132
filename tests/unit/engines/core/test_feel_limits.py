"""No text and no model can make the language fail otherwise, run for ever or fill the memory."""

import string
from decimal import Context, Decimal, InvalidOperation

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from payhub_engines.core.feel import (
    ExpressionError,
    ExpressionSyntaxError,
    compile_expression,
    compile_unary_tests,
)
from payhub_engines.core.feel.limits import INTEGER_MAX, PRECISION_DIGITS

WORDS = (
    "and or not if then else true false null for in return some every satisfies function between instance of "
    "x xs item partial number string date and time duration count sum sort list contains ? @ -> 1 2.5 0 -1 "
    "+ - * / ** = != < <= > >= ( ) [ ] { } , . .. : function(a) [1..3] xs[1] now() "
    '"a" "P1D" "2026-01-31" `a'
).split()
VARIABLES = {"x": 7, "xs": [1, 2, 3], "a": {"b": [1]}, "number": 0.5}


@given(st.text(max_size=60) | st.text(alphabet=string.printable, max_size=60))
def test_any_text_is_an_expression_or_is_refused(text):
    for compile_text in (compile_expression, compile_unary_tests):
        try:
            compile_text(text)
        except ExpressionSyntaxError:
            continue


@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join))
@settings(max_examples=400)
def test_any_words_are_refused_or_give_a_value(text):
    try:
        compile_expression(text)(VARIABLES, now_ms=1_769_850_300_250)
        compile_unary_tests(text)(3, VARIABLES)
    except (ExpressionSyntaxError, ExpressionError):
        return


EXPRESSIONS = st.recursive(
    st.sampled_from(
        ["1", "-2.5", '"ab"', "true", "null", "x", "xs", "item", '@"P1D"', '@"2026-01-31"', "[1..3]"]
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+ - * / ** = != < >= and or in".split()), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]})[{pair[1]}]"),
        st.tuples(inner, inner).map(lambda pair: f"for i in {pair[0]} return {pair[1]}"),
        st.tuples(inner, inner).map(lambda pair: f"some item in {pair[0]} satisfies {pair[1]}"),
        st.tuples(inner, inner, inner).map(lambda p: f"if {p[0]} then {p[1]} else {p[2]}"),
        inner.map(lambda value: f"{{a: {value}, b: a}}.b"),
        st.tuples(
            st.sampled_from(["sum", "flatten", "string", "count", "distinct values", "max"]), inner
        ).map(lambda pair: f"{pair[0]}({pair[1]})"),
    ),
    max_leaves=12,
)


@given(EXPRESSIONS)
@settings(max_examples=300)
def test_any_expression_gives_a_value_or_meets_a_limit(text):
    try:
        compile_expression(text)(VARIABLES)
    except (ExpressionSyntaxError, ExpressionError):
        return


NUMBERS = st.integers(-(10**20), 10**20) | st.decimals(
    -(10**15), 10**15, allow_nan=False, allow_infinity=False, places=6
)
REFERENCE = Context(prec=PRECISION_DIGITS)


@given(NUMBERS, NUMBERS, st.sampled_from("+-*/"))
def test_arithmetic_is_that_of_decimal128(a, b, sign):
    left, right = Decimal(a), Decimal(b)
    operations = {"+": REFERENCE.add, "-": REFERENCE.subtract, "*": REFERENCE.multiply, "/": REFERENCE.divide}
    try:
        expected = operations[sign](left, right)
    except (InvalidOperation, ZeroDivisionError):
        expected = None
    if expected is not None and abs(expected) >= INTEGER_MAX:
        expected = None
    assert compile_expression(f"a {sign} b")({"a": a, "b": b}) == expected


@given(NUMBERS, st.integers(0, 6), st.sampled_from(["up", "down", "half up", "half down"]))
def test_rounding_is_that_of_decimal(number, scale, mode):
    expected = Decimal(number).quantize(
        Decimal(1).scaleb(-scale), f"ROUND_{mode.upper().replace(' ', '_')}", REFERENCE
    )
    assert compile_expression(f"round {mode}(n, {scale})")({"n": number}) == expected


@given(st.lists(st.integers(-5, 5), max_size=8))
def test_lists_agree_with_python(items):
    def gives(text):
        return compile_expression(text)({"xs": items})

    assert gives("sort(xs, function(a, b) a < b)") == sorted(items)
    assert gives("reverse(xs)") == items[::-1]
    assert gives("distinct values(xs)") == list(dict.fromkeys(items))
    assert gives("xs[item > 0]") == [item for item in items if item > 0]
    assert gives("some i in xs satisfies i > 3") is any(item > 3 for item in items)
    assert gives("every i in xs satisfies i > 3") is all(item > 3 for item in items)
    assert gives("[sum(xs), max(xs), min(xs)]") == (
        [sum(items), max(items), min(items)] if items else [None, None, None]
    )


DOUBLED = "{a0: [1, 1], " + ", ".join(f"a{n}: [a{n - 1}, a{n - 1}]" for n in range(1, 25)) + "}"


@pytest.mark.parametrize(
    "text",
    [
        "count(for i in 1..1000000000 return i)",
        "for i in 1..20000 return i",
        "some i in 1..1000000000 satisfies false",
        "every a in 1..1000, b in 1..1000 satisfies true",
        "{f: function(n) f(n + 1), r: f(1)}.r",
        "{f: function(n) f(n) + f(n), r: f(1)}.r",
        f"flatten({DOUBLED}.a24)",
        f"string({DOUBLED}.a24)",
        f"to json({DOUBLED}.a24)",
        f"{DOUBLED}.a24",
        f"{DOUBLED[:-1]}, r: a24 = a24}}.r",
        "for i in 1..100 return [partial]",
        "count(for i in 1..1000 return partial) + count(for i in 1..1000 return partial)",
        'string join(for i in 1..9000 return "aaaaaaaaaa")',
        'replace(string join(for i in 1..5000 return "a"), "a", string join(for i in 1..5000 return "b"))',
        '{s0: "aaaaaaaaaaaaaaaa", ' + ", ".join(f"s{n}: s{n - 1} + s{n - 1}" for n in range(1, 16)) + "}.s15",
        "{l: for i in 1..9000 return i, m: concatenate(l, l)}.m",
        f"some i in 1..1000000 satisfies 0 > {'+'.join(['i'] * 180)}",
        "some i in 1..1000000 satisfies 1.0000001 ** 9999.5 < 0",
        "some i in 1..1000000 satisfies exp(i - i) < 0",
        "duplicate values(for i in 1..2000 return i)",
    ],
)
def test_what_is_too_much_meets_a_limit(text):
    with pytest.raises(ExpressionError):
        compile_expression(text)({})


@pytest.mark.parametrize(
    "text",
    [
        "(" * 40 + "1" + ")" * 40,
        "[" * 40 + "]" * 40,
        "-" * 500 + "1",
        "if a then " * 40 + "1" + " else 2" * 40,
        "]1..a[" * 60,
        "f(" * 40,
        "x in (" * 40,
        "function(a) " * 40 + "1",
        "{a: " * 40,
    ],
)
def test_what_is_too_deep_is_refused(text):
    with pytest.raises(ExpressionSyntaxError):
        compile_expression(text)


def test_deep_recursion_of_the_model_is_no_crash():
    deep = "(" * 25 + "f(n + 1)" + ")" * 25
    with pytest.raises(ExpressionError):
        compile_expression(f"{{f: function(n) {deep}, r: f(1)}}.r")({})


def test_long_chains_run():
    assert compile_expression("+".join(["1"] * 200))({}) == 200
    assert compile_expression(" and ".join(["true"] * 200))({}) is True
    assert compile_expression("x" + "[1]" * 130)({"x": 1}) is None
    assert compile_expression("x" + ".a" * 199)({}) is None


def test_deep_variables_are_compared_up_to_a_limit():
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(ExpressionError):
        compile_expression("d = d")({"d": deep})
    with pytest.raises(ExpressionError):
        compile_expression("d")({"d": deep})
