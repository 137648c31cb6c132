"""Participants and parties: who is registered, and passing look-ups on (FSPIOP 1.1 sections 6.2, 6.3)."""

import msgspec

from payhub_sandbox.switch import bodies
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.parties import PartyDirectory
from payhub_sandbox.switch.refusal import (
    PARTY_INFORMATION_ERROR,
    PARTY_NOT_FOUND,
    VALIDATION_ERROR,
    FspiopRefusalError,
)
from payhub_sandbox.switch.target import Target

_OWN_ENGINE_LANE = 0


class Lookup:
    """The account look-up service."""

    def __init__(self, context: SwitchContext) -> None:
        self._context = context
        self._directory = PartyDirectory()

    def register(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """POST /participants/{Type}/{ID}[/{SubId}]: record that the source answers for the party.

        Registrations are no payments: their callbacks go to the participant's first callback URL and
        start no conversation.
        """
        registration = bodies.read(bodies.registrations, incoming.body)
        if registration.fsp_id != incoming.source:
            raise FspiopRefusalError(VALIDATION_ERROR, "fspId must be the FSPIOP-Source.")
        voice = self._context.voice
        if not self._directory.register(target.key, registration.fsp_id):
            refusal = voice.refuse(
                incoming.source,
                incoming.path,
                PARTY_INFORMATION_ERROR,
                "Another DFSP answers for this party.",
                lane=_OWN_ENGINE_LANE,
                trace=incoming.trace,
            )
            return [refusal]
        body = msgspec.json.encode({"fspId": registration.fsp_id})
        answer = voice.say(
            incoming.source, "PUT", incoming.path, body, lane=_OWN_ENGINE_LANE, trace=incoming.trace
        )
        return [answer]

    def ask(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """GET /parties: pass it on to the DFSP that answers for the party, or say 3204."""
        lane = self._context.lane(incoming, _exchange(incoming.source, target))
        owner = self._directory.owner(target.key)
        if owner is None or self._context.participants.get(owner) is None:
            description = "No DFSP answers for this party."
            refusal = self._context.voice.refuse(
                incoming.source,
                incoming.path,
                PARTY_NOT_FOUND,
                description,
                lane=lane,
                trace=incoming.trace,
            )
            return [refusal]
        return [self._context.forward(incoming, owner, lane)]

    def answer(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /parties and its /error form: pass it on to the DFSP that asked.

        Raises:
            FspiopRefusalError: 3003 when the source is not who answers for the party.
        """
        if self._directory.owner(target.key) != incoming.source:
            raise FspiopRefusalError(PARTY_INFORMATION_ERROR, "Another DFSP answers for this party.")
        if target.error:
            bodies.read(bodies.errors, incoming.body)
        else:
            bodies.read(bodies.parties, incoming.body)
        asker = self._context.require_destination(incoming)
        lane = self._context.lane(incoming, _exchange(asker, target))
        return [self._context.forward(incoming, asker, lane, identifier=target.ids[1])]


def _exchange(asker: str, target: Target) -> str:
    return f"{asker}|{target.key}"
