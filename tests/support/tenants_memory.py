"""A store in memory and two directories in memory: real implementations of the control plane's protocols."""

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from payhub_platform.contracts.channel import ChannelMoney, PartyIdInfo, TransferError, TransferStatus
from payhub_platform.contracts.engine import (
    EngineLimits,
    EngineOverview,
    InFlight,
    ReplicaView,
    StartPayment,
    TenantDrain,
)
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError
from payhub_platform.money import Money, exponent_of
from payhub_platform.security.secrets import SecretBox
from payhub_tenants.approvals.model import Approval
from payhub_tenants.audit.model import AuditEntry
from payhub_tenants.audit.repository import following
from payhub_tenants.certification.errors import OutsideError, SandboxUnfitError
from payhub_tenants.certification.model import Balance
from payhub_tenants.certification.suite import Order
from payhub_tenants.clients.model import Client
from payhub_tenants.identifiers.cipher import SealedIdentifier
from payhub_tenants.identifiers.errors import RegistrationError
from payhub_tenants.identifiers.model import IdentifierKey, IdentifierState, PartyIdentifier
from payhub_tenants.identifiers.remote import AmsAccess, SchemeAccess
from payhub_tenants.keys.model import Certificate, SigningKeyRow
from payhub_tenants.lifecycle.model import Evidence, Job, published_status
from payhub_tenants.operators.model import Operator
from payhub_tenants.placement.engines import EngineSilentError
from payhub_tenants.publisher import BusPublishError
from payhub_tenants.tenants.model import Tenant
from payhub_tenants.vault import KeyDestroyedError


@dataclass
class MemoryTenants:
    rows: dict[str, Tenant] = field(default_factory=dict)

    async def add(self, tenant: Tenant) -> bool:
        fsp_taken = any(known.fsp_id == tenant.fsp_id for known in self.rows.values())
        if tenant.tenant_id in self.rows or fsp_taken:
            return False
        self.rows[tenant.tenant_id] = tenant
        return True

    async def get(self, tenant_id: str) -> Tenant | None:
        return self.rows.get(tenant_id)

    async def lock(self, tenant_id: str) -> Tenant | None:
        return self.rows.get(tenant_id)

    async def page(self, after: str, limit: int) -> list[Tenant]:
        return [self.rows[key] for key in sorted(self.rows) if key > after][:limit]

    async def save(self, tenant: Tenant) -> None:
        assert tenant.tenant_id in self.rows
        self.rows[tenant.tenant_id] = tenant

    async def lock_unpublished(self, after: str) -> Tenant | None:
        waiting = [
            tenant
            for tenant in self.rows.values()
            if tenant.tenant_id > after
            and tenant.published_version < tenant.version
            and published_status(tenant.status)
        ]
        return min(waiting, key=lambda tenant: tenant.tenant_id, default=None)

    async def record_published(self, tenant: Tenant) -> None:
        await self.save(replace(tenant, published_version=tenant.version))

    async def unpublish_all(self) -> None:
        for tenant_id, tenant in self.rows.items():
            self.rows[tenant_id] = replace(tenant, published_version=0)


@dataclass
class MemoryClients:
    rows: dict[str, Client] = field(default_factory=dict)

    async def add(self, client: Client) -> bool:
        return self.rows.setdefault(client.client_id, client) is client

    async def get(self, client_id: str) -> Client | None:
        return self.rows.get(client_id)

    async def of_tenant(self, tenant_id: str) -> list[Client]:
        return [self.rows[key] for key in sorted(self.rows) if self.rows[key].tenant_id == tenant_id]

    async def remove_all(self, tenant_id: str) -> int:
        gone = [key for key, client in self.rows.items() if client.tenant_id == tenant_id]
        for key in gone:
            del self.rows[key]
        return len(gone)


@dataclass
class MemoryIdentifiers:
    rows: dict[tuple[str, str], SealedIdentifier] = field(default_factory=dict)
    clear: dict[IdentifierKey, PartyIdentifier] = field(default_factory=dict)

    async def claim(self, identifier: SealedIdentifier, stale_before_ms: int) -> bool:
        known = self.rows.get(_place(identifier))
        if known is not None and known.account_lookup != identifier.account_lookup:
            stale = known.state == "pending" and known.attempted_at_ms < stale_before_ms
            if known.state != "failed" and not stale:
                return False
        self.rows[_place(identifier)] = identifier
        return True

    async def record(self, identifier: SealedIdentifier) -> None:
        known = self.rows[_place(identifier)]
        if known.account_lookup == identifier.account_lookup:
            self.rows[_place(identifier)] = replace(known, state=identifier.state, reason=identifier.reason)

    async def get(self, tenant_id: str, lookup: str) -> SealedIdentifier | None:
        return self.rows.get((tenant_id, lookup))

    async def replace(self, known: SealedIdentifier, after: SealedIdentifier) -> bool:
        present = self.rows.get(_place(known))
        if present is None or replace(known, content_sealed=present.content_sealed) != present:
            return False
        self.rows[_place(known)] = after
        return True

    async def remove(self, identifier: SealedIdentifier) -> None:
        if self.rows[_place(identifier)].account_lookup == identifier.account_lookup:
            del self.rows[_place(identifier)]

    async def remove_all(self, tenant_id: str) -> int:
        return _remove(self.rows, tenant_id)

    async def page(self, tenant_id: str, after: str, limit: int) -> list[SealedIdentifier]:
        keys = sorted(key for key in self.rows if key[0] == tenant_id and key[1] > after)
        return [self.rows[key] for key in keys[:limit]]

    async def counts(self, tenant_id: str) -> dict[IdentifierState, int]:
        counts: dict[IdentifierState, int] = {}
        for identifier in self.rows.values():
            if identifier.tenant_id == tenant_id:
                counts[identifier.state] = counts.get(identifier.state, 0) + 1
        return counts

    async def clear_rows(self, tenant_id: str, limit: int) -> list[PartyIdentifier]:
        return [row for key, row in self.clear.items() if key[0] == tenant_id][:limit]

    async def seal_row(self, clear: PartyIdentifier, sealed: SealedIdentifier) -> None:
        self.rows.setdefault(_place(sealed), sealed)
        del self.clear[clear.key]


def _place(identifier: SealedIdentifier) -> tuple[str, str]:
    return identifier.tenant_id, identifier.lookup


@dataclass
class MemoryLifecycle:
    jobs: dict[tuple[str, int], Job] = field(default_factory=dict)
    proofs: dict[tuple[str, int, str], Evidence] = field(default_factory=dict)

    async def add(self, job: Job) -> None:
        assert not any(
            each.tenant_id == job.tenant_id and not each.ended_at_ms for each in self.jobs.values()
        )
        self.jobs[job.tenant_id, job.number] = job

    async def save(self, job: Job) -> None:
        self.jobs[job.tenant_id, job.number] = job

    async def last(self, tenant_id: str) -> Job | None:
        found = await self.newest(tenant_id, 1)
        return found[0] if found else None

    async def newest(self, tenant_id: str, limit: int) -> list[Job]:
        numbers = sorted((key for key in self.jobs if key[0] == tenant_id), reverse=True)
        return [self.jobs[key] for key in numbers[:limit]]

    async def prove(self, proof: Evidence) -> None:
        self.proofs.setdefault((proof.tenant_id, proof.job, proof.step), proof)

    async def evidence(self, tenant_id: str) -> list[Evidence]:
        found = [proof for key, proof in self.proofs.items() if key[0] == tenant_id]
        return sorted(found, key=lambda proof: (proof.job, proof.at_ms))

    async def open_tenants(self, limit: int) -> list[str]:
        waiting = [job for job in self.jobs.values() if job.ended_at_ms is None]
        return [job.tenant_id for job in sorted(waiting, key=lambda job: job.started_at_ms)][:limit]


@dataclass
class MemoryApprovals:
    rows: dict[tuple[str, str], Approval] = field(default_factory=dict)

    async def add(self, approval: Approval) -> None:
        assert (approval.tenant_id, approval.approval_id) not in self.rows
        await self.save(approval)

    async def save(self, approval: Approval) -> None:
        self.rows[approval.tenant_id, approval.approval_id] = approval

    async def get(self, tenant_id: str, approval_id: str) -> Approval | None:
        return self.rows.get((tenant_id, approval_id))

    async def all(self, tenant_id: str) -> list[Approval]:
        found = [approval for key, approval in self.rows.items() if key[0] == tenant_id]
        return sorted(found, key=lambda approval: (-approval.requested_at_ms, approval.approval_id))


@dataclass
class MemoryAudit:
    rows: dict[str, list[AuditEntry]] = field(default_factory=dict)

    async def append(
        self, tenant_id: str, at_ms: int, actor: str, action: str, detail: dict[str, Any]
    ) -> None:
        entries = self.rows.setdefault(tenant_id, [])
        entries.append(following(entries[-1] if entries else None, tenant_id, at_ms, actor, action, detail))

    async def page(self, tenant_id: str, after: int, limit: int) -> list[AuditEntry]:
        return self.rows.get(tenant_id, [])[after : after + limit]


T = TypeVar("T", bound=msgspec.Struct)


@dataclass
class MemoryDocuments:
    rows: dict[tuple[str, str], Any] = field(default_factory=dict)

    async def put(self, tenant_id: str, kind: str, body: msgspec.Struct, _at_ms: int) -> None:
        self.rows[tenant_id, kind] = msgspec.to_builtins(body)

    async def get(self, tenant_id: str, kind: str, type_: type[T]) -> T | None:
        body = self.rows.get((tenant_id, kind))
        return None if body is None else msgspec.convert(body, type_)

    async def all(self, tenant_id: str) -> dict[str, Any]:
        return {key[1]: body for key, body in self.rows.items() if key[0] == tenant_id}

    async def remove_all(self, tenant_id: str) -> int:
        return _remove(self.rows, tenant_id)

    async def of_kind(self, kind: str, type_: type[T]) -> dict[str, T]:
        return {key[0]: msgspec.convert(body, type_) for key, body in self.rows.items() if key[1] == kind}

    async def tenants_with_open(self, kind: str) -> list[str]:
        return sorted(key[0] for key, body in self.rows.items() if key[1] == kind and not body["is_done"])


@dataclass
class MemoryKeys:
    rows: dict[tuple[str, str], SigningKeyRow] = field(default_factory=dict)
    issued: dict[tuple[str, str], Certificate] = field(default_factory=dict)

    async def put(self, key: SigningKeyRow) -> None:
        self.rows[key.tenant_id, key.key_id] = key

    async def all(self, tenant_id: str) -> list[SigningKeyRow]:
        found = [key for place, key in self.rows.items() if place[0] == tenant_id]
        return sorted(found, key=lambda key: (key.created_at_ms, key.key_id))

    async def remove(self, tenant_id: str, key_id: str) -> None:
        self.rows.pop((tenant_id, key_id), None)

    async def remove_all(self, tenant_id: str) -> int:
        return _remove(self.rows, tenant_id)

    async def add_certificate(self, certificate: Certificate) -> None:
        self.issued[certificate.tenant_id, certificate.serial] = certificate

    async def certificates(self, tenant_id: str) -> list[Certificate]:
        found = [each for place, each in self.issued.items() if place[0] == tenant_id]
        return sorted(found, key=lambda each: (each.expires_at_ms, each.serial))

    async def remove_certificates(self, tenant_id: str) -> int:
        return _remove(self.issued, tenant_id)


@dataclass
class MemoryOperators:
    rows: dict[str, Operator] = field(default_factory=dict)

    async def add(self, operator: Operator) -> bool:
        return self.rows.setdefault(operator.operator_id, operator) is operator

    async def save(self, operator: Operator) -> None:
        assert operator.operator_id in self.rows
        self.rows[operator.operator_id] = operator

    async def get(self, operator_id: str) -> Operator | None:
        return self.rows.get(operator_id)

    async def by_digest(self, digest: str) -> Operator | None:
        active = [each for each in self.rows.values() if each.state == "active"]
        return next((each for each in active if each.token_digest == digest), None)

    async def all(self) -> list[Operator]:
        return [self.rows[key] for key in sorted(self.rows) if self.rows[key].state != "removed"]

    async def founders(self) -> int:
        alone = [each for each in self.rows.values() if each.state != "waiting" and not each.approved_by]
        return sum(1 for each in alone if "approver" in each.roles)


@dataclass
class MemoryInstallationAudit:
    rows: dict[str, list[AuditEntry]] = field(default_factory=dict)

    async def lock(self) -> None:
        """One transaction at a time: there is nobody to keep out."""

    async def append(self, at_ms: int, actor: str, action: str, detail: dict[str, Any]) -> None:
        entries = self.rows.setdefault("", [])
        entries.append(following(entries[-1] if entries else None, "", at_ms, actor, action, detail))

    async def page(self, after: int, limit: int) -> list[AuditEntry]:
        return self.rows.get("", [])[after : after + limit]


@dataclass
class MemoryRegistry:
    """What the registry sees of what is kept."""

    tenants: MemoryTenants
    clients: MemoryClients
    lifecycle: MemoryLifecycle
    documents: MemoryDocuments
    operators: MemoryOperators
    audit: MemoryInstallationAudit


def _remove(rows: dict[Any, Any], tenant_id: str) -> int:
    gone = [key for key in rows if key[0] == tenant_id]
    for key in gone:
        del rows[key]
    return len(gone)


@dataclass
class MemoryTransaction:
    tenants: MemoryTenants = field(default_factory=MemoryTenants)
    clients: MemoryClients = field(default_factory=MemoryClients)
    identifiers: MemoryIdentifiers = field(default_factory=MemoryIdentifiers)
    lifecycle: MemoryLifecycle = field(default_factory=MemoryLifecycle)
    approvals: MemoryApprovals = field(default_factory=MemoryApprovals)
    audit: MemoryAudit = field(default_factory=MemoryAudit)
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    keys: MemoryKeys = field(default_factory=MemoryKeys)
    operators: MemoryOperators = field(default_factory=MemoryOperators)
    installation_audit: MemoryInstallationAudit = field(default_factory=MemoryInstallationAudit)


def _copied(kept: MemoryTransaction) -> MemoryTransaction:
    """Copy the tables, but not their rows: those are never changed."""
    copied = copy.copy(kept)
    for name, repository in vars(kept).items():
        fresh = copy.copy(repository)
        for table, rows in vars(repository).items():
            lists = {key: list(row) if isinstance(row, list) else row for key, row in rows.items()}
            setattr(fresh, table, lists)
        setattr(copied, name, fresh)
    return copied


class MemoryStore:
    """One transaction at a time; what it did is kept only when its block ends well."""

    def __init__(self) -> None:
        self.kept = MemoryTransaction()
        self.is_down = False
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def transaction(self, _tenant_id: str) -> AsyncIterator[MemoryTransaction]:
        async with self._working() as working:
            yield working

    @contextlib.asynccontextmanager
    async def registry(self) -> AsyncIterator[MemoryRegistry]:
        async with self._working() as working:
            yield MemoryRegistry(
                tenants=working.tenants,
                clients=working.clients,
                lifecycle=working.lifecycle,
                documents=working.documents,
                operators=working.operators,
                audit=working.installation_audit,
            )

    @contextlib.asynccontextmanager
    async def _working(self) -> AsyncIterator[MemoryTransaction]:
        if self.is_down:
            raise UnavailableError("database-unavailable", "The database cannot be reached now.")
        async with self._lock:
            working = _copied(self.kept)
            yield working
            self.kept = working

    async def is_ready(self) -> bool:
        return not self.is_down


class MemoryKeyProvider:
    """Tenants' keys in memory."""

    def __init__(self) -> None:
        self.boxes: dict[str, SecretBox | None] = {}

    async def create(self, tenant_id: str) -> None:
        if self.boxes.setdefault(tenant_id, SecretBox(SecretBox.new_key())) is None:
            raise KeyDestroyedError

    async def wrap(self, tenant_id: str, data_key: str) -> str:
        return self._box(tenant_id).seal(data_key, tenant_id)

    async def unwrap(self, tenant_id: str, wrapped: str) -> str:
        return self._box(tenant_id).open(wrapped, tenant_id)

    async def destroy(self, tenant_id: str) -> None:
        self.boxes[tenant_id] = None

    def _box(self, tenant_id: str) -> SecretBox:
        box = self.boxes.get(tenant_id)
        if box is None:
            raise KeyDestroyedError
        return box


class MemoryResolver:
    """A name service."""

    def __init__(self) -> None:
        self.hosts: dict[str, list[str]] = {}

    async def addresses(self, host: str) -> list[str]:
        return self.hosts.get(host, [])


class MemoryBus:
    """A bus that remembers what it was given, and can be away."""

    def __init__(self) -> None:
        self.published: list[TenantConfig] = []
        self.connections: int | None = 0
        self.refuses = False

    def connection(self) -> int | None:
        return self.connections

    async def publish(self, config: TenantConfig) -> None:
        if self.refuses:
            raise BusPublishError("NoRespondersError")
        self.published.append(config)


class MemoryHouse:
    """An engine, a member's account and the sandbox's test DFSP, as the suite of certification sees them.

    It does what docs/sandbox.md says of each amount. ``wrong`` names cases that this institution gets
    wrong, with what it does instead: ``twice``, ``never`` or ``held``.
    """

    def __init__(self) -> None:
        self.booked, self.held = 500_000, 0
        self.payments: dict[str, TransferStatus] = {}
        self.ordered: list[tuple[str, int, Order]] = []
        self.wrong: dict[int, str] = {}
        self.tells_balance = True
        self.is_down = False
        self.has_sandbox = True
        self.sandbox_answers = True
        self.switch_pem = ""
        self.passes: Callable[[int], None] = lambda _ms: None  # lets time pass
        self.calls = 0
        self.fails_at: int | None = None  # the call at which the process that asks is cut off
        self.fails_late = False  # after what it asks for was done

    async def pay(self, _tenant: Tenant, payment: StartPayment) -> None:
        self.be_asked()
        if payment.payment_id in self.payments:
            return
        code = {707: "5103", 803: "4001", 822: "3303"}.get(_units(payment.amount), "")
        if payment.payee.party_identifier == "254993204001":
            code = "3204"
        wrong = self.wrong.get(_units(payment.amount), "")
        self.book(-payment.amount.minor if not code else 0, wrong)
        self.payments[payment.payment_id] = TransferStatus(
            transaction_id=payment.payment_id,
            state="PENDING" if wrong == "never" else "FAILED" if code else "COMPLETED",
            amount=ChannelMoney(amount=payment.amount.decimal_text(), currency=payment.amount.currency),
            payer=payment.payer,
            payee=payment.payee,
            started_at="",
            error=TransferError(code=code, description="") if code else None,
        )
        self.has_done()

    async def status(self, _tenant: Tenant, payment_id: str) -> TransferStatus:
        self.be_asked()
        return self.payments[payment_id]

    async def balance(self, _tenant: Tenant, _member: PartyIdInfo, _look_id: str) -> Balance:
        self.be_asked()
        if not self.tells_balance:
            return Balance(booked=None, available=None)
        return Balance(booked=self.booked, available=self.booked - self.held)

    def be_asked(self) -> None:
        """Count a call, and let time pass."""
        self.calls += 1
        self.passes(500)
        if self.fails_at == self.calls and not self.fails_late:
            raise RuntimeError("the process was killed")
        if self.is_down:
            raise OutsideError("no answer")

    def has_done(self) -> None:
        """Mark that what was asked for was done."""
        if self.fails_at == self.calls and self.fails_late:
            raise RuntimeError("the process was killed")

    def book(self, minor: int, wrong: str) -> None:
        """Book on the member's account, as this institution does it."""
        if wrong == "held":
            self.held += abs(minor) or 100
        elif wrong != "never":
            self.booked += minor * (2 if wrong == "twice" else 1)

    async def switch_key(self) -> str:
        await self.payee()
        return self.switch_pem

    async def payee(self) -> PartyIdInfo:
        if not self.has_sandbox:
            raise SandboxUnfitError("This installation has no sandbox.")
        if not self.sandbox_answers:
            raise OutsideError("The sandbox: no answer.")
        return PartyIdInfo(party_id_type="MSISDN", party_identifier="254700900001")


def _units(amount: Money) -> int:
    return int(amount.minor // 10 ** exponent_of(amount.currency))


class MemoryTestDfsp:
    """The sandbox's test DFSP, which pays the member of a ``MemoryHouse``."""

    def __init__(self, house: MemoryHouse) -> None:
        self._house = house

    async def switch_key(self) -> str:
        return await self._house.switch_key()

    async def payee(self) -> PartyIdInfo:
        return await self._house.payee()

    async def pay(self, member: PartyIdInfo, amount: Money) -> None:
        self._house.be_asked()
        number = f"order-{len(self._house.ordered)}"
        aborted = _units(amount) == 826
        order = Order(
            payment_id=number,
            state="REFUSED" if aborted else "COMMITTED",
            error_code="5105" if aborted else "",
        )
        self._house.ordered.append((member.party_identifier, amount.minor, order))
        self._house.book(0 if aborted else amount.minor, self._house.wrong.get(_units(amount), ""))
        self._house.has_done()

    async def orders(self, member: PartyIdInfo, amount: Money) -> list[Order]:
        self._house.be_asked()
        wanted = (member.party_identifier, amount.minor)
        return [order for *parts, order in self._house.ordered if tuple(parts) == wanted]


class MemoryAms:
    """A core bank's directory of identifiers."""

    def __init__(self) -> None:
        self.accounts: dict[tuple[str, str, str], str] = {}
        self.calls: list[AmsAccess] = []
        self.is_down = False

    async def ensure(self, access: AmsAccess, identifier: PartyIdentifier) -> None:
        self.calls.append(access)
        if self.is_down:
            raise RegistrationError("ams-unreachable", "No answer.")
        key = (identifier.type, identifier.value, identifier.sub_id)
        if self.accounts.setdefault(key, identifier.account_id) != identifier.account_id:
            raise RegistrationError("account-mismatch", "The core bank knows it for another account.")

    async def check(self, access: AmsAccess) -> None:
        self.calls.append(access)
        if self.is_down:
            raise RegistrationError("ams-unreachable", "No answer.")

    async def withdraw(
        self, access: AmsAccess, identifier: PartyIdentifier, *, of_any_account: bool = False
    ) -> None:
        await self.check(access)
        key = (identifier.type, identifier.value, identifier.sub_id)
        if of_any_account or self.accounts.get(key) == identifier.account_id:
            self.accounts.pop(key, None)


class MemoryScheme:
    """A scheme's directory of participants; ``gate`` holds calls back until it is set."""

    def __init__(self) -> None:
        self.participants: dict[tuple[str, str, str], str] = {}
        self.checks: list[SchemeAccess] = []
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()

    async def register(self, access: SchemeAccess, identifier: PartyIdentifier) -> None:
        self.asked.set()
        await self.gate.wait()
        if self.is_down:
            raise RegistrationError("scheme-unreachable", "No answer.")
        self.participants[identifier.type, identifier.value, identifier.sub_id] = access.fsp_id

    async def withdraw(self, _access: SchemeAccess, identifier: PartyIdentifier) -> None:
        if self.is_down:
            raise RegistrationError("scheme-unreachable", "No answer.")
        self.participants.pop((identifier.type, identifier.value, identifier.sub_id), None)

    async def check(self, access: SchemeAccess) -> None:
        self.checks.append(access)
        if self.is_down:
            raise RegistrationError("scheme-unreachable", "No answer.")


@dataclass
class MemoryEngines:
    """Engines that hold instances, and hear of placements when a test lets them."""

    open: dict[tuple[str, str], list[str]] = field(default_factory=dict)  # by engine and tenant
    begun: set[tuple[str, str]] = field(default_factory=set)
    fences: dict[tuple[str, str], int] = field(default_factory=dict)
    in_flight: dict[str, int] = field(default_factory=dict)
    disks: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    behind: set[str] = field(default_factory=set)

    async def drain(self, engine: str, tenant_id: str, epoch: int) -> TenantDrain:
        if engine in self.silent:
            raise EngineSilentError(f"engine {engine} does not answer: HTTP 503")
        at = (engine, tenant_id)
        self.fences[at] = max(self.fences.get(at, 0), epoch)
        left = self.open.get(at, [])
        is_behind = engine in self.behind
        return TenantDrain(
            engine=engine,
            fence=self.fences[at],
            known_epoch=epoch - is_behind,
            known_version=0 if is_behind else 2**31,
            open=len(left),
            open_payments=left,
            outbox=0,
            begun=bool(left) or at in self.begun,
        )

    async def overview(self, engine: str) -> EngineOverview:
        if engine in self.silent:
            raise EngineSilentError(f"engine {engine} does not answer: HTTP 503")
        return EngineOverview(
            engine=engine,
            site=engine,
            replica=ReplicaView(
                replica="1", role="leader", leader="1", term=1, commit_index=1, applied_index=1,
                written_index=1, first_index=1, log_bytes=0, next_position=1,
            ),
            next_position=1,
            waiting=0,
            in_flight=self.in_flight.get(engine, 0),
            counts=InFlight(
                instances=0, jobs=0, timers=0, subscriptions=0, messages=0, outbox=0, incidents=0
            ),
            incidents=[],
            limits=EngineLimits(
                in_flight=1_000, waiting=1, disk=self.disks.get(engine, "enough"), disk_free_bytes=1
            ),
        )  # fmt: skip
