"""Connections between replicas: made, broken, silent, slow, and what they carry lost or repeated."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

from simulation.engine_loop import Life

from payhub_engines.consensus.messages import Message, Welcome, decode, encode
from payhub_engines.consensus.transport import Listener

DELAY_MS_MAX = 6
LOOK_MS = 60
SILENT_MS_MAX = 3_000  # then the kernel gives a connection up


class End:
    """Implements ``Network`` for one life of one replica."""

    def __init__(self, hub: "Hub", name: str, members: list[str], life: Life) -> None:
        self.hub = hub
        self.name = name
        self.members = members
        self.life = life
        self.listener: Listener | None = None

    @property
    def is_open(self) -> bool:
        return self.listener is not None and not self.life.is_dying

    async def start(self, listener: Listener) -> None:
        self.listener = listener
        self.hub.ends[self.name] = self

    async def stop(self) -> None:
        self.listener = None

    def send(self, replica: str, message: Message) -> None:
        self.hub.send(self, replica, message)


@dataclass
class _Connection:
    """What ``dialer`` has to say to ``answerer``."""

    dialer: End
    answerer: End
    is_up: bool = False
    last_at_ms: float = 0.0
    silent_since_ms: float | None = None


class Hub:
    """All connections of a group.

    Attributes:
        loss, repeat, slow: chance of each message to be lost, sent twice, or long on its way.
        is_ordered: whether messages of a connection arrive in order, as with TCP.
        blocked: pairs of replicas between which nothing arrives, each in one direction.
    """

    def __init__(self, chooser: random.Random, seen: Counter[str]) -> None:
        self.chooser = chooser
        self.seen = seen
        self.loss = self.repeat = self.slow = 0.0
        self.slow_ms_max = 900
        self.is_ordered = True
        self.blocked: set[tuple[str, str]] = set()
        self.ends: dict[str, End] = {}
        self._connections: dict[tuple[str, str], _Connection] = {}
        self._untold: dict[tuple[str, str], End] = {}  # dialers that have yet to hear that one has ended

    def heal(self) -> None:
        self.loss = self.repeat = self.slow = 0.0
        self.is_ordered = True
        self.blocked.clear()

    async def run(self) -> None:
        """Make connections and notice broken ones, for ever."""
        while True:
            for end in list(self.ends.values()):
                if not end.is_open:
                    del self.ends[end.name]
            for connection in list(self._connections.values()):
                self._look(connection)
            for dialer in list(self.ends.values()):
                for answerer in list(self.ends.values()):
                    self._dial(dialer, answerer)
            await asyncio.sleep(self.chooser.uniform(0.2, 1) * LOOK_MS / 1000)

    def cut(self, one: str, other: str) -> None:
        """End the connections between two, and tell both."""
        for pair in ((one, other), (other, one)):
            connection = self._connections.get(pair)
            if connection is not None:
                self._close(connection)

    def send(self, end: End, replica: str, message: Message) -> None:
        connection = self._connections.get((end.name, replica))
        if not end.is_open or connection is None or connection.dialer is not end or not connection.is_up:
            return
        data = encode(message)
        for _ in range(2 if self.chooser.random() < self.repeat else 1):
            if self.chooser.random() < self.loss:
                self.seen["message lost"] += 1
            else:
                self._carry(connection, data)

    def _carry(self, connection: _Connection, data: bytes) -> None:
        is_slow = self.chooser.random() < self.slow
        delay_ms = self.chooser.uniform(0.1, self.slow_ms_max if is_slow else DELAY_MS_MAX)
        if self.is_ordered:
            now_ms = asyncio.get_running_loop().time() * 1000
            connection.last_at_ms = max(connection.last_at_ms + 0.001, now_ms + delay_ms)
            delay_ms = connection.last_at_ms - now_ms
        connection.answerer.life.after(delay_ms, self._arrive, connection, data)

    def _arrive(self, connection: _Connection, data: bytes) -> None:
        dialer, answerer = connection.dialer, connection.answerer
        if (dialer.name, answerer.name) in self.blocked:
            self.seen["message blocked"] += 1
        elif answerer.is_open and answerer.listener is not None and self._is_current(connection):
            answerer.listener.received(dialer.name, decode(data))
            answerer.listener.arrived()

    def _is_current(self, connection: _Connection) -> bool:
        return self._connections.get((connection.dialer.name, connection.answerer.name)) is connection

    def _is_blocked(self, connection: _Connection) -> bool:
        one, other = connection.dialer.name, connection.answerer.name
        return (one, other) in self.blocked or (other, one) in self.blocked

    def _look(self, connection: _Connection) -> None:
        now_ms = asyncio.get_running_loop().time() * 1000
        is_blocked = self._is_blocked(connection)
        is_whole = connection.dialer.is_open and connection.answerer.is_open
        if is_whole and not is_blocked:
            connection.silent_since_ms = None
            return
        if connection.silent_since_ms is None:
            connection.silent_since_ms = now_ms
        if not is_blocked or now_ms - connection.silent_since_ms > SILENT_MS_MAX:
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        dialer, pair = connection.dialer, (connection.dialer.name, connection.answerer.name)
        del self._connections[pair]
        if connection.is_up:
            self._untold[pair] = dialer
            dialer.life.after(self.chooser.uniform(0.1, DELAY_MS_MAX), self._tell_closed, connection)

    def _tell_closed(self, connection: _Connection) -> None:
        dialer, listener = connection.dialer, connection.dialer.listener
        self._untold.pop((dialer.name, connection.answerer.name), None)
        if listener is not None:
            listener.disconnected(connection.answerer.name)

    def _dial(self, dialer: End, answerer: End) -> None:
        pair = (dialer.name, answerer.name)
        if dialer is answerer or pair in self._connections or dialer.members != answerer.members:
            return
        if self._untold.get(pair) is dialer:
            return
        connection = _Connection(dialer, answerer)
        if not self._is_blocked(connection) and not dialer.life.is_paused:
            self._connections[pair] = connection
            answerer.life.after(self.chooser.uniform(0.1, DELAY_MS_MAX), self._greet, connection)

    def _greet(self, connection: _Connection) -> None:
        listener = connection.answerer.listener
        if listener is not None and self._is_current(connection):
            welcome = listener.greet(connection.dialer.name)
            delay_ms = self.chooser.uniform(0.1, DELAY_MS_MAX)
            connection.dialer.life.after(delay_ms, self._connected, connection, welcome)

    def _connected(self, connection: _Connection, welcome: Welcome) -> None:
        dialer = connection.dialer
        if dialer.listener is not None and self._is_current(connection):
            connection.is_up = True
            dialer.listener.connected(connection.answerer.name, welcome)
