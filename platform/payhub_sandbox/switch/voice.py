"""What the switch itself says: messages signed with its own key."""

from email.utils import formatdate
from typing import Any, Final

import msgspec

from payhub_platform.clock import Clock
from payhub_sandbox.switch.message import Addressee, Outgoing
from payhub_sandbox.switch.refusal import error_information
from payhub_sandbox.switch.signature import public_pem_of, read_private_key, signature_headers
from payhub_sandbox.switch.target import resource_of
from payhub_sandbox.switch.versions import Version, media_type, spoken

SWITCH_FSP_ID: Final = "switch"
EXTRA_PROPERTY: Final = "hubReference"


class Manner(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How the switch says things, as hubs differ; may be replaced while it runs.

    Attributes:
        extra_properties: its own bodies carry a property that stands in no specification.
        always_version: its own messages are of this version, whatever was asked for.
        commit_error_notification: a payee that said COMMITTED and was refused is told by
            ``PATCH /transfers/{ID}/error`` (resource version 1.2) instead of PUT.
    """

    extra_properties: bool = False
    always_version: Version | None = None
    commit_error_notification: bool = False


class Voice:
    """Writes and signs messages with FSPIOP-Source ``switch``."""

    def __init__(self, private_key_pem: str, clock: Clock) -> None:
        self._key = read_private_key(private_key_pem)
        self._clock = clock
        self.public_key_pem = public_pem_of(self._key)
        self.manner = Manner()

    def say(self, to: Addressee, method: str, path: str, body: dict[str, Any]) -> Outgoing:
        """Write a message to a DFSP.

        Args:
            to: the DFSP, with its conversation and version.
            method: PUT or PATCH.
            path: from the resource name on.
            body: the JSON object.
        """
        resource = resource_of(path)
        asked = self.manner.always_version
        version = asked if asked is not None and asked in spoken(resource) else to.version
        if method == "PATCH" and version == "1.0":
            version = "1.1"  # which PATCH came with; real hubs send it to everybody
        said = body | {EXTRA_PROPERTY: "sandbox"} if self.manner.extra_properties else body
        data = msgspec.json.encode(said)
        headers: dict[str, str] = {
            "Content-Type": media_type(resource, version),
            "Date": formatdate(self._clock() / 1000, usegmt=True),
            "FSPIOP-Source": SWITCH_FSP_ID,
            "FSPIOP-Destination": to.fsp_id,
        }
        headers |= signature_headers(data, headers, path, method, self._key)
        if to.trace:
            headers["traceparent"] = to.trace
        return Outgoing(
            destination=to.fsp_id, method=method, path=path, headers=headers, body=data, lane=to.lane
        )

    def refuse(
        self, to: Addressee, path: str, error_code: str, description: str, method: str = "PUT"
    ) -> Outgoing:
        """Write the /error form of an answer; ``path`` is the answer's path without ``/error``."""
        return self.say(to, method, f"{path}/error", error_information(error_code, description))
