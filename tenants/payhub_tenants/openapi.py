"""Bodies of requests in the OpenAPI document: handlers decode them strictly, and name them here."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody

_DEFINITION: Final = "#/$defs/"


def takes(type_: type[msgspec.Struct], *, required: bool = True) -> type[Operation]:
    """Return the ``operation_class`` of a handler that takes a JSON body of this type."""
    schema = msgspec.json.schema(type_)
    return _operation("application/json", _inline(schema, schema["$defs"]), required=required)


def takes_file(media_type: str) -> type[Operation]:
    """Return the ``operation_class`` of a handler that takes a file."""
    return _operation(media_type, {"type": "string"})


def _operation(media_type: str, schema: Any, *, required: bool = True) -> type[Operation]:
    @dataclass
    class WithBody(Operation):
        def __post_init__(self) -> None:
            content = {media_type: OpenAPIMediaType(schema=schema)}
            self.request_body = RequestBody(content=content, required=required)

    return WithBody


def _inline(part: Any, definitions: dict[str, Any]) -> Any:
    r"""Return a schema without references, which would point into the OpenAPI document instead.

    Patterns end in ``$``, because JSON Schema's regular expressions (ECMA-262) have no ``\Z``.
    """
    if isinstance(part, list):
        return [_inline(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    if str(part.get("$ref", "")).startswith(_DEFINITION):
        return _inline(definitions[part["$ref"].removeprefix(_DEFINITION)], definitions)
    shown = {name: _inline(value, definitions) for name, value in part.items() if name != "$defs"}
    if isinstance(shown.get("pattern"), str):
        shown["pattern"] = shown["pattern"].replace(r"\Z", "$")
    return shown
