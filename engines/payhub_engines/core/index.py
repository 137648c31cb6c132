"""Where things are: indexes over the documents, in memory, derived from them and never stored."""

import heapq
from collections.abc import Container
from typing import Final

from payhub_engines.core.records import ElementInstance, Instance, MessageRecord, Subscription

DUE_MAX: Final = 1_024  # timers or messages that one look returns

Place = tuple[int, int]
"""Instance and element instance."""


class Index:
    """Jobs, timers, subscriptions, incidents and kept messages by what they are looked up with.

    Attributes:
        running: how many instances have not ended.
        instances_of: their keys by tenant, those who have any.
        jobs: by job key.
        timers: instance, element instance and due time by timer key; instance 0 for start events.
        waiting: by tenant, message name and correlation key: places by subscription key, the oldest first.
        listening: by tenant and signal name, likewise.
        incidents: by incident key.
        messages: keys of kept messages by tenant, name and correlation key, the oldest first.
        subscriptions: how many are open.
        kept: how many messages are kept.
    """

    def __init__(self) -> None:
        self.running = 0
        self.instances_of: dict[str, set[int]] = {}
        self.jobs: dict[int, Place] = {}
        self.timers: dict[int, tuple[int, int, int]] = {}
        self.waiting: dict[tuple[str, str, str], dict[int, Place]] = {}
        self.listening: dict[tuple[str, str], dict[int, Place]] = {}
        self.incidents: dict[int, Place] = {}
        self.messages: dict[tuple[str, str, str], list[int]] = {}
        self.subscriptions = 0
        self._due: list[tuple[int, int]] = []  # heap of due_ms and timer; ended ones are skipped
        self._expiry: dict[int, int] = {}  # by message
        self._expiring: list[tuple[int, int]] = []  # heap of expires_at_ms and message

    @property
    def kept(self) -> int:
        """How many messages are kept."""
        return len(self._expiry)

    @property
    def running_of(self) -> dict[str, int]:
        """How many instances of each tenant have not ended."""
        return {tenant: len(keys) for tenant, keys in self.instances_of.items()}

    def add_instance(self, instance: Instance) -> None:
        """Take up everything that a loaded instance waits for."""
        self.add_running(instance.tenant, instance.key)
        for key, element in instance.elements.items():
            self._add_element(instance, (instance.key, key), element)

    def add_running(self, tenant: str, key: int) -> None:
        """Count an instance that has begun."""
        self.running += 1
        self.instances_of.setdefault(tenant, set()).add(key)

    def remove_running(self, tenant: str, key: int) -> None:
        """Count an instance that has ended."""
        self.running -= 1
        left = self.instances_of[tenant]
        left.remove(key)
        if not left:
            del self.instances_of[tenant]

    def _add_element(self, instance: Instance, place: Place, element: ElementInstance) -> None:
        if element.job is not None:
            self.jobs[element.job.key] = place
        for timer in element.timers:
            self.add_timer(timer.key, place, timer.due_ms)
        for subscription in element.subscriptions:
            self.add_subscription(instance.tenant, subscription, place)
        if element.incident is not None:
            self.incidents[element.incident.key] = place

    def add_timer(self, key: int, place: Place, due_ms: int) -> None:
        """Take a timer."""
        self.timers[key] = (*place, due_ms)
        heapq.heappush(self._due, (due_ms, key))

    def remove_timer(self, key: int) -> None:
        """Let go of a timer; the heap forgets it when it comes up, or when most of it is gone."""
        del self.timers[key]
        if len(self._due) > 64 + 4 * len(self.timers):
            self._due = [(due_ms, timer) for timer, (_, _, due_ms) in self.timers.items()]
            heapq.heapify(self._due)

    def due_timers(self, now_ms: int, but: Container[int] = ()) -> list[int]:
        """Return the timers that are due, the earliest first, up to ``DUE_MAX``, but some."""
        return _due(self._due, self.timers, now_ms, but)

    def next_timer_due_ms(self) -> int | None:
        """Return when the earliest timer is due."""
        return _earliest(self._due, self.timers)

    def add_subscription(self, tenant: str, subscription: Subscription, place: Place) -> None:
        """Take a subscription to a message or signal."""
        self.subscriptions += 1
        if subscription.is_signal:
            self.listening.setdefault((tenant, subscription.name), {})[subscription.key] = place
        else:
            named = (tenant, subscription.name, subscription.correlation_key)
            self.waiting.setdefault(named, {})[subscription.key] = place

    def remove_subscription(self, tenant: str, subscription: Subscription) -> None:
        """Let go of a subscription."""
        self.subscriptions -= 1
        if subscription.is_signal:
            signal = (tenant, subscription.name)
            listening = self.listening[signal]
            del listening[subscription.key]
            if not listening:
                del self.listening[signal]
            return
        named = (tenant, subscription.name, subscription.correlation_key)
        waiting = self.waiting[named]
        del waiting[subscription.key]
        if not waiting:
            del self.waiting[named]

    def add_message(self, record: MessageRecord) -> None:
        """Take a kept message."""
        callback = record.callback
        named = (callback.tenant, callback.name, callback.correlation_key)
        self.messages.setdefault(named, []).append(record.key)
        self._expiry[record.key] = record.expires_at_ms
        heapq.heappush(self._expiring, (record.expires_at_ms, record.key))

    def remove_message(self, record: MessageRecord) -> None:
        """Let go of a kept message."""
        callback = record.callback
        named = (callback.tenant, callback.name, callback.correlation_key)
        keys = self.messages[named]
        keys.remove(record.key)
        if not keys:
            del self.messages[named]
        del self._expiry[record.key]
        if len(self._expiring) > 64 + 4 * len(self._expiry):
            self._expiring = [(at_ms, key) for key, at_ms in self._expiry.items()]
            heapq.heapify(self._expiring)

    def expired_messages(self, now_ms: int, but: Container[int] = ()) -> list[int]:
        """Return the kept messages whose time is over, the earliest first, up to ``DUE_MAX``, but some."""
        return _due(self._expiring, self._expiry, now_ms, but)

    def next_message_expiry_ms(self) -> int | None:
        """Return when the time of the first kept message is over."""
        return _earliest(self._expiring, self._expiry)


def _earliest(heap: list[tuple[int, int]], known: Container[int]) -> int | None:
    while heap and heap[0][1] not in known:
        heapq.heappop(heap)
    return heap[0][0] if heap else None


def _due(heap: list[tuple[int, int]], known: Container[int], now_ms: int, but: Container[int]) -> list[int]:
    taken: list[tuple[int, int]] = []
    found: list[int] = []
    while heap and heap[0][0] <= now_ms and len(found) < DUE_MAX:
        entry = heapq.heappop(heap)
        if entry[1] in known:
            taken.append(entry)
            if entry[1] not in but:
                found.append(entry[1])
    for entry in taken:  # due until somebody acts on it
        heapq.heappush(heap, entry)
    return found
