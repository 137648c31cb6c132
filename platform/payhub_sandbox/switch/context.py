"""What the parts of the switch share, built once for each switch."""

from dataclasses import dataclass, field

from payhub_platform.clock import Clock
from payhub_sandbox.switch.conversations import Conversations
from payhub_sandbox.switch.message import Incoming, Outgoing, end_to_end_headers
from payhub_sandbox.switch.participants import Participants
from payhub_sandbox.switch.refusal import DESTINATION_FSP_ERROR, FspiopRefusalError
from payhub_sandbox.switch.voice import Voice
from payhub_sandbox.switch.weather import Weather


@dataclass(frozen=True, slots=True)
class SwitchContext:
    """Participants, conversations, weather and the switch's own voice."""

    voice: Voice
    clock: Clock
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
        return Outgoing(
            destination=destination,
            method=incoming.method,
            path=incoming.path,
            headers=headers,
            body=incoming.body,
            lane=lane,
            delay_ms=delay_ms,
            copies=self.copies(identifier),
        )

    def lane(self, incoming: Incoming, resource_key: str) -> int:
        """Return the lane of the conversation that a message belongs to."""
        opens = incoming.method in ("GET", "POST")
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
