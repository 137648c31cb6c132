"""What can be wrong with an expression: at deployment, and when it runs."""

from payhub_platform.errors import InvalidInputError, UnprocessableError


class ExpressionSyntaxError(InvalidInputError):
    """The text is no expression of the supported language, or too large."""

    title = "The expression cannot be understood"

    def __init__(self, detail: str) -> None:
        super().__init__("expression-syntax", detail)


class ExpressionError(UnprocessableError):
    """The expression has no usable value for these variables; the instance gets an incident."""

    title = "The expression has no usable value"

    def __init__(self, detail: str) -> None:
        super().__init__("expression-error", detail)
