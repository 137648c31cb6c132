"""Settings come from environment variables and are read once, at the edge of a process."""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from payhub_platform.errors import InvalidInputError

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


def load(
    kind: type[SettingsT], environment: Mapping[str, str] | None = None, prefix: str = "PAYHUB_"
) -> SettingsT:
    """Build a settings Struct from variables named prefix + FIELD.

    Fields that are lists, dicts or Structs are read as JSON; the others are converted from text.

    Raises:
        InvalidInputError: code ``invalid-settings``; names the variable and what is wrong with it.
    """
    source = os.environ if environment is None else environment
    values: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        text = source.get(prefix + field.name.upper())
        if text is None:
            continue
        values[field.name] = text
        if text[:1] in ("[", "{"):
            # What is no JSON stays text, such as an IPv6 address; a field that needs more refuses it below.
            with contextlib.suppress(msgspec.DecodeError):
                values[field.name] = msgspec.json.decode(text)
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise InvalidInputError("invalid-settings", f"{kind.__name__}: {error}", prefix) from error


def _path(kind: type[Any], value: Any) -> Any:
    """Read a file name; the one kind of setting that msgspec does not know."""
    if kind is not Path:
        raise TypeError(f"settings cannot hold {kind.__name__}")
    return Path(value)
