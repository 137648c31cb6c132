"""Turns a syntax tree into closures, so that each expression is parsed once and then only called."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from payhub_engines.core.feel import loops, syntax, values
from payhub_engines.core.feel.arithmetic import OPERATIONS, negate
from payhub_engines.core.feel.builtins import BUILTINS
from payhub_engines.core.feel.constructs import INPUT
from payhub_engines.core.feel.evaluation import Compiled, Scope
from payhub_engines.core.feel.functions import Function
from payhub_engines.core.feel.limits import SERIES_STEPS, SIZE_PER_STEP
from payhub_engines.core.feel.properties import property_of
from payhub_engines.core.feel.syntax import Node
from payhub_engines.core.feel.type_names import is_instance

_HOLDS: Final[dict[str, Callable[[int], bool]]] = {
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
}
_PER_ITEM: Final = (
    syntax.Comparison,
    syntax.Call,
    syntax.Logic,
    syntax.Between,
    syntax.In,
    syntax.InstanceOf,
)
"""Filters that can only be computed for an item; others may give a place without one."""


def compiled(node: Node) -> Compiled:
    """Compile an expression."""
    return _COMPILERS[type(node)](node)


def compiled_tests(tests: syntax.Tests) -> Compiled:
    """Compile unary tests; they look at the value named ``?``."""
    if not tests.tests:
        return lambda _: True
    tests_compiled = [_test(test) for test in tests.tests]

    def at_least_one(scope: Scope) -> bool | None:
        found: bool | None = False
        for test in tests_compiled:
            found = values.disjunction(found, test(scope))
            if found:
                break
        return values.negation(found) if tests.negated else found

    return at_least_one


def _test(test: syntax.InputComparison | syntax.InputValue) -> Compiled:
    value = compiled(test.value)
    if isinstance(test, syntax.InputComparison):
        compare = _comparison_of(test.sign)
        return lambda scope: compare(scope.get(INPUT), value(scope), scope)
    if test.sees_input:
        return lambda scope: values.conjunction(value(scope), True)  # noqa: FBT003 - what is no boolean is null
    is_boolean = isinstance(test.value, syntax.Literal) and isinstance(test.value.value, bool)
    return lambda scope: _matches(scope.get(INPUT), value(scope), scope, is_boolean=is_boolean)


def _matches(input_value: object, found: object, scope: Scope, *, is_boolean: bool) -> bool | None:
    """Test a value by what an expression gives: itself, a list or range that has it, or true."""
    if isinstance(found, values.Range):
        return values.in_range(input_value, found)
    same = values.equals(input_value, found, scope.run)
    if is_boolean:
        return same
    if found is True or same is True:
        return True
    if isinstance(found, list):
        return any(_is_in(input_value, item, scope) for item in found)
    return False if found is False or same is not None else None


def _is_in(input_value: object, item: object, scope: Scope) -> bool:
    scope.run.spend(1)
    if isinstance(item, values.Range):
        return values.in_range(input_value, item) is True
    return values.equals(input_value, item, scope.run) is True


def _literal(node: syntax.Literal) -> Compiled:
    value = node.value
    return lambda _: value


def _name(node: syntax.Name) -> Compiled:
    name = node.name
    return lambda scope: scope.get(name)


def _path(node: syntax.Path) -> Compiled:
    names = [node.name]
    base: Node = node.base
    while isinstance(base, syntax.Path):
        names.append(base.name)
        base = base.base
    names.reverse()
    start = compiled(base)

    def follow(scope: Scope) -> Any:
        value = start(scope)
        for name in names:
            value = _member(value, name, scope)
        return value

    return follow


def _member(value: Any, name: str, scope: Scope) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    if isinstance(value, list):
        scope.run.spend(1 + len(value))
        return [_member(item, name, scope) for item in value]
    return property_of(value, name)


def _filter(node: syntax.Filter) -> Compiled:
    base, condition = compiled(node.base), compiled(node.condition)
    is_per_item, weight = isinstance(node.condition, _PER_ITEM), node.weight

    def choose(scope: Scope) -> Any:
        items = base(scope)
        if not isinstance(items, list):
            return None
        place = None if is_per_item else values.number_of(condition(scope))
        return (
            loops.item_at(items, place)
            if place is not None
            else loops.filtered(items, condition, scope, weight)
        )

    return choose


def _list(node: syntax.ListOf) -> Compiled:
    items = [compiled(item) for item in node.items]
    return lambda scope: [item(scope) for item in items]


def _context(node: syntax.ContextOf) -> Compiled:
    entries = [(name, compiled(value)) for name, value in node.entries]

    def build(scope: Scope) -> dict[str, Any]:
        context: dict[str, Any] = {}
        inner = scope.inner(context)
        for name, value in entries:
            context[name] = value(inner)
        return context

    return build


def _range(node: syntax.RangeOf) -> Compiled:
    start, end = compiled(node.start), compiled(node.end)
    start_included, end_included = node.start_included, node.end_included

    def build(scope: Scope) -> values.Range | None:
        first, last = start(scope), end(scope)
        if values.order(first, last) is None:
            return None
        return values.Range(first, last, start_included, end_included)

    return build


def _negative(node: syntax.Negative) -> Compiled:
    value = compiled(node.value)
    return lambda scope: negate(value(scope))


def _arithmetic(node: syntax.Arithmetic) -> Compiled:
    start, signs, operands = _chain(node, lambda part: part.sign)
    steps = [(OPERATIONS[sign], operand) for sign, operand in zip(signs, operands, strict=True)]
    cost = SERIES_STEPS * signs.count("**")

    def calculate(scope: Scope) -> Any:
        if cost:
            scope.run.spend(cost)
        result = start(scope)
        for operation, operand in steps:
            result = operation(result, operand(scope))
            if isinstance(result, str):
                scope.run.spend(len(result) // SIZE_PER_STEP)
        return result

    return calculate


def _chain(
    node: syntax.Arithmetic | syntax.Logic, label: Callable[[Any], str]
) -> tuple[Compiled, list[str], list[Compiled]]:
    """Return a chain's first operand, and the labels and operands that follow: long sums do not nest."""
    labels: list[str] = []
    operands: list[Compiled] = []
    left: Node = node
    while type(left) is type(node):
        labels.append(label(left))
        operands.append(compiled(left.right))
        left = left.left
    return compiled(left), labels[::-1], operands[::-1]


def _comparison_of(sign: str) -> Callable[[object, object, Scope], bool | None]:
    if sign == "=":
        return lambda a, b, scope: values.equals(a, b, scope.run)
    if sign == "!=":
        return lambda a, b, scope: values.negation(values.equals(a, b, scope.run))
    holds = _HOLDS[sign]

    def compare(a: object, b: object, _: Scope) -> bool | None:
        order = values.order(a, b)
        return None if order is None else holds(order)

    return compare


def _comparison(node: syntax.Comparison) -> Compiled:
    compare, left, right = _comparison_of(node.sign), compiled(node.left), compiled(node.right)
    return lambda scope: compare(left(scope), right(scope), scope)


def _logic(node: syntax.Logic) -> Compiled:
    start, words, operands = _chain(node, lambda part: part.word)
    steps = [
        (word == "or", values.disjunction if word == "or" else values.conjunction, operand)
        for word, operand in zip(words, operands, strict=True)
    ]

    def decide(scope: Scope) -> bool | None:
        result = start(scope)
        for decisive, combine, operand in steps:
            if result is not decisive:
                result = combine(result, operand(scope))
        return values.conjunction(result, True)  # noqa: FBT003 - what is no boolean is null

    return decide


def _between(node: syntax.Between) -> Compiled:
    value, low, high = compiled(node.value), compiled(node.low), compiled(node.high)
    at_least, at_most = _comparison_of(">="), _comparison_of("<=")

    def test(scope: Scope) -> bool | None:
        found = value(scope)
        return values.conjunction(at_least(found, low(scope), scope), at_most(found, high(scope), scope))

    return test


def _in(node: syntax.In) -> Compiled:
    value, tests = compiled(node.value), compiled_tests(node.tests)
    return lambda scope: tests(scope.inner({INPUT: value(scope)}))


def _instance_of(node: syntax.InstanceOf) -> Compiled:
    value, wanted = compiled(node.value), node.type
    return lambda scope: is_instance(value(scope), wanted)


def _if(node: syntax.If) -> Compiled:
    condition, then, otherwise = compiled(node.condition), compiled(node.then), compiled(node.otherwise)
    return lambda scope: then(scope) if condition(scope) is True else otherwise(scope)


def _iterations(nodes: tuple[syntax.Iteration, ...]) -> list[loops.CompiledIteration]:
    return [
        loops.CompiledIteration(
            node.name, compiled(node.values), None if node.last is None else compiled(node.last)
        )
        for node in nodes
    ]


def _for(node: syntax.For) -> Compiled:
    loop = loops.Loop(_iterations(node.iterations), compiled(node.body), node.weight)
    partial = node.sees_partial
    return lambda scope: loop.results(scope, partial=partial)


def _quantified(node: syntax.Quantified) -> Compiled:
    loop = loops.Loop(_iterations(node.iterations), compiled(node.condition), node.weight)
    return loop.some if node.word == "some" else loop.every


def _function(node: syntax.FunctionOf) -> Compiled:
    parameters, body, weight = node.parameters, compiled(node.body), node.weight
    return lambda scope: Function(parameters, body, scope, weight)


def _call(node: syntax.Call) -> Compiled:
    function = None if node.function is None else compiled(node.function)
    builtin = BUILTINS.get(node.builtin)
    arguments, names = [compiled(argument) for argument in node.arguments], node.names

    def call(scope: Scope) -> Any:
        called = None if function is None else function(scope)
        given = [argument(scope) for argument in arguments]
        if isinstance(called, Function):
            return called.call(given, names)
        return None if builtin is None else builtin.call(given, names, scope.run)

    return call


_COMPILERS: Final[dict[type, Callable[[Any], Compiled]]] = {
    syntax.Literal: _literal,
    syntax.Name: _name,
    syntax.Path: _path,
    syntax.Filter: _filter,
    syntax.ListOf: _list,
    syntax.ContextOf: _context,
    syntax.RangeOf: _range,
    syntax.Negative: _negative,
    syntax.Arithmetic: _arithmetic,
    syntax.Comparison: _comparison,
    syntax.Logic: _logic,
    syntax.Between: _between,
    syntax.In: _in,
    syntax.InstanceOf: _instance_of,
    syntax.If: _if,
    syntax.For: _for,
    syntax.Quantified: _quantified,
    syntax.FunctionOf: _function,
    syntax.Call: _call,
}
