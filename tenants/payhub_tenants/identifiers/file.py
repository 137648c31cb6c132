"""A file of party identifiers: CSV in, a report of what was refused out. Pure."""

import csv
import hashlib
import io
from typing import Final

import msgspec
from msgspec.structs import replace

from payhub_platform.errors import InvalidInputError
from payhub_tenants.fields import View
from payhub_tenants.identifiers.model import IdentifierBody

FILE_DOCUMENT: Final = "identifier-file"
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
FILE_LINES_MAX: Final = 50_000
REFUSED_TOLD_MAX: Final = 1_000
HEADER: Final = ["type", "value", "subId", "accountId"]
FIRST_LINE: Final = 2  # the header is line 1


class RefusedLine(View, frozen=True, kw_only=True):
    """A line that was not registered: which one, and why. Holds nothing of the line itself."""

    line: int
    code: str
    detail: str


class IdentifierFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it is kept while it is worked on, and its report afterwards."""

    file_id: str  # SHA-256 of the content
    lines: int
    next: int  # index of the first line that was not worked on
    registered: int
    refused_count: int
    refused: list[RefusedLine]  # the first ones
    content_sealed: str  # empty once all is done: members' data is kept in one place only
    is_done: bool


class FileView(View, frozen=True, kw_only=True, omit_defaults=False):
    """How far a file is."""

    file_id: str
    lines: int
    worked_on: int
    registered: int
    refused: int
    refused_lines: list[RefusedLine]
    done: bool


def file_id_of(content: bytes) -> str:
    """Return the id of a file: the same content is the same file."""
    return hashlib.sha256(content).hexdigest()


def rows_of(content: bytes) -> list[list[str]]:
    """Return the lines of a CSV file without its header.

    Raises:
        InvalidInputError: ``malformed-csv``, ``unexpected-columns``, ``empty-file`` or ``too-many-lines``.
    """
    try:
        text = content.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError("malformed-csv", f"The file is no CSV in UTF-8: {error}.") from error
    if not rows or rows[0] != HEADER:
        raise InvalidInputError("unexpected-columns", f"The first line must be {','.join(HEADER)}.")
    if len(rows) == 1:
        raise InvalidInputError("empty-file", "The file has no line after its header.")
    if len(rows) - 1 > FILE_LINES_MAX:
        raise InvalidInputError("too-many-lines", f"A file has at most {FILE_LINES_MAX} lines; send several.")
    return rows[1:]


def body_of(row: list[str], line: int) -> IdentifierBody | RefusedLine:
    """Return the identifier in a line, or why there is none."""
    if len(row) != len(HEADER):
        return RefusedLine(line=line, code="invalid-line", detail=f"A line has {len(HEADER)} columns.")
    fields = {name: value for name, value in zip(HEADER, row, strict=True) if name != "subId" or value}
    try:
        body = msgspec.convert(fields, IdentifierBody)
    except msgspec.ValidationError as error:
        where = str(error).rpartition("`$.")[2].rstrip("`")  # never the value itself
        return RefusedLine(line=line, code="invalid-field", detail=f"The column {where} does not fit.")
    if "." in (body.value, body.sub_id) or ".." in (body.value, body.sub_id):
        return RefusedLine(line=line, code="invalid-field", detail="This is no identifier.")
    return body


def with_outcomes(
    file: IdentifierFile, worked_on: int, registered: int, refused: list[RefusedLine]
) -> IdentifierFile:
    """Return a file after some more of its lines; at its end the content is forgotten."""
    after = file.next + worked_on
    done = after >= file.lines
    return replace(
        file,
        next=after,
        registered=file.registered + registered,
        refused_count=file.refused_count + len(refused),
        refused=[*file.refused, *refused][:REFUSED_TOLD_MAX],
        content_sealed="" if done else file.content_sealed,
        is_done=done,
    )


def file_view(file: IdentifierFile) -> FileView:
    """Return how far a file is."""
    return FileView(
        file_id=file.file_id,
        lines=file.lines,
        worked_on=file.next,
        registered=file.registered,
        refused=file.refused_count,
        refused_lines=file.refused,
        done=file.is_done,
    )
