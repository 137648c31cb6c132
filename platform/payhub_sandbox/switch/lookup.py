"""Participants and parties: who is registered, and passing look-ups on (FSPIOP 1.1 sections 6.2, 6.3)."""

from typing import Any, Final

from payhub_sandbox.switch import bodies
from payhub_sandbox.switch.contents import PartyIdInfo
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.parties import PartyDirectory
from payhub_sandbox.switch.refusal import (
    DELETE_PARTY_ERROR,
    PARTY_INFORMATION_ERROR,
    PARTY_NOT_FOUND,
    UNKNOWN_URI,
    VALIDATION_ERROR,
    FspiopRefusalError,
    error_information,
)
from payhub_sandbox.switch.target import PARTY_TYPES, Target

_OWN_ENGINE_LANE: Final = 0
_TAKEN: Final = "Another DFSP answers for this party."
_UNKNOWN: Final = "No DFSP answers for this party."


class Lookup:
    """The account look-up service.

    What concerns registrations is no payment: its callbacks go to the participant's first callback URL
    and start no conversation.
    """

    def __init__(self, context: SwitchContext) -> None:
        self._context = context
        self.directory = PartyDirectory()

    def register(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """POST /participants/{Type}/{ID}[/{SubId}]: record that the source answers for the party."""
        if not target.ids:
            return self._register_many(incoming)
        registration = bodies.read(bodies.registrations, incoming.body)
        if registration.fsp_id != incoming.source:
            raise FspiopRefusalError(VALIDATION_ERROR, "fspId must be the FSPIOP-Source.")
        forced = self._forced(incoming, target)
        if forced is not None:
            return forced
        if not self.directory.register(target.key, registration.fsp_id):
            return self._told(incoming, target, self._refuse(incoming, PARTY_INFORMATION_ERROR, _TAKEN))
        return self._told(incoming, target, self._say(incoming, {"fspId": registration.fsp_id}))

    def find(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """GET /participants/{Type}/{ID}[/{SubId}]: tell who answers for the party, or 3204."""
        forced = self._forced(incoming, target)
        if forced is not None:
            return forced
        owner = self.directory.owner(target.key)
        if owner is None:
            return self._told(incoming, target, self._refuse(incoming, PARTY_NOT_FOUND, _UNKNOWN))
        return self._told(incoming, target, self._say(incoming, {"fspId": owner}))

    def unregister(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """DELETE /participants/{Type}/{ID}[/{SubId}]: forget the party; only its own DFSP may."""
        forced = self._forced(incoming, target)
        if forced is not None:
            return forced
        owner = self.directory.owner(target.key)
        if owner is None:
            return self._told(incoming, target, self._refuse(incoming, PARTY_NOT_FOUND, _UNKNOWN))
        if owner != incoming.source:
            return self._told(incoming, target, self._refuse(incoming, DELETE_PARTY_ERROR, _TAKEN))
        self.directory.remove(target.key)
        return self._told(incoming, target, self._say(incoming, {"fspId": owner}))

    def ask(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """GET /parties: pass it on to the DFSP that answers for the party, or say 3204."""
        case = self._context.forced.find("parties", [], [target.ids[1]])
        lane = self._context.lane(incoming, _exchange(incoming.source, target))
        to = self._context.addressee(incoming, lane)
        if case is not None and case.behaviour == "error":
            return [
                self._context.voice.refuse(to, incoming.path, case.error_code, "Forced by the identifier.")
            ]
        owner = self.directory.owner(target.key)
        if owner is None or self._context.participants.get(owner) is None:
            return [self._context.voice.refuse(to, incoming.path, PARTY_NOT_FOUND, _UNKNOWN)]
        return self._context.passed_on(self._context.forward(incoming, owner, lane), case)

    def answer(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /parties and its /error form: pass it on to the DFSP that asked.

        Raises:
            FspiopRefusalError: 3003 when the source is not who answers for the party.
        """
        if self.directory.owner(target.key) != incoming.source:
            raise FspiopRefusalError(PARTY_INFORMATION_ERROR, _TAKEN)
        if target.error:
            bodies.read(bodies.errors, incoming.body)
        else:
            bodies.read(bodies.parties, incoming.body)
        asker = self._context.require_destination(incoming)
        lane = self._context.lane(incoming, _exchange(asker, target))
        forwarded = self._context.forward(incoming, asker, lane, identifier=target.ids[1])
        case = self._context.forced.find("parties", [], [target.ids[1]])
        return self._context.under_case([forwarded], case)

    def _register_many(self, incoming: Incoming) -> list[Outgoing]:
        """POST /participants: each identifier is registered or refused for itself (section 6.2.3.3)."""
        many = bodies.read(bodies.many_registrations, incoming.body)
        bodies.bounded(many.party_list, bodies.REGISTRATIONS_MAX, "partyList")
        request_id = bodies.correlation_id(incoming, many.request_id, "requestId")
        results = [self._register_one(incoming.source, party) for party in many.party_list]
        body: dict[str, Any] = {"partyList": results}
        if many.currency is not None:
            body["currency"] = many.currency
        to = self._context.addressee(incoming, _OWN_ENGINE_LANE)
        return [self._context.voice.say(to, "PUT", f"/participants/{request_id}", body)]

    def _register_one(self, source: str, party: PartyIdInfo) -> dict[str, Any]:
        ids = [party.party_id_type, party.party_identifier]
        partial: dict[str, Any] = {"partyIdType": ids[0], "partyIdentifier": ids[1], "fspId": source}
        if party.party_sub_id_or_type is not None:
            ids.append(party.party_sub_id_or_type)
            partial["partySubIdOrType"] = party.party_sub_id_or_type
        if ids[0] not in PARTY_TYPES:
            return {"partyId": partial, **error_information(UNKNOWN_URI, "There is no such type of party.")}
        if not self.directory.register("/".join(ids), source):
            return {"partyId": partial, **error_information(PARTY_INFORMATION_ERROR, _TAKEN)}
        return {"partyId": partial}

    def _forced(self, incoming: Incoming, target: Target) -> list[Outgoing] | None:
        """Return what a forced case answers instead, or None where nothing is forced."""
        case = self._context.forced.find("participants", [], [target.ids[1]])
        if case is not None and case.behaviour == "error":
            return [self._refuse(incoming, case.error_code, "Forced by the identifier.")]
        return [] if case is not None and case.behaviour == "silence" else None

    def _told(self, incoming: Incoming, target: Target, message: Outgoing) -> list[Outgoing]:
        case = self._context.forced.find(incoming.path.split("/")[1], [], [target.ids[1]])
        return self._context.under_case([message], case)

    def _say(self, incoming: Incoming, body: dict[str, Any]) -> Outgoing:
        to = self._context.addressee(incoming, _OWN_ENGINE_LANE)
        return self._context.voice.say(to, "PUT", incoming.path, body)

    def _refuse(self, incoming: Incoming, code: str, description: str) -> Outgoing:
        to = self._context.addressee(incoming, _OWN_ENGINE_LANE)
        return self._context.voice.refuse(to, incoming.path, code, description)


def _exchange(asker: str, target: Target) -> str:
    return f"{asker}|{target.key}"
