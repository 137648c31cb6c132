"""FEEL's operators, paths, filters, loops, contexts and functions, after DMN 1.5 chapter 10.3 and Camunda."""

from decimal import Decimal

import pytest

from payhub_engines.core.feel import ExpressionSyntaxError, compile_expression

VARIABLES = {
    "x": 7,
    "y": 2.5,
    "s": "foobar",
    "t": True,
    "n": None,
    "xs": [1, 2, 3, 4],
    "cs": [{"a": 1, "b": "p"}, {"a": 2, "b": "q"}, {"a": 3, "b": "p"}],
    "c": {"a": 1, "b": "p", "d": {"e": 5}},
}

NUMBERS = [
    ("1 + 2 * 3", 7),
    ("(1 + 2) * 3", 9),
    ("10 - 2 - 3", 5),
    ("100 / 10 / 5", 2),
    ("2 ** 10", 1024),
    ("2 ** 3 ** 2", 64),
    ("2 ** -1", Decimal("0.5")),
    ("-2 ** 2", 4),
    ("2 ** 0.5 > 1.4142", True),
    ("0 ** 0", 1),
    ("0 ** -1", None),
    ("10 ** 33", 10**33),
    ("10 ** 34", None),
    ("-x", -7),
    ("--x", 7),
    ("-xs", None),
    (".5 + .25", Decimal("0.75")),
    ("1.5 + 1.5", 3),
    ("y * 2", 5),
    ("x / 2", Decimal("3.5")),
    ("1 / 3", Decimal("0.3333333333333333333333333333333333")),
    ("0.1 + 0.2 = 0.3", True),
    ("9999999999999999999999999999999999 + 1", None),
    ("9999999999999999999999999999999999 - 1", 9999999999999999999999999999999998),
    ("1 + null", None),
    ('1 + "a"', None),
    ('"a" + 1', None),
    ("true + 1", None),
    ("x / 0", None),
    ("0.1 ** 7000", 0),
    ("1 // a comment\n + 2", 3),
    ("1 /* a * b / c */ + 2", 3),
    ("1\u00a0+\u200b2", 3),
]

STRINGS = [
    ('"a" + "b" + "c"', "abc"),
    ('"\\u0041\\n\\t\\"\\\\"', 'A\n\t"\\'),
    ('"\\uD83D\\uDE00"', "\U0001f600"),
    ('"\\U01F600"', "\U0001f600"),
    ('"\\d+\\."', "\\d+\\."),
    ('"a" < "b"', True),
    ('"a" = "A"', False),
    ('s + "!"', "foobar!"),
    ("s - s", None),
]

COMPARISONS = [
    ("1 = 1.0", True),
    ("1 != 2", True),
    ("x > 6 and x < 8", True),
    ("x >= 7", True),
    ("x <= 6", False),
    ("1 = null", False),
    ("null = null", True),
    ("null != null", False),
    ("missing = null", True),
    ("1 < null", None),
    ("null < null", None),
    ('1 = "1"', None),
    ('1 < "1"', None),
    ("true = true", True),
    ("true < false", None),
    ("[1, 2] = [1, 2]", True),
    ("[1, 2] = [2, 1]", False),
    ("[1] = [1, 2]", False),
    ("[] = []", True),
    ("[null] = [null]", True),
    ("{a: 1} = {a: 1}", True),
    ("{a: 1} = {b: 1}", False),
    ("{a: 1, b: 2} = {b: 2, a: 1}", True),
    ("{} = {}", True),
    ("[1] < [2]", None),
    ("x between 5 and 10", True),
    ("x between 8 and 10", False),
    ("x between 7 and 7", True),
    ("x between null and 10", None),
    ("x between 8 and null", False),
    ("x between 1 and 10 and t", True),
    ("x in 7", True),
    ("x in (1, 7)", True),
    ("x in (1, 2)", False),
    ("x in > 5", True),
    ("x in (< 5, > 6)", True),
    ("x in [1..7]", True),
    ("x in [1..7)", False),
    ("x in [1..7[", False),
    ("x in ]7..9]", False),
    ("x in (6..8)", True),
    ("x in ([1..3], [5..9])", True),
    ("x in [xs[1]..xs[4] * 2[", True),
    ("x in xs", False),
    ("3 in xs", True),
    ("5 in ? < 10", True),
    ("5 in (? * 2 = 10)", True),
    ("x in not(7)", False),
    ("null in [1..2]", None),
    ('"b" in ["a".."c"]', True),
    ("x instance of number", True),
    ("s instance of string", True),
    ("s instance of number", False),
    ("t instance of boolean", True),
    ("xs instance of list", True),
    ("xs instance of list<number>", True),
    ("xs instance of list<string>", False),
    ("c instance of context", True),
    ("null instance of Any", False),
    ("x instance of Any", True),
    ("null instance of null", True),
    ("[1..2] instance of range", True),
    ("[1..2] instance of range<number>", True),
    ("(function(a) a) instance of function", True),
    ("2 * 3 instance of number", True),
    ("if 1 in < 5 then 1 else 2", 1),
]

LOGIC = [
    (f"{a} {word} {b}", {"true": True, "false": False, "null": None}[result])
    for word, rows in {
        "and": (
            ("true", "true", "true"),
            ("true", "false", "false"),
            ("true", "null", "null"),
            ("false", "true", "false"),
            ("false", "false", "false"),
            ("false", "null", "false"),
            ("null", "true", "null"),
            ("null", "false", "false"),
            ("null", "null", "null"),
        ),
        "or": (
            ("true", "true", "true"),
            ("true", "false", "true"),
            ("true", "null", "true"),
            ("false", "true", "true"),
            ("false", "false", "false"),
            ("false", "null", "null"),
            ("null", "true", "true"),
            ("null", "false", "null"),
            ("null", "null", "null"),
        ),
    }.items()
    for a, b, result in rows
] + [
    ("true or false and false", True),
    ("false and missing.x > 1", False),
    ('true and "otherwise"', None),
    ('"otherwise" and true', None),
    ('"otherwise" or "otherwise"', None),
    ('true or "otherwise"', True),
    ("true and true and false", False),
    ("false or false or true", True),
    ("null and true and false", False),
    ("not(true)", False),
    ("not(null)", None),
    ("not(1)", None),
    ("not(negand: false)", True),
    ("not(x > 5 and x < 6)", True),
    ("x > 5 and not(x > 8)", True),
]

CONDITIONS = [
    ('if x > 5 then "high" else "low"', "high"),
    ('if s > 5 then "high" else "low"', "low"),
    ("if null then 1 else 2", 2),
    ("if false then 1 else if true then 2 else 3", 2),
    ("if {a: true}.a then 1 else 2", 1),
    ("if true then 1 else 2 + 10", 1),
    ("(if false then 1 else 2) + 10", 12),
    ("1 + if t then 1 else 2", 2),
]

PATHS = [
    ("c.a", 1),
    ("c.d.e", 5),
    ("c.missing", None),
    ("c.missing.more", None),
    ("x.a", None),
    ("n.a", None),
    ("cs.a", [1, 2, 3]),
    ("cs.missing", [None, None, None]),
    ("{a: {b: 1}}.a.b", 1),
    ("c.`a`", 1),
    ("`x` + 1", 8),
    ("{`a b`: 1}.`a b`", 1),
    ('{"a b": 1}.`a b`', 1),
    ("{a b: 1, c: a b + 1}.c", 2),
    ("[[{a: 1}], [{a: 2}]].a", [[1], [2]]),
]

FILTERS = [
    ("xs[1]", 1),
    ("xs[4]", 4),
    ("xs[5]", None),
    ("xs[0]", None),
    ("xs[-1]", 4),
    ("xs[-4]", 1),
    ("xs[-5]", None),
    ("xs[x - 5]", 2),
    ("xs[item > 2]", [3, 4]),
    ("xs[item > 9]", []),
    ("xs[even(item)]", [2, 4]),
    ("xs[item in [2..3]]", [2, 3]),
    ("xs[item > 1 and item < 4]", [2, 3]),
    ("xs[item > 1][item < 4]", [2, 3]),
    ("xs[item > 1][1]", 2),
    ("xs[abs(2)]", 2),
    ("xs[null]", []),
    ('xs["a"]', []),
    ("xs[if item < 3 then true else null]", [1, 2]),
    ("[1, null, 3][item = null]", [None]),
    ("[1, null, 3][item > 2]", [3]),
    ("[][item > 1]", []),
    ("[][1]", None),
    ("x[1]", None),
    ("null[item > 1]", None),
    ("missing[1]", None),
    ('cs[b = "p"].a', [1, 3]),
    ('cs[a > 1 and b = "p"]', [{"a": 3, "b": "p"}]),
    ("cs[item.a >= 2].b", ["q", "p"]),
    ("cs[a = 2][1].b", "q"),
    ("cs[x > 5].a", [1, 2, 3]),
    ("[[1, 2], [3]][1][2]", 2),
    ("{x: [[1]]}.x[1][1]", 1),
    ("([1, 2, 3])[2]", 2),
    ("for i in xs return xs[i] * 10", [10, 20, 30, 40]),
    ("xs[some y in [1, 3] satisfies y = item]", [1, 3]),
]

LOOPS = [
    ("for i in xs return i * 2", [2, 4, 6, 8]),
    ("for i in [] return i", []),
    ("for i in 1..3 return i", [1, 2, 3]),
    ("for i in 3..1 return i", [3, 2, 1]),
    ("for i in -1..1 return i", [-1, 0, 1]),
    ("for i in 1..1 return i", [1]),
    ("for i in x..x + 2 return i", [7, 8, 9]),
    ("for i in [1..3] return i", [1, 2, 3]),
    ("for i in (1..3) return i", [2]),
    ("for i in 0.5..2.5 return i", [Decimal("0.5"), Decimal("1.5"), Decimal("2.5")]),
    ("for a in [1, 2], b in [10, 20] return a + b", [11, 21, 12, 22]),
    ("for a in [[1, 2], [3]], b in a return b", [1, 2, 3]),
    ("for i in 1..5 return if i = 1 then 1 else i * partial[-1]", [1, 2, 6, 24, 120]),
    ("for i in 1..3 return count(partial)", [0, 1, 2]),
    ("for i in x return i", None),
    ("for i in null return i", None),
    ("for i in 1..null return i", None),
    ("for i in xs return if i > 2 then i else null", [None, None, 3, 4]),
    ("for loan in cs return loan.a", [1, 2, 3]),
    ("count(for i in 1..100, j in 1..100 return i)", 10_000),
    ("some i in xs satisfies i > 3", True),
    ("some i in xs satisfies i > 4", False),
    ("some i in [] satisfies true", False),
    ("some i in [1, null] satisfies i > 5", None),
    ("some i in [null, 9] satisfies i > 5", True),
    ("some a in [1, 2], b in [2, 3] satisfies a = b", True),
    ("some i in x satisfies true", None),
    ("some i in 1..3 satisfies i = 2", True),
    ("every i in xs satisfies i > 0", True),
    ("every i in xs satisfies i > 1", False),
    ("every i in [] satisfies false", True),
    ("every i in [9, null] satisfies i > 5", None),
    ("every i in [1, null] satisfies i > 5", False),
    ("every a in [1, 2], b in [3, 4] satisfies a < b", True),
    ("every i in null satisfies true", None),
    ("some i in xs satisfies i > 3 and t", True),
]

CONTEXTS = [
    ("{}", {}),
    ("{a: 1, b: a + 1, c: b * 2}", {"a": 1, "b": 2, "c": 4}),
    ('{"a b": 1}', {"a b": 1}),
    ("{first name: 1}", {"first name": 1}),
    ("{a+b: 1}", {"a+b": 1}),
    ("{x: x + 1}.x", 8),
    ("{a: {b: 1, c: b + 1}, d: a.c}.d", 2),
    ("{in: 1, if: 2}", {"in": 1, "if": 2}),
    ("{f: function(a) a * 2, r: f(4)}.r", 8),
    ("{f: function(a) a * 2}.f(4)", 8),
    ("[{a: 1}, {a: 2}][a = 2]", [{"a": 2}]),
]

FUNCTIONS = [
    ("{f: function(a, b) a - b, r: f(3, 1)}.r", 2),
    ("{f: function(a, b) a - b, r: f(b: 3, a: 1)}.r", -2),
    ("{f: function() 42, r: f()}.r", 42),
    ("{f: function(a) a, r: f()}.r", None),
    ("{f: function(a) a, r: f(1, 2)}.r", None),
    ("{f: function(a) a, r: f(b: 1)}.r", None),
    ("{f: function(a) x + a, r: f(1)}.r", 8),
    ("{f: function(a: number) a, r: [f(1), f(null)]}.r", [1, None]),
    ('{f: function(a: number) a, r: f("b")}.r', None),
    ("{first name: function(a) a, r: first name(3)}.r", 3),
    ("{fact: function(n) if n < 2 then 1 else n * fact(n - 1), r: fact(5)}.r", 120),
    ("{count: function(a) 99, r: count(xs)}.r", 99),
    ("{add: function(a) function(b) a + b, r: add(1)(2)}.r", 3),
    ("(function(a) a + 1)(2)", 3),
    ("sort(xs, function(a, b) a > b)", [4, 3, 2, 1]),
    ("sort(list: xs, precedes: function(a, b) a > b)[1]", 4),
    ("for f in [function(a) a + 1, function(a) a * 5] return f(3)", [4, 15]),
    ("{f: 1, r: f(1)}.r", None),
    ("substring(string: s, start position: 4)", "bar"),
    ("substring(start position: 4, string: s)", "bar"),
    ("substring(string: s, nonsense: 4)", None),
    ("count(1, 2)", None),
    ("function(a) a", None),
    ("[1..3]", None),
    ("[1..3].start", 1),
    ("(1..3].start included", False),
    ("(1..3].end included", True),
    ("[1..3].end", 3),
    ('[1.."a"]', None),
]

ROWS = [
    *NUMBERS,
    *STRINGS,
    *COMPARISONS,
    *LOGIC,
    *CONDITIONS,
    *PATHS,
    *FILTERS,
    *LOOPS,
    *CONTEXTS,
    *FUNCTIONS,
]


@pytest.mark.parametrize(("text", "value"), ROWS)
def test_expression_gives(text, value):
    result = compile_expression(text)(VARIABLES)
    assert result == value
    assert isinstance(result, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    "text",
    [
        "1 +",
        "a b",
        "1 = 1 = 1",
        "[1..",
        "[1..2",
        "..",
        "1..2",
        "for i in xs",
        "for in xs return 1",
        "some i in xs",
        "if t then 1",
        "{a 1}",
        "{a: }",
        "function(a)",
        "function(1) a",
        "function(a) external {java: 1}",
        "x instance of nonsense",
        "x instance",
        "x between 1",
        "@2020",
        "@",
        "cos(1)",
        "substring(s, start: 1, 2)",
        "substring(string: s, string: s)",
        "`a",
        '"a',
        '"\\uD800"',
        "12345678901234567890123456789012345",
        "a[1",
        "a[",
        "x in",
        "x in ()",
        "not",
        "null(1)",
        "a.",
        "a.1",
        "# comment",
        "/* open",
    ],
)
def test_what_is_no_expression_is_refused(text):
    with pytest.raises(ExpressionSyntaxError):
        compile_expression(text)


def test_names_with_spaces_are_found_where_they_are_known():
    expression = compile_expression("total amount + amount", ["total amount"])
    assert expression({"total amount": 3, "amount": 4}) == 7
    with pytest.raises(ExpressionSyntaxError):
        compile_expression("total amount + amount")


def test_the_longest_known_name_wins():
    expression = compile_expression(
        "total + total amount + total amount due", ["total amount", "total amount due"]
    )
    assert expression({"total": 1, "total amount": 10, "total amount due": 100}) == 111


def test_functions_of_the_model_go_before_variables_and_builtins_after():
    assert compile_expression("count(xs)")({"count": 9, "xs": [1, 2]}) == 2
    assert compile_expression("count")({"count": 9}) == 9


def test_a_filter_sees_the_items_entries_before_variables():
    assert compile_expression("loans[id = wanted].amount")(
        {"wanted": "B", "id": "A", "loans": [{"id": "A", "amount": 1}, {"id": "B", "amount": 2}]}
    ) == [2]


def test_variables_are_never_changed():
    variables = {"xs": [3, 1], "c": {"a": 1}}
    compile_expression('[append(xs, 2), sort(xs, function(a, b) a < b), context put(c, "b", 2)]')(variables)
    assert variables == {"xs": [3, 1], "c": {"a": 1}}
