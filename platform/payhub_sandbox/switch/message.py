"""Messages as the switch sees them: bytes in, bytes out, never re-encoded on the way through."""

from typing import Final

import msgspec

from payhub_sandbox.switch.versions import Version

# What is signed or steers the conversation travels unchanged from end to end; hop headers do not.
_END_TO_END: Final = {
    "accept": "Accept",
    "content-type": "Content-Type",
    "date": "Date",
    "fspiop-source": "FSPIOP-Source",
    "fspiop-destination": "FSPIOP-Destination",
    "fspiop-signature": "FSPIOP-Signature",
    "fspiop-uri": "FSPIOP-URI",
    "fspiop-http-method": "FSPIOP-HTTP-Method",
    "fspiop-encryption": "FSPIOP-Encryption",
    "traceparent": "traceparent",
    "tracestate": "tracestate",
}


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a DFSP.

    Attributes:
        method: upper case.
        path: from the resource name on, still percent-encoded as the sender signed it.
        headers: by lower-case name.
        body: the bytes as received.
        query: what follows the question mark, as received; only GET /authorizations has one.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    query: str = ""

    @property
    def source(self) -> str:
        """The DFSP that sent it; empty when it did not say."""
        return self.headers.get("fspiop-source", "")

    @property
    def destination(self) -> str:
        """The DFSP it is for; empty when it did not say."""
        return self.headers.get("fspiop-destination", "")

    @property
    def trace(self) -> str:
        """W3C traceparent, or empty."""
        return self.headers.get("traceparent", "")


class Addressee(msgspec.Struct, frozen=True, kw_only=True):
    """A DFSP that the switch itself has something to say to.

    Attributes:
        fsp_id: who is told.
        lane: which of its callback URLs the conversation uses.
        trace: traceparent to carry on, or empty.
        version: the version that it asked for, or speaks itself.
    """

    fsp_id: str
    lane: int
    trace: str
    version: Version


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """One request that the switch owes a DFSP.

    Attributes:
        destination: FSP id.
        lane: which of the destination's callback URLs it goes to.
        delay_ms: how long the switch holds it back (bad weather on purpose).
        copies: how often it is delivered.
    """

    destination: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    lane: int
    delay_ms: int = 0
    copies: int = 1


def end_to_end_headers(incoming: Incoming) -> dict[str, str]:
    """Return the headers that travel through the switch unchanged, with FSPIOP's spelling."""
    return {name: incoming.headers[lower] for lower, name in _END_TO_END.items() if lower in incoming.headers}
