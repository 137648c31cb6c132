"""Conversations, and the lane of callback URLs that each one uses.

A participant may list several callback URLs, the first being its own engine's. Each conversation is
given the next lane in turn, so that with two URLs half of the callbacks reach the engine that does not
own the payment, as happens behind a scheme's load balancer.
"""

import re
from collections import Counter, OrderedDict
from typing import Final

CONVERSATIONS_MAX: Final = 100_000

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class Conversations:
    """Remembers the lane of a trace id or resource id; forgets the least recently used."""

    def __init__(self, capacity: int = CONVERSATIONS_MAX) -> None:
        self._lanes: OrderedDict[str, int] = OrderedDict()
        self._capacity = capacity
        self._per_lane: Counter[int] = Counter()
        self.total = 0

    def lane_of(self, traceparent: str, resource_key: str, lanes: int, *, opens: bool) -> int:
        """Return the lane of a message, starting a conversation when it belongs to none.

        The trace id decides; without one, the id of the resource. What opens an exchange leaves its
        lane with the resource, so that an answer that lost its trace stays in its conversation.

        Args:
            traceparent: W3C traceparent, or empty.
            resource_key: quote id, transfer id, or who asked for which party.
            lanes: over how many lanes new conversations are spread.
            opens: the message asks; an answer is looked for under the resource as well.
        """
        found = _TRACEPARENT.fullmatch(traceparent)
        trace_keys = [f"trace:{found[1]}"] if found else []
        keys = [*trace_keys, f"resource:{resource_key}"]
        searched = trace_keys if opens and trace_keys else keys
        lane = next((self._lanes[key] for key in searched if key in self._lanes), None)
        if lane is None:
            lane = self.total % lanes
            self.total += 1
            self._per_lane[lane] += 1
        for key in keys:
            self._lanes[key] = lane
            self._lanes.move_to_end(key)
        while len(self._lanes) > self._capacity:
            self._lanes.popitem(last=False)
        return lane

    def per_lane(self) -> dict[int, int]:
        """Return how many conversations each lane was given."""
        return dict(sorted(self._per_lane.items()))
