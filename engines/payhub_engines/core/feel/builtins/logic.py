"""Built-ins of booleans and null."""

from typing import Any, Final

from payhub_engines.core.feel.errors import ExpressionError
from payhub_engines.core.feel.functions import Table
from payhub_engines.core.feel.values import conjunction, disjunction, negation

CAUSE_CHARS_MAX: Final = 200
TABLE: Final = Table()


@TABLE.add("not", "negand:any")
def _not(value: object) -> bool | None:
    return negation(value)


@TABLE.add("is defined", "value:any")
def _is_defined(value: object) -> bool:
    return value is not None


@TABLE.add("get or else", "value:any, default:any")
def _get_or_else(value: object, default: object) -> Any:
    return default if value is None else value


@TABLE.add("assert", "value:any, condition:any, cause:string?")
def _assert(value: object, condition: object, cause: str | None) -> Any:
    """Stop the evaluation unless the condition holds: the instance gets an incident."""
    if condition is True:
        return value
    raise ExpressionError((cause or "The condition of an assert does not hold.")[:CAUSE_CHARS_MAX])


@TABLE.add("and, all", "list:list*")
def _all(items: list[Any]) -> bool | None:
    result: bool | None = True
    for item in items:
        result = conjunction(result, item)
    return result


@TABLE.add("or, any", "list:list*")
def _any(items: list[Any]) -> bool | None:
    result: bool | None = False
    for item in items:
        result = disjunction(result, item)
    return result
