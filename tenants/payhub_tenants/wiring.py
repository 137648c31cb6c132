"""Puts the services together; the process and its tests do it the same way."""

from collections.abc import Callable
from typing import Final

import msgspec

from payhub_platform.clock import Clock
from payhub_platform.security.addresses import Resolver
from payhub_tenants.app import Services
from payhub_tenants.approvals.service import ApprovalService
from payhub_tenants.audit.service import AuditService
from payhub_tenants.certification.service import CertificationService
from payhub_tenants.certification.suite import POLL_S, PaymentEngine, Sandbox, Suite
from payhub_tenants.clients.service import ClientService
from payhub_tenants.endpoints.service import EndpointService
from payhub_tenants.fingerprint import Fingerprints
from payhub_tenants.identifiers.access import Access
from payhub_tenants.identifiers.book import IdentifierBook
from payhub_tenants.identifiers.files import IdentifierFiles
from payhub_tenants.identifiers.remote import AmsParties, SchemeParticipants
from payhub_tenants.identifiers.service import REQUEST_WAIT_S, IdentifierService
from payhub_tenants.identifiers.withdrawal import Withdrawal
from payhub_tenants.keys.service import KeyService
from payhub_tenants.lifecycle.service import LifecycleService
from payhub_tenants.lifecycle.steps import Steps
from payhub_tenants.operators.service import OperatorService
from payhub_tenants.placement.draining import Draining
from payhub_tenants.placement.engines import Engines
from payhub_tenants.placement.service import PlacementService
from payhub_tenants.store import Store
from payhub_tenants.tenants.connections import ConnectionService
from payhub_tenants.tenants.service import TenantService
from payhub_tenants.terms.service import TermsService
from payhub_tenants.vault import Vault, is_of_installation

WAIT_S: Final = float(REQUEST_WAIT_S)
PAGE: Final = 500


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """What is outside of the control plane."""

    ams: AmsParties
    scheme: SchemeParticipants
    resolver: Resolver
    capacities: dict[str, int]  # payments a second that each engine can do
    engines: Engines
    paying: PaymentEngine
    sandbox: Sandbox
    wait_s: float = WAIT_S
    poll_s: float = POLL_S  # between two looks at a payment of the suite
    private_endpoints: bool = False  # endpoints may be private addresses, and speak http


def services_of(
    store: Store,
    vault: Vault,
    fingerprints: Fingerprints,
    outside: Outside,
    clock: Clock,
    wake: Callable[[], None],
) -> Services:
    """Return all services over one store; ``wake`` tells the publisher of a change."""
    ams, scheme = outside.ams, outside.scheme
    access = Access(vault)
    book = IdentifierBook(vault, clock)
    withdrawal = Withdrawal(store, ams, scheme, access, book)
    draining = Draining(store, outside.engines)
    lifecycle = LifecycleService(store, Steps(vault, withdrawal, book, draining, clock), clock, wake)
    identifiers = IdentifierService(store, ams, scheme, access, withdrawal, book, clock, outside.wait_s)
    suite = Suite(outside.paying, outside.sandbox, clock, outside.poll_s)
    return Services(
        audit=AuditService(store),
        tenants=TenantService(
            store, vault, book, fingerprints, frozenset(outside.capacities), lifecycle, clock, wake
        ),
        placements=PlacementService(store, book, outside.engines, outside.capacities, clock, wake),
        lifecycle=lifecycle,
        certification=CertificationService(store, vault, book, lifecycle, suite, clock),
        approvals=ApprovalService(store, lifecycle, clock),
        clients=ClientService(store, fingerprints, clock, wake),
        keys=KeyService(store, vault, clock, wake),
        terms=TermsService(store, clock),
        endpoints=EndpointService(
            store, vault, outside.resolver, clock, wake, private_allowed=outside.private_endpoints
        ),
        connections=ConnectionService(store, vault, access, ams, scheme, clock, wake),
        identifiers=identifiers,
        files=IdentifierFiles(store, identifiers, vault, clock),
        operators=OperatorService(store, clock),
        is_ready=store.is_ready,
    )


async def give_keys(store: Store, vault: Vault) -> None:
    """Make the keys of tenants that are older than tenants' keys; what they had sealed stays readable.

    Raises:
        UnavailableError: the store cannot be read now.
    """
    after = ""
    while True:
        async with store.registry() as registry:
            page = await registry.tenants.page(after, PAGE)
        if not page:
            return
        for tenant in page:
            if is_of_installation(tenant.private_key_sealed):
                await vault.create(tenant.tenant_id)
        after = page[-1].tenant_id
