"""Who is where: participants, parties, and providers of foreign exchange."""

from typing import Any

from payhub_engines.connectors.mojaloop import messages
from payhub_engines.connectors.mojaloop.received import names
from payhub_engines.connectors.mojaloop.received.message import (
    LOOKUP_TTL_MS,
    OK,
    Inbound,
    Received,
    check_same,
)
from payhub_engines.connectors.mojaloop.refusal import malformed, not_served, unknown_uri
from payhub_engines.connectors.variables import builtin, party_key
from payhub_platform.contracts.fspiop import (
    ParticipantResponse,
    ParticipantsResponse,
    PartyIdInfo,
    PartyResponse,
)
from payhub_platform.contracts.fspiop_fx import ServicesResponse

_PARTY_SEGMENTS = (2, 3)  # type, identifier and perhaps a sub-id
_FXP = "FXP"
_PAIR = 3


def parties(received: Received) -> Inbound:
    """GET asks whether a party is a member here; PUT says where one is that we asked for."""
    info = _party_of(received)
    key = _key(info)
    if received.method == "GET":
        received.require("GET")
        variables = {**_asked(received), "partyId": builtin(info)}
        return received.look_up(names.PARTY_REQUEST, key, variables, process=names.PAYEE_PARTY_LOOKUP)
    received.require("PUT")
    variables = {"error": received.error()} if received.is_error else _found(received, info)
    return _broadcast(received, names.PARTY_RESPONSE, key, variables)


def participants(received: Received) -> Inbound:
    """GET asks whether a party's account is here; PUT answers a registration or a look-up of ours."""
    if received.method in ("POST", "DELETE"):
        raise not_served("Parties are registered at the scheme, not here.")
    if len(received.path) == 1:
        request_id = received.id("requestId")
        return received.answer(
            names.PARTICIPANTS_RESPONSE, request_id, "participantsResponse", ParticipantsResponse
        )
    info = _party_of(received)
    if received.method == "GET":
        received.require("GET")
        variables = {**_asked(received), "partyId": builtin(info)}
        return received.look_up(
            names.PARTICIPANT_REQUEST, _key(info), variables, process=names.PAYEE_PARTICIPANT_LOOKUP
        )
    received.require("PUT")
    if received.is_error:
        variables = {"error": received.error()}
    else:
        # A registration is answered without a body that says anything, a look-up with the FSP.
        known = received.read(ParticipantResponse) if received.body.strip() else ParticipantResponse()
        variables = {"participantFsp": known.fsp_id, "error": None}
    return _broadcast(received, names.PARTICIPANT_RESPONSE, _key(info), variables)


def services(received: Received) -> Inbound:
    """PUT names the providers of foreign exchange, of all currencies or from one to another."""
    if received.method == "GET":
        raise not_served("Providers are listed by the scheme, not here.")
    if received.path[:1] != [_FXP] or len(received.path) not in (1, _PAIR):
        raise unknown_uri()
    received.require("PUT")
    if received.is_error:
        variables: dict[str, Any] = {"error": received.error()}
    else:
        variables = {"providers": received.read(ServicesResponse).providers, "error": None}
    return _broadcast(received, names.SERVICES_RESPONSE, "/".join(received.path), variables)


def _found(received: Received, asked: PartyIdInfo) -> dict[str, Any]:
    party = received.read(PartyResponse).party
    named = party.party_id_info
    where = "/party/partyIdInfo"
    check_same(named.party_id_type, asked.party_id_type, f"{where}/partyIdType")
    check_same(named.party_identifier, asked.party_identifier, f"{where}/partyIdentifier")
    if named.fsp_id not in (None, received.source) and not received.is_of_switch:
        raise malformed("The party is of another FSP than FSPIOP-Source.", f"{where}/fspId")
    return {"party": builtin(party), "payeeFsp": named.fsp_id or received.source, "error": None}


def _asked(received: Received) -> dict[str, Any]:
    return {"requesterFsp": received.source, "receivedAtMs": received.now_ms, "error": None}


def _broadcast(received: Received, name: str, key: str, variables: dict[str, Any]) -> Inbound:
    """Tell everyone who looks the same thing up: the answer carries no id of the question."""
    told = {**variables, "answeredBy": received.speaker}
    return Inbound(
        callback=received.callback(name, key, told, broadcast=True, ttl_ms=LOOKUP_TTL_MS), status=OK
    )


def _party_of(received: Received) -> PartyIdInfo:
    if len(received.path) not in _PARTY_SEGMENTS:
        raise unknown_uri()
    kind, identifier, *rest = received.path
    return messages.party_id(kind, identifier, rest[0] if rest else None)


def _key(info: PartyIdInfo) -> str:
    return party_key(info.party_id_type, info.party_identifier, info.party_sub_id_or_type)
