"""Built-ins of strings; places count characters from 1."""

import base64
from typing import Final

from payhub_engines.core.feel.functions import Table

TABLE: Final = Table()


@TABLE.add("substring", "string:string, start position:integer, length:integer?")
def _substring(text: str, position: int, length: int | None) -> str | None:
    start = position - 1 if position > 0 else len(text) + position
    end = len(text) if length is None else min(start + length, len(text))
    return text[start:end] if position != 0 and 0 <= start <= end else None


@TABLE.add("string length", "string:string")
def _string_length(text: str) -> int:
    return len(text)


@TABLE.add("upper case", "string:string")
def _upper_case(text: str) -> str:
    return text.upper()


@TABLE.add("lower case", "string:string")
def _lower_case(text: str) -> str:
    return text.lower()


@TABLE.add("substring before", "string:string, match:string")
def _substring_before(text: str, match: str) -> str:
    before, found, _ = text.partition(match) if match else ("", "", "")
    return before if found else ""


@TABLE.add("substring after", "string:string, match:string")
def _substring_after(text: str, match: str) -> str:
    return text.partition(match)[2] if match else text


@TABLE.add("contains", "string:string, match:string")
def _contains(text: str, match: str) -> bool:
    return match in text


@TABLE.add("starts with", "string:string, match:string")
def _starts_with(text: str, match: str) -> bool:
    return text.startswith(match)


@TABLE.add("ends with", "string:string, match:string")
def _ends_with(text: str, match: str) -> bool:
    return text.endswith(match)


@TABLE.add("trim", "string:string")
def _trim(text: str) -> str:
    return text.strip()


@TABLE.add("is blank", "string:string")
def _is_blank(text: str) -> bool:
    return not text.strip()


@TABLE.add("to base64", "value:string")
def _to_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@TABLE.add("from base64", "value:string")
def _from_base64(text: str) -> str:
    return base64.b64decode(text, validate=True).decode()
