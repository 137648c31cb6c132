"""What the switch itself says: messages signed with its own key."""

from collections.abc import Mapping
from email.utils import formatdate
from typing import Final

from payhub_platform.clock import Clock
from payhub_platform.security.jws import load_private_key, public_pem, sign
from payhub_sandbox.switch.headers import media_type
from payhub_sandbox.switch.message import Outgoing
from payhub_sandbox.switch.refusal import error_body
from payhub_sandbox.switch.target import resource_of

SWITCH_FSP_ID: Final = "switch"


class Voice:
    """Writes and signs messages with FSPIOP-Source ``switch``."""

    def __init__(self, private_key_pem: str, clock: Clock) -> None:
        self._key = load_private_key(private_key_pem)
        self._clock = clock
        self.public_key_pem = public_pem(private_key_pem)

    def say(
        self, destination: str, method: str, path: str, body: bytes, *, lane: int, trace: str
    ) -> Outgoing:
        """Write a message to a DFSP.

        Args:
            destination: FSP id.
            method: PUT or PATCH.
            path: from the resource name on.
            body: compact JSON.
            lane: the conversation's lane of callback URLs.
            trace: traceparent to carry on, or empty.
        """
        headers: dict[str, str] = {
            "Content-Type": media_type(resource_of(path)),
            "Date": formatdate(self._clock() / 1000, usegmt=True),
            "FSPIOP-Source": SWITCH_FSP_ID,
            "FSPIOP-Destination": destination,
        }
        headers.update(sign(body, headers, path, method, self._key))
        headers.update(_trace_header(trace))
        return Outgoing(
            destination=destination, method=method, path=path, headers=headers, body=body, lane=lane
        )

    def refuse(
        self, destination: str, path: str, error_code: str, description: str, *, lane: int, trace: str
    ) -> Outgoing:
        """Write the /error form of an answer; ``path`` is the answer's path without ``/error``."""
        body = error_body(error_code, description)
        return self.say(destination, "PUT", f"{path}/error", body, lane=lane, trace=trace)


def _trace_header(trace: str) -> Mapping[str, str]:
    return {"traceparent": trace} if trace else {}
