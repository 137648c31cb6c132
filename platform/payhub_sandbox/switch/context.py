"""What the parts of the switch share, built once for each switch."""

from dataclasses import dataclass, field

import msgspec

from payhub_platform.clock import Clock
from payhub_sandbox.switch.conversations import Conversations
from payhub_sandbox.switch.forced import LATE_MS, ForcedCase, ForcedCases
from payhub_sandbox.switch.message import Addressee, Incoming, Outgoing, end_to_end_headers
from payhub_sandbox.switch.participants import Participants
from payhub_sandbox.switch.refusal import DESTINATION_FSP_ERROR, FspiopRefusalError
from payhub_sandbox.switch.target import resource_of
from payhub_sandbox.switch.versions import ASKING, answer_version
from payhub_sandbox.switch.voice import Voice
from payhub_sandbox.switch.weather import Weather


@dataclass(frozen=True, slots=True)
class SwitchContext:
    """Participants, conversations, weather, forced cases and the switch's own voice."""

    voice: Voice
    clock: Clock
    forced: ForcedCases
    participants: Participants = field(default_factory=Participants)
    conversations: Conversations = field(default_factory=Conversations)
    weather: Weather = field(default_factory=Weather)

    def forward(
        self,
        incoming: Incoming,
        destination: str,
        lane: int,
        *,
        identifier: str = "",
        delay_ms: int = 0,
    ) -> Outgoing:
        """Pass a message on as it came: the same bytes and the same signed headers."""
        headers = end_to_end_headers(incoming)
        headers["FSPIOP-Destination"] = destination
        if incoming.method not in ASKING:
            headers.pop("Accept", None)  # an HTTP client's, which callbacks do not carry
        return Outgoing(
            destination=destination,
            method=incoming.method,
            path=f"{incoming.path}?{incoming.query}" if incoming.query else incoming.path,
            headers=headers,
            body=incoming.body,
            lane=lane,
            delay_ms=delay_ms,
            copies=self.copies(identifier),
        )

    def addressee(self, incoming: Incoming, lane: int) -> Addressee:
        """Return who sent a message, as somebody to be answered."""
        version = answer_version(incoming.method, incoming.headers, resource_of(incoming.path))
        return Addressee(fsp_id=incoming.source, lane=lane, trace=incoming.trace, version=version)

    @staticmethod
    def passed_on(message: Outgoing, case: ForcedCase | None) -> list[Outgoing]:
        """Do to a request what a forced case wants: pass it on, twice, or not at all."""
        if case is not None and case.behaviour == "silence":
            return []
        if case is not None and case.behaviour == "repeated":
            return [msgspec.structs.replace(message, copies=2)]
        return [message]

    @staticmethod
    def under_case(messages: list[Outgoing], case: ForcedCase | None) -> list[Outgoing]:
        """Do to answers what a forced case wants: lose them, hold them back, or deliver them twice."""
        if case is None:
            return messages
        if case.behaviour == "lost":
            return []
        if case.behaviour == "late":
            return [msgspec.structs.replace(one, delay_ms=LATE_MS) for one in messages]
        if case.behaviour == "twice":
            return [msgspec.structs.replace(one, copies=2) for one in messages]
        return messages

    def lane(self, incoming: Incoming, resource_key: str) -> int:
        """Return the lane of the conversation that a message belongs to."""
        opens = incoming.method in ASKING
        lanes = self.participants.lanes()
        return self.conversations.lane_of(incoming.trace, resource_key, lanes, opens=opens)

    def copies(self, identifier: str) -> int:
        """Return how often a callback about a payee identifier is delivered."""
        return 2 if self.weather.rule_for(identifier).duplicate_callbacks else 1

    def require_destination(self, incoming: Incoming) -> str:
        """Return the DFSP an answer is for.

        Raises:
            FspiopRefusalError: 3201 when it is no participant.
        """
        if self.participants.get(incoming.destination) is None:
            raise FspiopRefusalError(DESTINATION_FSP_ERROR, "FSPIOP-Destination is no participant.")
        return incoming.destination
