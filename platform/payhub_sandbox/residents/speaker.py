"""How a resident speaks to the switch: signed FSPIOP messages of any version."""

from email.utils import formatdate
from typing import Any, Final

import msgspec

from payhub_platform.clock import Clock
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.refusal import error_information
from payhub_sandbox.switch.signature import public_pem_of, read_private_key, signature_headers
from payhub_sandbox.switch.target import resource_of
from payhub_sandbox.switch.versions import ASKING, Version, body_version, media_type


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a resident speaks to, in which version, and with which traceparent."""

    to: str
    version: Version = "1.1"
    trace: str = ""


class Speaker:
    """One resident's voice."""

    def __init__(self, fsp_id: str, private_key_pem: str, clock: Clock) -> None:
        self._key = read_private_key(private_key_pem)
        self._clock = clock
        self.fsp_id: Final = fsp_id
        self.public_key_pem = public_pem_of(self._key)

    def say(self, line: Line, method: str, path: str, body: dict[str, Any] | None = None) -> Incoming:
        """Write a message.

        Args:
            line: whom to; an empty name where the switch finds out.
            method: of the request.
            path: from the resource name on, with a query where there is one.
            body: the JSON object, or nothing.
        """
        bare, _, query = path.partition("?")
        media = media_type(resource_of(bare), line.version)
        headers = {
            "Content-Type": media,
            "Date": formatdate(self._clock() / 1000, usegmt=True),
            "FSPIOP-Source": self.fsp_id,
        }
        if line.to:
            headers["FSPIOP-Destination"] = line.to
        data = b"" if body is None else msgspec.json.encode(body)
        if body is not None:
            headers |= signature_headers(data, headers, bare, method, self._key)
        if method in ASKING:
            headers["Accept"] = media
        if line.trace:
            headers["traceparent"] = line.trace
        lower = {name.lower(): value for name, value in headers.items()}
        return Incoming(method=method, path=bare, headers=lower, body=data, query=query)

    def answer(self, message: Outgoing, body: dict[str, Any], path: str = "") -> Incoming:
        """Answer a request with PUT, in its own version."""
        return self.say(line_back(message), "PUT", path or message.path.partition("?")[0], body)

    def refuse(self, message: Outgoing, code: str, description: str, path: str = "") -> Incoming:
        """Answer a request with its /error form."""
        bare = path or message.path.partition("?")[0]
        return self.answer(message, error_information(code, description), f"{bare}/error")


def line_back(message: Outgoing) -> Line:
    """Return the line to who sent a message."""
    headers = {name.lower(): value for name, value in message.headers.items()}
    return Line(
        to=headers["fspiop-source"],
        version=body_version(headers, resource_of(message.path)),
        trace=headers.get("traceparent", ""),
    )
