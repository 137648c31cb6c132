"""The syntax tree of an expression; DMN 1.5, chapter 10.3.1."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, string, boolean, null, or a date, time or duration after ``@``."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A variable; ``?`` is the value that unary tests look at."""

    name: str


@dataclass(frozen=True, slots=True)
class Path:
    """``base.name``."""

    base: "Node"
    name: str


@dataclass(frozen=True, slots=True)
class Filter:
    """``base[condition]``; a ``weight`` counts the tokens of what is computed again and again."""

    base: "Node"
    condition: "Node"
    weight: int


@dataclass(frozen=True, slots=True)
class ListOf:
    """``[a, b]``."""

    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class ContextOf:
    """``{a: 1, b: a + 1}``; later entries see earlier ones."""

    entries: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True, slots=True)
class RangeOf:
    """``[a..b)``; a round or outward bracket excludes its end."""

    start: "Node"
    end: "Node"
    start_included: bool
    end_included: bool


@dataclass(frozen=True, slots=True)
class Negative:
    """``-value``."""

    value: "Node"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """``left sign right`` with one of ``+ - * / **``."""

    sign: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left sign right`` with one of ``= != < <= > >=``."""

    sign: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Logic:
    """``a and b`` or ``a or b``."""

    word: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Between:
    """``value between low and high``."""

    value: "Node"
    low: "Node"
    high: "Node"


@dataclass(frozen=True, slots=True)
class In:
    """``value in tests``."""

    value: "Node"
    tests: "Tests"


@dataclass(frozen=True, slots=True)
class Type:
    """A type's name, and of a list or range the type of what is inside."""

    name: str
    inside: "Type | None" = None


@dataclass(frozen=True, slots=True)
class InstanceOf:
    """``value instance of type``."""

    value: "Node"
    type: Type


@dataclass(frozen=True, slots=True)
class If:
    """``if condition then .. else ..``."""

    condition: "Node"
    then: "Node"
    otherwise: "Node"


@dataclass(frozen=True, slots=True)
class Iteration:
    """``name in values`` or, with ``last``, ``name in values..last``."""

    name: str
    values: "Node"
    last: "Node | None"


@dataclass(frozen=True, slots=True)
class For:
    """``for iterations return body``; ``sees_partial`` when the body looks at the results so far."""

    iterations: tuple[Iteration, ...]
    body: "Node"
    sees_partial: bool
    weight: int


@dataclass(frozen=True, slots=True)
class Quantified:
    """``some iterations satisfies condition``, or ``every``."""

    word: str
    iterations: tuple[Iteration, ...]
    condition: "Node"
    weight: int


@dataclass(frozen=True, slots=True)
class FunctionOf:
    """``function(a, b: number) body``."""

    parameters: tuple[tuple[str, Type | None], ...]
    body: "Node"
    weight: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function that an expression gives, or of a built-in.

    ``function`` is None when the name can only be a built-in's. ``names`` is empty for a call by position,
    else as long as ``arguments``.
    """

    function: "Node | None"
    builtin: str
    arguments: tuple["Node", ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputComparison:
    """The unary test ``< value``, or with another sign."""

    sign: str
    value: "Node"


@dataclass(frozen=True, slots=True)
class InputValue:
    """A unary test by any expression; ``sees_input`` when it names ``?``."""

    value: "Node"
    sees_input: bool


@dataclass(frozen=True, slots=True)
class Tests:
    """Unary tests of which one must hold or, ``negated``, none; no tests at all always hold."""

    tests: tuple[InputComparison | InputValue, ...]
    negated: bool = False


Node = (
    Literal
    | Name
    | Path
    | Filter
    | ListOf
    | ContextOf
    | RangeOf
    | Negative
    | Arithmetic
    | Comparison
    | Logic
    | Between
    | In
    | InstanceOf
    | If
    | For
    | Quantified
    | FunctionOf
    | Call
)
