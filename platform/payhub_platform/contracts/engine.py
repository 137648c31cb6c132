"""The engine's own API, for the gateway and for operators' tools, never reached by people or channels."""

from typing import Any, Final, Literal

from payhub_platform.contracts.base import Contract
from payhub_platform.contracts.channel import PartyIdInfo, RequestUse, UseCase
from payhub_platform.money import Money

STALE_EPOCH: Final = "stale-epoch"  # code of a start whose placement is no longer the tenant's
HEADER_TENANT: Final = "x-payhub-tenant"
HEADER_EPOCH: Final = "x-payhub-epoch"
HEADER_LEADER: Final = "x-payhub-leader"  # in an answer of the leader: the replica's id
HEADER_FORWARDED: Final = "x-payhub-forwarded"  # in a request that a follower sends on: its own id
HEADER_ACT: Final = "x-payhub-act"  # beside a person's decision: the same id again is the same one
PATH_PAYMENTS: Final = "/engine/v1/payments"
PATH_RECALLS: Final = "/engine/v1/recalls"
PATH_TENANTS: Final = "/engine/v1/tenants"
PATH_DRAIN: Final = "drain"  # below a tenant: POST, answered by ``TenantDrain``
PATH_OVERVIEW: Final = "/engine/v1/overview"
PATH_REQUESTS: Final = "/engine/v1/transaction-requests"
PATH_RECEIVED: Final = "/engine/v1/received-requests"
PATH_ACCOUNTS: Final = "/engine/v1/account-lookups"
PATH_PARTIES: Final = "/engine/v1/party-lookups"
PATH_REGISTRATIONS: Final = "/engine/v1/party-registrations"
PATH_REFUNDS: Final = "refunds"  # below the original payment: POST, with ``StartRefund``
PATH_CONFIRMATION: Final = "confirmation"  # below a payment: POST, with ``channel.Confirmation``
PATH_AUTHORIZATION: Final = "authorization"  # below a request: POST, with ``channel.DeviceAuthorization``
PATH_REPLICA: Final = "/engine/v1/replica"  # answered by whoever is asked; all else by the leader


class StartPayment(Contract, frozen=True, kw_only=True):
    """Body of ``POST /engine/v1/payments``; answered 202 with ``TransferAccepted`` once committed.

    ``payment_id`` is derived from tenant, client and idempotency key; ``fingerprint`` is the SHA-256
    of the channel's body in canonical form. The same id with another fingerprint is refused 422.
    """

    payment_id: str
    idempotency_key: str
    fingerprint: str
    client_id: str
    payer: PartyIdInfo
    payee: PartyIdInfo
    amount: Money
    amount_type: str = "SEND"
    use_case: UseCase = "transfer"
    confirm_quote: bool = False
    client_ref_id: str | None = None
    note: str | None = None
    expires_at_ms: int | None = None


class RecallStart(Contract, frozen=True, kw_only=True):
    """Body of ``POST /engine/v1/recalls``: has this engine begun it? It will not under an older epoch.

    Answered as the start was; 404 ``payment-not-found`` where nothing was begun.
    """

    path: str  # under which it is begun, such as /engine/v1/payments
    payment_id: str
    fingerprint: str


class RecallRequest(Contract, frozen=True, kw_only=True):
    """Request on ``payhub.recall.<engine>``: has this engine begun it? It will not under an older epoch."""

    tenant: str
    epoch: int
    process: str
    payment: str
    name: str = ""  # of a message: an instance that waits for it counts as well
    correlation_key: str = ""


class RecallReply(Contract, frozen=True, kw_only=True):
    """Whether the engine has begun it; ``reason`` is set where the engine cannot tell now."""

    known: bool = False
    reason: str = ""


class TenantDrain(Contract, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    """Answer of ``POST /engine/v1/tenants/{id}/drain``: what is open of a tenant; asked with an epoch.

    From the answer on the engine begins nothing of an older epoch, whatever it has heard of the placement.
    """

    engine: str
    fence: int  # the epoch below which nothing is begun
    known_epoch: int  # of the configuration that the engine has; 0 where it has none
    known_version: int
    open: int  # instances that began under an older epoch; all of them where the engine begins none now
    open_payments: list[str]  # the business keys of some of them
    outbox: int  # callbacks of the tenant that wait for other engines
    begun: bool  # whether it keeps the key of anything that it began under an older epoch


class StartRequest(Contract, frozen=True, kw_only=True):
    """Body of ``POST /engine/v1/transaction-requests``, as ``StartPayment``: a member asks to be paid."""

    payment_id: str  # the transactionRequestId
    idempotency_key: str
    fingerprint: str
    client_id: str
    payee: PartyIdInfo
    payer: PartyIdInfo
    amount: Money
    use_case: RequestUse = "merchant-payment"
    authentication: Literal["OTP"] | None = None  # None: the payer confirms in its own channel
    client_ref_id: str | None = None
    note: str | None = None
    expires_at_ms: int


class StartRefund(Contract, frozen=True, kw_only=True):
    """Body of ``POST /engine/v1/payments/{original}/refunds``; answered 202 with ``TransferAccepted``.

    The transaction id in the answer is the refund's own. ``payment_id`` tells requests apart: the same again
    is the same refund.
    """

    payment_id: str
    idempotency_key: str
    fingerprint: str
    client_id: str
    amount: Money | None = None  # None: all that is left
    reason: str | None = None
    client_ref_id: str | None = None


class StartAccountLookup(Contract, frozen=True, kw_only=True):
    """Body of ``POST /engine/v1/account-lookups``, as ``StartPayment``: how a member's account stands."""

    payment_id: str
    fingerprint: str
    client_id: str
    party: PartyIdInfo


class StartPartyLookup(Contract, frozen=True, kw_only=True):
    """Body of ``POST /engine/v1/party-lookups``, as ``StartPayment``: who is reached by an identifier."""

    payment_id: str
    fingerprint: str
    client_id: str
    party: PartyIdInfo


class StartRegistration(Contract, frozen=True, kw_only=True):
    """Body of ``POST /engine/v1/party-registrations``: the scheme is told an identifier, or to forget it."""

    payment_id: str
    fingerprint: str
    client_id: str
    party: PartyIdInfo
    withdraw: bool = False


class DeployProcess(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /engine/v1/processes``; answered 200 with ``DeployedVersion`` once committed.

    The same file again changes nothing and is ``duplicate``. ``tenant`` is whose instances a timer start
    event starts; empty: the aggregator's.
    """

    xml: str
    tenant: str = ""


class DeployedVersion(Contract, frozen=True, kw_only=True, rename="camel"):
    """A version of a process; new instances start with the one that has the highest number."""

    process: str  # BPMN process id
    version: str  # derived from the file's content
    number: int  # from 1
    tenant: str = ""
    deployed_at_ms: int
    duplicate: bool = False


class DeployedVersions(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /engine/v1/processes``."""

    processes: list[DeployedVersion]


class IncidentDetail(Contract, frozen=True, kw_only=True, rename="camel"):
    """Why an instance stands still, and where."""

    key: int
    instance: int
    element_instance: int
    element: str
    code: str
    message: str
    at_ms: int
    tenant: str
    process: str
    payment: str


class Incidents(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /engine/v1/incidents``: the oldest ones, and how many there are in ``total``."""

    incidents: list[IncidentDetail]
    total: int


class ResolveIncident(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /engine/v1/incidents/{key}/resolve``: the step is done again, with these variables."""

    variables: dict[str, Any] = {}
    retries: int = 1  # a failed job's new ones


class CancelInstance(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /engine/v1/instances/{key}/cancel``; ``compensate``: undo first what was completed."""

    compensate: bool = False


class ElementActivation(Contract, frozen=True, kw_only=True, rename="camel"):
    """An element that is to be activated, with variables that it alone sees."""

    element: str
    variables: dict[str, Any] = {}


class ModifyInstance(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /engine/v1/instances/{key}/modify``: elements are activated, then others interrupted."""

    activate: list[ElementActivation] = []
    terminate: list[int] = []  # element instance keys


class MigrateInstance(Contract, frozen=True, kw_only=True, rename="camel"):
    """Body of ``POST /engine/v1/instances/{key}/migrate``; ``mapping`` renames elements that it is in."""

    version: str
    mapping: dict[str, str] = {}


class Acted(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer to an operator's action, once it is committed; ``duplicate``: it had been done before."""

    key: int  # of the incident or instance
    duplicate: bool = False


class JobDetail(Contract, frozen=True, kw_only=True, rename="camel"):
    """A job that an element waits for; without retries it waits for an operator."""

    key: int
    type: str
    retries_left: int
    attempt: int
    retry_at_ms: int = 0


class ActiveElement(Contract, frozen=True, kw_only=True, rename="camel"):
    """An element that a token is in."""

    key: int
    element: str
    scope: int = 0  # element instance around it; 0 is the process
    variables: dict[str, Any] = {}
    job: JobDetail | None = None
    timers_due_ms: list[int] = []
    messages: list[str] = []  # names that it waits for
    incident: int = 0
    called: int = 0  # instance that a call activity waits for


class InstanceDetail(Contract, frozen=True, kw_only=True, rename="camel"):
    """Answer of ``GET /engine/v1/instances/{key}``."""

    key: int
    process: str
    version: str
    tenant: str
    payment: str
    started_at_ms: int
    ended_at_ms: int | None = None
    outcome: str = ""
    parent: int = 0
    variables: dict[str, Any]
    elements: list[ActiveElement]


class InFlight(Contract, frozen=True, kw_only=True, rename="camel"):
    """How much of each is open."""

    instances: int
    jobs: int
    timers: int
    subscriptions: int
    messages: int
    outbox: int
    incidents: int


class EngineLimits(Contract, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    """Bounds beyond which an engine answers 503."""

    in_flight: int  # payments; follows the latency
    waiting: int  # commands and reads
    disk: str  # enough; low: no new payments; critical: the replica stops
    disk_free_bytes: int


class ReplicaView(Contract, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    """Answer of ``GET /engine/v1/replica``: where the replica that is asked stands, leader or not."""

    replica: str
    role: Literal["leader", "follower", "none"]  # none: it knows nobody who leads
    leader: str | None
    term: int
    commit_index: int
    applied_index: int
    written_index: int  # what RocksDB holds
    first_index: int  # the lowest that the log still has
    log_bytes: int
    next_position: int


class EngineOverview(Contract, frozen=True, kw_only=True, rename="camel", omit_defaults=False):
    """Answer of ``GET /engine/v1/overview``, by the leader: what is in flight, and how far the log is."""

    engine: str
    site: str
    replica: ReplicaView
    next_position: int
    waiting: int
    in_flight: int
    counts: InFlight
    incidents: list[IncidentDetail]  # the oldest
    limits: EngineLimits
