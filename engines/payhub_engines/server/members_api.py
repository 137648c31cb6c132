"""Questions about members, and registrations of their identifiers: the engine's API for the gateway."""

from typing import Final

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_engines.connectors.member import (
    ACCOUNT_PROCESS,
    PARTY_PROCESS,
    REGISTRATION_PROCESS,
    account_status,
    account_variables,
    party_status,
    party_variables,
    registration_status,
    registration_variables,
)
from payhub_engines.core.records import InstanceRecord
from payhub_engines.server.engine import Engine
from payhub_engines.server.requests import AnyRequest, active_tenant, answer, start_instance
from payhub_platform.contracts.engine import (
    HEADER_TENANT,
    PATH_ACCOUNTS,
    PATH_PARTIES,
    PATH_REGISTRATIONS,
    StartAccountLookup,
    StartPartyLookup,
    StartRegistration,
)
from payhub_platform.errors import NotFoundError
from payhub_platform.http import decode_body
from payhub_platform.security.internal import require_internal

_LOOKUP: Final = msgspec.json.Decoder(StartAccountLookup)
_PARTY: Final = msgspec.json.Decoder(StartPartyLookup)
_REGISTRATION: Final = msgspec.json.Decoder(StartRegistration)


class AccountsController(Controller):
    """``/engine/v1/account-lookups``."""

    path = PATH_ACCOUNTS

    @post()
    async def start(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Look an account up; 202 once that is committed to disk. Errors as for a payment."""
        tenant = active_tenant(request, engine)
        start: StartAccountLookup = decode_body(await request.body(), _LOOKUP.decode)
        variables = account_variables(start)
        return await start_instance(request, engine, tenant, ACCOUNT_PROCESS, start, variables)

    @get("/{lookup_id:str}")
    async def status(
        self, request: AnyRequest, engine: NamedDependency[Engine], lookup_id: FromPath[str]
    ) -> Response[bytes]:
        """Return the AccountStatus; 404 where this tenant has asked for none with this id."""
        found = await _find(request, engine, ACCOUNT_PROCESS, lookup_id)
        return answer(account_status(found.variables))


class PartiesController(Controller):
    """``/engine/v1/party-lookups``."""

    path = PATH_PARTIES

    @post()
    async def start(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Ask the scheme who a party is; 202 once that is committed to disk. Errors as for a payment."""
        tenant = active_tenant(request, engine)
        start: StartPartyLookup = decode_body(await request.body(), _PARTY.decode)
        return await start_instance(request, engine, tenant, PARTY_PROCESS, start, party_variables(start))

    @get("/{lookup_id:str}")
    async def status(
        self, request: AnyRequest, engine: NamedDependency[Engine], lookup_id: FromPath[str]
    ) -> Response[bytes]:
        """Return the PartyStatus; 404 where this tenant has asked for none with this id."""
        found = await _find(request, engine, PARTY_PROCESS, lookup_id)
        return answer(party_status(found.variables))


class RegistrationsController(Controller):
    """``/engine/v1/party-registrations``."""

    path = PATH_REGISTRATIONS

    @post()
    async def start(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Register an identifier or withdraw it; 202 once that is committed. Errors as for a payment."""
        tenant = active_tenant(request, engine)
        start: StartRegistration = decode_body(await request.body(), _REGISTRATION.decode)
        variables = registration_variables(start, tenant)
        return await start_instance(request, engine, tenant, REGISTRATION_PROCESS, start, variables)

    @get("/{registration_id:str}")
    async def status(
        self, request: AnyRequest, engine: NamedDependency[Engine], registration_id: FromPath[str]
    ) -> Response[bytes]:
        """Return the RegistrationStatus; 404 where this tenant has none with this id."""
        found = await _find(request, engine, REGISTRATION_PROCESS, registration_id)
        return answer(registration_status(found.variables))


async def _find(request: AnyRequest, engine: Engine, process: str, key: str) -> InstanceRecord:
    require_internal(request.headers, engine.settings.internal_token)
    tenant_id = request.headers.get(HEADER_TENANT, "")
    found = await engine.stream.read(lambda state: state.find_instance(tenant_id, process, key), tenant_id)
    if found is None:
        raise NotFoundError("payment-not-found", "There is nothing with this id.", "/transactionId")
    return found
