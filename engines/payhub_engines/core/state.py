"""The engine's state: documents of the running instances, indexes over them, rows for the rest.

Only appliers change it. The indexes are derived: whoever loads the state from a store finds the same ones.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from payhub_engines.core import tables
from payhub_engines.core.bpmn.model import Catalogue
from payhub_engines.core.bpmn.parse import parse
from payhub_engines.core.errors import StateFormatError
from payhub_engines.core.index import Index
from payhub_engines.core.instances import Instances, owned_by_job
from payhub_engines.core.records import (
    BroadcastRecord,
    Counts,
    Deployed,
    ElementInstance,
    IncidentRecord,
    Instance,
    InstanceRecord,
    Job,
    JobRecord,
    MessageRecord,
    OutboxRecord,
    StartTimer,
    TimerRecord,
)
from payhub_engines.core.rows import Rows
from payhub_engines.core.store import Store

FORMAT: Final = b"2"  # of the rows; 1 had a row for each job, timer and subscription

_message: Final = msgspec.msgpack.Decoder(MessageRecord).decode
_broadcast: Final = msgspec.msgpack.Decoder(BroadcastRecord).decode
_payload: Final = msgspec.msgpack.Decoder(dict[str, Any]).decode
_outbox: Final = msgspec.msgpack.Decoder(OutboxRecord).decode
_deployed: Final = msgspec.msgpack.Decoder(Deployed).decode
_start_timer: Final = msgspec.msgpack.Decoder(StartTimer).decode


class State:
    """What all committed events add up to, and readers over it.

    Attributes:
        next_key: the next free key, from 1.
        next_position: the position that the next event will have, from 1.
        instances: the documents.
        index: where jobs, timers, subscriptions, messages and incidents are.
        catalogue: the deployed definitions.
        rows: everything else.
    """

    def __init__(self, store: Store) -> None:
        """Read the running instances from a store.

        Raises:
            StateFormatError: another release wrote it.
        """
        self.rows = Rows(store)
        self.instances = Instances(store)
        self.index = Index()
        self.next_key = self._number(tables.META_NEXT_KEY, 1)
        self.next_position = self._number(tables.META_NEXT_POSITION, 1)
        is_new = self.next_position == 1
        if not is_new and store.get(tables.META_FORMAT) != FORMAT:
            detail = "This release reads states of format 2 only: start it with an empty data folder."
            raise StateFormatError("state-format", detail)
        for instance in self.instances.load():
            self.index.add_instance(instance)
        for timer in self.start_timers():
            self.index.add_timer(timer.key, (0, 0), timer.due_ms)
        for _, raw in store.scan(tables.MESSAGE):
            self.index.add_message(_message(raw))
        self.catalogue = Catalogue(tuple(parse(deployed.xml) for deployed in self.deployed()))

    def take_changes(self) -> dict[bytes, bytes | None]:
        """Return all rows that changed since the last call; None means deleted.

        The caller writes them to the store, together with the index of the last entry applied, before
        anything else happens to the state.
        """
        self.rows.put(tables.META_FORMAT, FORMAT)
        self.rows.put(tables.META_NEXT_KEY, tables.number(self.next_key))
        self.rows.put(tables.META_NEXT_POSITION, tables.number(self.next_position))
        return {**self.rows.take(), **self.instances.take()}

    @property
    def origin(self) -> str:
        """Under which name the engine hands over; empty until it is founded."""
        return (self.rows.get(tables.META_ORIGIN) or b"").decode()

    def find_instance(self, tenant: str, process: str, payment: str) -> InstanceRecord | None:
        """Return the instance that a tenant's process has under a business key, running or ended."""
        key = self.find_key(tenant, process, payment)
        return None if key is None else self.instance(key)

    def find_key(self, tenant: str, process: str, payment: str) -> int | None:
        """Return the key of the instance under a business key."""
        if not tables.fits_key(tenant, process, payment):
            return None
        raw = self.rows.get(tables.BUSINESS_KEY + tables.texts(tenant, process, payment))
        return None if raw is None else int.from_bytes(raw, "big")

    def document(self, key: int) -> Instance | None:
        """Return an instance's document, to read it."""
        return self.instances.find(key)

    def instance(self, key: int) -> InstanceRecord | None:
        """Return an instance with its variables and the elements that it is in."""
        found = self.instances.find(key)
        if found is None:
            return None
        active = tuple(element.element for at, element in found.elements.items() if at)
        return InstanceRecord(
            key=found.key,
            process=found.process,
            version=found.version,
            tenant=found.tenant,
            payment=found.payment,
            fingerprint=found.fingerprint,
            trace=found.trace,
            started_at_ms=found.started_at_ms,
            ended_at_ms=found.ended_at_ms,
            outcome=found.outcome,
            variables=dict(found.variables),
            active_elements=active,
            handed_over=found.handed_over,
            incident=found.incidents > 0,
            parent=found.parent,
        )

    def jobs(self) -> Iterator[JobRecord]:
        """Iterate over the jobs that connectors are to do, now or at their ``retry_at_ms``.

        Jobs without retries are left out: they wait for an operator (see ``incidents``).
        """
        for key in list(self.index.jobs):
            job = self.job(key)
            if job is not None and job.retries_left > 0:
                yield job

    def job(self, key: int) -> JobRecord | None:
        """Return an open job, with retries or without."""
        found = self.job_place(key)
        return None if found is None else _job_record(*found)

    def job_place(self, key: int) -> tuple[Instance, ElementInstance, Job] | None:
        """Return an open job with its element and instance, to read them."""
        place = self.index.jobs.get(key)
        instance = None if place is None else self.instances.find(place[0])
        if place is None or instance is None:
            return None
        element = instance.elements[place[1]]
        return None if element.job is None else (instance, element, element.job)

    def job_variables(self, job: JobRecord) -> dict[str, Any]:
        """Return what a job sees: its variables over those of the scopes around it.

        They are the connector's own: what it does to lists and contexts does not reach the state.
        """
        instance = self.instances.find(job.instance)
        return {} if instance is None else owned_by_job(instance, job.element_instance)

    def timer(self, key: int) -> TimerRecord | None:
        """Return a running timer."""
        found = self.index.timers.get(key)
        if found is None:
            return None
        instance_key, element_instance, due_ms = found
        instance = self.instances.find(instance_key) if instance_key else None
        element = ""
        if instance is not None:
            timers = instance.elements[element_instance].timers
            element = next(timer.element for timer in timers if timer.key == key)
        return TimerRecord(key, instance_key, element_instance, element, due_ms)

    def due_timers(self, now_ms: int) -> Iterator[TimerRecord]:
        """Iterate over the timers that are due, the earliest first."""
        for key in self.index.due_timers(now_ms):
            timer = self.timer(key)
            if timer is not None:
                yield timer

    def next_timer_due_ms(self) -> int | None:
        """Return when the earliest timer is due."""
        return self.index.next_timer_due_ms()

    def start_timers(self) -> Iterator[StartTimer]:
        """Iterate over the timers of start events."""
        for _, raw in self.rows.scan(tables.START_TIMER):
            yield _start_timer(raw)

    def start_timer(self, key: int) -> StartTimer | None:
        """Return the timer of a start event."""
        raw = self.rows.get(tables.START_TIMER + tables.number(key))
        return None if raw is None else _start_timer(raw)

    def has_subscription(self, tenant: str, name: str, correlation_key: str) -> bool:
        """Tell whether an instance of the tenant waits for this message now."""
        return bool(self.index.waiting.get((tenant, name, correlation_key)))

    def message(self, key: int) -> MessageRecord | None:
        """Return a kept message."""
        if not 0 <= key <= tables.NUMBER_MAX:
            return None
        raw = self.rows.get(tables.MESSAGE + tables.number(key))
        return None if raw is None else _message(raw)

    def messages(self, tenant: str, name: str, correlation_key: str) -> list[int]:
        """Return the keys of the kept messages of a name and key, the oldest first."""
        return list(self.index.messages.get((tenant, name, correlation_key), ()))

    def expired_messages(self, now_ms: int) -> Iterator[MessageRecord]:
        """Iterate over the kept messages whose time is over, the earliest first."""
        for key in self.index.expired_messages(now_ms):
            message = self.message(key)
            if message is not None:
                yield message

    def next_message_expiry_ms(self) -> int | None:
        """Return when the time of the first kept message is over."""
        return self.index.next_message_expiry_ms()

    def message_id(
        self, tenant: str, name: str, correlation_key: str, message_id: str
    ) -> tuple[int, int] | None:
        """Return until when an id is taken, and the key of the message that took it."""
        raw = self.rows.get(tables.MESSAGE_ID + tables.texts(tenant, name, correlation_key, message_id))
        if raw is None:
            return None
        half = tables.NUMBER_BYTES
        return int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")

    def broadcasts(self) -> Iterator[BroadcastRecord]:
        """Iterate over the broadcasts that have receivers left, the oldest first."""
        for _, raw in self.rows.scan(tables.BROADCAST):
            yield _broadcast(raw)

    def broadcasts_count(self) -> int:
        """Count the broadcasts that have receivers left."""
        return sum(1 for _ in self.rows.scan(tables.BROADCAST))

    def broadcast(self, key: int) -> BroadcastRecord | None:
        """Return a broadcast that has receivers left."""
        raw = self.rows.get(tables.BROADCAST + tables.number(key)) if 0 <= key <= tables.NUMBER_MAX else None
        return None if raw is None else _broadcast(raw)

    def outbox(self, owner: str | None = None) -> Iterator[OutboxRecord]:
        """Iterate over unacknowledged hand-overs, by owner and sequence; the first is the lowest open."""
        prefix = tables.OUTBOX if owner is None else tables.OUTBOX + tables.texts(owner)
        for _, raw in self.rows.scan(prefix):
            yield _outbox(raw)

    def outbox_record(self, owner: str, sequence: int) -> OutboxRecord | None:
        """Return one unacknowledged hand-over."""
        raw = self.rows.get(tables.OUTBOX + tables.texts(owner) + tables.number(sequence))
        return None if raw is None else _outbox(raw)

    def outbox_last(self, owner: str) -> int:
        """Return the last sequence given for an owner; 0 where there was none."""
        return self._number(tables.OUTBOX_LAST + tables.texts(owner), 0)

    def received_floor(self, origin: str) -> int:
        """Return the sequence below which all hand-overs of an origin are done for good."""
        return self._number(tables.RECEIVED_FLOOR + tables.texts(origin), 0)

    def was_received(self, origin: str, sequence: int) -> bool:
        """Tell whether a hand-over has taken effect already."""
        if sequence < self.received_floor(origin):
            return True
        return self.rows.get(tables.RECEIVED + tables.texts(origin) + tables.number(sequence)) is not None

    def fence(self, tenant: str) -> int:
        """Return the epoch below which nothing of a tenant begins here; 0 where there is no fence."""
        raw = self.rows.get(tables.FENCE + tables.texts(tenant))
        return 0 if raw is None else int.from_bytes(raw[: tables.NUMBER_BYTES], "big")

    def fence_key(self, tenant: str) -> int:
        """Return the first key that an instance could get once the tenant's fence stood."""
        raw = self.rows.get(tables.FENCE + tables.texts(tenant))
        return 0 if raw is None else tables.last_number(raw)

    def incident(self, key: int) -> IncidentRecord | None:
        """Return an open incident."""
        place = self.index.incidents.get(key)
        instance = None if place is None else self.instances.find(place[0])
        if place is None or instance is None:
            return None
        found = instance.elements[place[1]].incident
        if found is None:
            return None
        return IncidentRecord(
            key=key,
            instance=instance.key,
            element_instance=place[1],
            element=found.element,
            code=found.code,
            message=found.message,
            at_ms=found.at_ms,
            tenant=instance.tenant,
            process=instance.process,
            payment=instance.payment,
        )

    def incident_payload(self, key: int) -> dict[str, Any]:
        """Return what an open incident's step could not take."""
        raw = self.rows.get(tables.INCIDENT_PAYLOAD + tables.number(key))
        return {} if raw is None else _payload(raw)

    def incidents(self) -> Iterator[IncidentRecord]:
        """Iterate over the open incidents, the oldest first."""
        for key in sorted(self.index.incidents):
            incident = self.incident(key)
            if incident is not None:
                yield incident

    def deployed(self) -> list[Deployed]:
        """Return all deployed versions, those of each process the oldest first."""
        found = [_deployed(raw) for _, raw in self.rows.scan(tables.DEFINITION)]
        return sorted(found, key=lambda deployed: deployed.number)

    def deployment(self, process: str, version: str) -> Deployed | None:
        """Return one deployed version."""
        raw = self.rows.get(tables.DEFINITION + tables.texts(process, version))
        return None if raw is None else _deployed(raw)

    def ended_before(self, at_ms: int, count_max: int) -> list[int]:
        """Return the oldest instances that ended before a time."""
        found: list[int] = []
        for key, _ in self.rows.scan(tables.ENDED_AT):
            if int.from_bytes(key[1 : 1 + tables.NUMBER_BYTES], "big") >= at_ms or len(found) == count_max:
                break
            found.append(tables.last_number(key))
        return found

    def counts(self) -> Counts:
        """Count what is in flight."""
        index = self.index
        return Counts(
            instances=index.running,
            jobs=len(index.jobs),
            timers=len(index.timers),
            subscriptions=index.subscriptions,
            messages=index.kept,
            outbox=sum(1 for _ in self.rows.scan(tables.OUTBOX)),
            incidents=len(index.incidents),
        )

    def _number(self, key: bytes, default: int) -> int:
        raw = self.rows.get(key)
        return default if raw is None else int.from_bytes(raw, "big")


def _job_record(instance: Instance, element: ElementInstance, job: Job) -> JobRecord:
    return JobRecord(
        key=job.key,
        type=job.type,
        instance=instance.key,
        element_instance=element.key,
        element=element.element,
        tenant=instance.tenant,
        process=instance.process,
        payment=instance.payment,
        trace=instance.trace,
        headers=job.headers,
        retries_left=job.retries_left,
        attempt=job.attempt,
        retry_at_ms=job.retry_at_ms,
    )


def digest(store: Store) -> str:
    """Hash a whole store: SHA-256 over all keys and values with their lengths, as hex."""
    hasher = hashlib.sha256()
    for key, value in store.scan(b""):
        for part in (key, value):
            hasher.update(len(part).to_bytes(tables.NUMBER_BYTES, "big"))
            hasher.update(part)
    return hasher.hexdigest()
