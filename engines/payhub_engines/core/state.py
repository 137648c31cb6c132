"""Typed reading of the state. Only appliers write it."""

import hashlib
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from payhub_engines.core import tables
from payhub_engines.core.records import (
    Counts,
    IncidentRecord,
    InstanceRecord,
    InstanceRow,
    JobRecord,
    MessageRecord,
    OutboxRecord,
    SubscriptionRecord,
    TimerRecord,
    Tokens,
)
from payhub_engines.core.store import Store

_instance_row: Final = msgspec.msgpack.Decoder(InstanceRow).decode
_variables: Final = msgspec.msgpack.Decoder(dict[str, Any]).decode
_tokens: Final = msgspec.msgpack.Decoder(Tokens).decode
_job: Final = msgspec.msgpack.Decoder(JobRecord).decode
_timer: Final = msgspec.msgpack.Decoder(TimerRecord).decode
_subscription: Final = msgspec.msgpack.Decoder(SubscriptionRecord).decode
_message: Final = msgspec.msgpack.Decoder(MessageRecord).decode
_outbox: Final = msgspec.msgpack.Decoder(OutboxRecord).decode
_incident: Final = msgspec.msgpack.Decoder(IncidentRecord).decode


class State:
    """A reader over a store; it holds nothing, so that it always tells what the store tells."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def next_key(self) -> int:
        """The next free key, from 1."""
        return self._number(tables.META_NEXT_KEY, 1)

    @property
    def next_position(self) -> int:
        """The position that the next event will have, from 1."""
        return self._number(tables.META_NEXT_POSITION, 1)

    def find_instance(self, tenant: str, process: str, payment: str) -> InstanceRecord | None:
        """Return the instance that a tenant's process has under a business key, running or ended."""
        key = self.find_key(tenant, process, payment)
        return None if key is None else self.instance(key)

    def find_key(self, tenant: str, process: str, payment: str) -> int | None:
        """Return the key of the instance under a business key."""
        if not tables.fits_key(tenant, process, payment):
            return None
        raw = self._store.get(tables.BUSINESS_KEY + tables.texts(tenant, process, payment))
        return None if raw is None else int.from_bytes(raw, "big")

    def instance(self, key: int) -> InstanceRecord | None:
        """Return an instance with its variables and the elements that it is in."""
        row = self.instance_row(key)
        if row is None:
            return None
        return InstanceRecord(
            key=row.key,
            process=row.process,
            version=row.version,
            tenant=row.tenant,
            payment=row.payment,
            fingerprint=row.fingerprint,
            trace=row.trace,
            started_at_ms=row.started_at_ms,
            ended_at_ms=row.ended_at_ms,
            variables=self.variables(key),
            active_elements=tuple(active.element for active in self.tokens(key).elements.values()),
            handed_over=row.handed_over,
            incident=row.incidents > 0,
        )

    def instance_row(self, key: int) -> InstanceRow | None:
        """Return the fixed part of an instance."""
        raw = self._keyed_value(tables.INSTANCE, key)
        return None if raw is None else _instance_row(raw)

    def variables(self, instance: int) -> dict[str, Any]:
        """Return an instance's variables."""
        raw = self._store.get(tables.VARIABLES + tables.number(instance))
        return {} if raw is None else _variables(raw)

    def tokens(self, instance: int) -> Tokens:
        """Return a running instance's tokens; an ended one has none."""
        raw = self._store.get(tables.TOKENS + tables.number(instance))
        return Tokens(elements={}, joins={}) if raw is None else _tokens(raw)

    def jobs(self) -> Iterator[JobRecord]:
        """Iterate over the jobs that connectors are to do, now or at their ``retry_at_ms``.

        Jobs without retries are left out: they wait for an operator (see ``incidents``).
        """
        for _, raw in self._store.scan(tables.JOB):
            job = _job(raw)
            if job.retries_left > 0:
                yield job

    def job(self, key: int) -> JobRecord | None:
        """Return an open job, with retries or without."""
        raw = self._keyed_value(tables.JOB, key)
        return None if raw is None else _job(raw)

    def job_variables(self, job: JobRecord) -> dict[str, Any]:
        """Return what a job sees: the instance's variables under those of its input mappings."""
        active = self.tokens(job.instance).elements.get(job.element_instance)
        return {**self.variables(job.instance), **(active.local if active else {})}

    def timer(self, key: int) -> TimerRecord | None:
        """Return a running timer."""
        raw = self._keyed_value(tables.TIMER, key)
        return None if raw is None else _timer(raw)

    def due_timers(self, now_ms: int) -> Iterator[TimerRecord]:
        """Iterate over the timers that are due, the earliest first."""
        for key in self._due(tables.TIMER_DUE, now_ms):
            timer = self.timer(key)
            if timer is not None:
                yield timer

    def next_timer_due_ms(self) -> int | None:
        """Return when the earliest timer is due."""
        return self._earliest(tables.TIMER_DUE)

    def subscription(self, key: int) -> SubscriptionRecord | None:
        """Return an open subscription."""
        raw = self._keyed_value(tables.SUBSCRIPTION, key)
        return None if raw is None else _subscription(raw)

    def subscriptions(self, tenant: str, name: str, correlation_key: str) -> Iterator[int]:
        """Iterate over the keys of the subscriptions to a message, the oldest first."""
        return self._keyed(tables.SUBSCRIPTION_KEY, tenant, name, correlation_key)

    def has_subscription(self, tenant: str, name: str, correlation_key: str) -> bool:
        """Tell whether an instance of the tenant waits for this message now."""
        return next(self.subscriptions(tenant, name, correlation_key), None) is not None

    def message(self, key: int) -> MessageRecord | None:
        """Return a kept message."""
        raw = self._keyed_value(tables.MESSAGE, key)
        return None if raw is None else _message(raw)

    def messages(self, tenant: str, name: str, correlation_key: str) -> Iterator[int]:
        """Iterate over the keys of the kept messages of a name and key, the oldest first."""
        return self._keyed(tables.MESSAGE_KEY, tenant, name, correlation_key)

    def expired_messages(self, now_ms: int) -> Iterator[MessageRecord]:
        """Iterate over the kept messages whose time is over, the earliest first."""
        for key in self._due(tables.MESSAGE_EXPIRY, now_ms):
            message = self.message(key)
            if message is not None:
                yield message

    def next_message_expiry_ms(self) -> int | None:
        """Return when the time of the first kept message is over."""
        return self._earliest(tables.MESSAGE_EXPIRY)

    def outbox(self, owner: str | None = None) -> Iterator[OutboxRecord]:
        """Iterate over unacknowledged hand-overs, by owner and sequence; the first is the lowest open."""
        prefix = tables.OUTBOX if owner is None else tables.OUTBOX + tables.texts(owner)
        for _, raw in self._store.scan(prefix):
            yield _outbox(raw)

    def outbox_record(self, owner: str, sequence: int) -> OutboxRecord | None:
        """Return one unacknowledged hand-over."""
        raw = self._store.get(tables.OUTBOX + tables.texts(owner) + tables.number(sequence))
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
        return self._store.get(tables.RECEIVED + tables.texts(origin) + tables.number(sequence)) is not None

    def incident(self, key: int) -> IncidentRecord | None:
        """Return an open incident."""
        raw = self._keyed_value(tables.INCIDENT, key)
        return None if raw is None else _incident(raw)

    def incidents(self) -> Iterator[IncidentRecord]:
        """Iterate over the open incidents, the oldest first."""
        for _, raw in self._store.scan(tables.INCIDENT):
            yield _incident(raw)

    def counts(self) -> Counts:
        """Count what is in flight; the cost grows with it, ended instances cost nothing."""
        return Counts(
            instances=self._count(tables.TOKENS),
            jobs=self._count(tables.JOB),
            timers=self._count(tables.TIMER),
            subscriptions=self._count(tables.SUBSCRIPTION),
            messages=self._count(tables.MESSAGE),
            outbox=self._count(tables.OUTBOX),
            incidents=self._count(tables.INCIDENT),
        )

    def _keyed_value(self, table: bytes, key: int) -> bytes | None:
        # A caller may ask for any number; those that no key can have are not there.
        return self._store.get(table + tables.number(key)) if 0 <= key <= tables.NUMBER_MAX else None

    def _number(self, key: bytes, default: int) -> int:
        raw = self._store.get(key)
        return default if raw is None else int.from_bytes(raw, "big")

    def _count(self, prefix: bytes) -> int:
        return sum(1 for _ in self._store.scan(prefix))

    def _keyed(self, table: bytes, tenant: str, name: str, correlation_key: str) -> Iterator[int]:
        if not tables.fits_key(tenant, name, correlation_key):
            return
        for key, _ in self._store.scan(table + tables.texts(tenant, name, correlation_key)):
            yield tables.last_number(key)

    def _due(self, table: bytes, now_ms: int) -> Iterator[int]:
        for key, _ in self._store.scan(table):
            if int.from_bytes(key[1 : 1 + tables.NUMBER_BYTES], "big") > now_ms:
                return
            yield tables.last_number(key)

    def _earliest(self, table: bytes) -> int | None:
        for key, _ in self._store.scan(table):
            return int.from_bytes(key[1 : 1 + tables.NUMBER_BYTES], "big")
        return None


def digest(store: Store) -> str:
    """Hash the whole state: SHA-256 over all keys and values with their lengths, as hex."""
    hasher = hashlib.sha256()
    for key, value in store.scan(b""):
        for part in (key, value):
            hasher.update(len(part).to_bytes(tables.NUMBER_BYTES, "big"))
            hasher.update(part)
    return hasher.hexdigest()
