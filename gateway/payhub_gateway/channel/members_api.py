"""Questions about members, and registrations of their identifiers, over HTTP."""

from typing import Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_gateway.channel import model
from payhub_gateway.channel.access import Access
from payhub_gateway.channel.answers import ACCEPTED, AnyRequest, accepted
from payhub_gateway.channel.idempotency import HEADER_KEY, idempotency_key
from payhub_gateway.channel.service import FlowService
from payhub_gateway.limits import read_body
from payhub_gateway.oauth2.model import SCOPE_ACCOUNTS, SCOPE_PARTIES, SCOPE_WRITE
from payhub_platform.contracts.channel import (
    AccountLookup,
    AccountStatus,
    PartyLookup,
    PartyRegistration,
    PartyStatus,
    RegistrationStatus,
    TransferAccepted,
)
from payhub_platform.contracts.engine import PATH_ACCOUNTS as ENGINE_ACCOUNTS
from payhub_platform.contracts.engine import PATH_PARTIES as ENGINE_PARTIES
from payhub_platform.contracts.engine import PATH_REGISTRATIONS as ENGINE_REGISTRATIONS
from payhub_platform.http import decode_body
from payhub_platform.telemetry.tracing import current_traceparent

PATH_ACCOUNTS: Final = "/v1/account-lookups"
PATH_PARTIES: Final = "/v1/party-lookups"
PATH_REGISTRATIONS: Final = "/v1/party-registrations"

_LOOKUP: Final = msgspec.json.Decoder(AccountLookup)
_PARTY: Final = msgspec.json.Decoder(PartyLookup)
_REGISTRATION: Final = msgspec.json.Decoder(PartyRegistration)


@post(PATH_ACCOUNTS, status_code=ACCEPTED)
async def look_account_up(
    request: AnyRequest, access: NamedDependency[Access], flows: NamedDependency[FlowService]
) -> Response[TransferAccepted]:
    """Ask the institution's core system how a member's account stands; the answer is read by its id."""
    caller = access.require(request, SCOPE_ACCOUNTS)
    key = idempotency_key(request.headers, HEADER_KEY)
    lookup = decode_body(await read_body(request), _LOOKUP.decode)
    act = model.account_lookup(lookup, caller.tenant, caller.client_id, key)
    return accepted(await flows.begin(caller, act, current_traceparent()), PATH_ACCOUNTS)


@get(PATH_ACCOUNTS + "/{lookup_id:str}")
async def account_status(
    request: AnyRequest,
    lookup_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> AccountStatus:
    """Tell how a member's account stood when it was asked for; PENDING until the core system has said so."""
    caller = access.require(request, SCOPE_ACCOUNTS)
    return await flows.find(caller, ENGINE_ACCOUNTS, lookup_id, AccountStatus, current_traceparent())


@post(PATH_PARTIES, status_code=ACCEPTED)
async def look_party_up(
    request: AnyRequest, access: NamedDependency[Access], flows: NamedDependency[FlowService]
) -> Response[TransferAccepted]:
    """Ask the scheme who is reached by an identifier, before anything is paid."""
    caller = access.require(request, SCOPE_WRITE)
    key = idempotency_key(request.headers, HEADER_KEY)
    lookup = decode_body(await read_body(request), _PARTY.decode)
    act = model.party_lookup(lookup, caller.tenant, caller.client_id, key)
    return accepted(await flows.begin(caller, act, current_traceparent()), PATH_PARTIES)


@get(PATH_PARTIES + "/{party_lookup_id:str}")
async def party_status(
    request: AnyRequest,
    party_lookup_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> PartyStatus:
    """Tell who is reached by an identifier; PENDING until the party's institution has said so."""
    caller = access.require(request, SCOPE_WRITE)
    return await flows.find(caller, ENGINE_PARTIES, party_lookup_id, PartyStatus, current_traceparent())


@post(PATH_REGISTRATIONS, status_code=ACCEPTED)
async def register_party(
    request: AnyRequest, access: NamedDependency[Access], flows: NamedDependency[FlowService]
) -> Response[TransferAccepted]:
    """Have the scheme register a member's identifier, or forget it."""
    caller = access.require(request, SCOPE_PARTIES)
    key = idempotency_key(request.headers, HEADER_KEY)
    registration = decode_body(await read_body(request), _REGISTRATION.decode)
    act = model.registration(registration, caller.tenant, caller.client_id, key)
    return accepted(await flows.begin(caller, act, current_traceparent()), PATH_REGISTRATIONS)


@get(PATH_REGISTRATIONS + "/{registration_id:str}")
async def registration_status(
    request: AnyRequest,
    registration_id: FromPath[str],
    access: NamedDependency[Access],
    flows: NamedDependency[FlowService],
) -> RegistrationStatus:
    """Tell whether the scheme has taken a registration."""
    caller = access.require(request, SCOPE_PARTIES)
    return await flows.find(
        caller, ENGINE_REGISTRATIONS, registration_id, RegistrationStatus, current_traceparent()
    )
