"""What an expression may use: models come from tenants, so everything about them is bounded."""

from typing import Final

TEXT_CHARS_MAX: Final = 4_096  # of an expression
TOKENS_MAX: Final = 400  # of an expression; bounds how deep the compiled closures can nest
DEPTH_MAX: Final = 32  # of brackets and nested conditions in the text
NAME_WORDS_MAX: Final = 8  # of a name with spaces

STEPS_MAX: Final = 200_000  # of one evaluation; a step is a word or sign, an item, a value compared
SERIES_STEPS: Final = 50  # that a power, logarithm or exponential counts for
STATES_PER_STEP: Final = 2  # of a regular expression that are followed for one step
CALL_DEPTH_MAX: Final = 16  # of functions that call functions
VALUE_DEPTH_MAX: Final = 64  # of lists and contexts inside each other
LIST_ITEMS_MAX: Final = 10_000
STRING_CHARS_MAX: Final = 65_536
SIZE_PER_STEP: Final = 8  # items or characters that a built-in handles for one step

PRECISION_DIGITS: Final = 34  # IEEE 754 decimal128, as the DMN specification demands
INTEGER_MAX: Final = 10**PRECISION_DIGITS  # beyond it nothing is exact: such a result is null
DECIMAL_EXPONENT_MAX: Final = 6_144  # decimal128
POWER_MAX: Final = 999_999_999  # the exponent of **

PATTERN_CHARS_MAX: Final = 256  # of a regular expression
PATTERN_STATES_MAX: Final = 2_000  # of a regular expression with its counted repeats written out
