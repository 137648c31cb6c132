"""Replicas over TCP: mutual TLS, frames of msgpack, bounded buffers, connections that come back.

Each replica dials every other one, and writes only to connections that it made: two for each pair. A
connection begins with a ``Hello`` and its ``Welcome``. What does not belong there ends the connection,
never the replica. Nothing is ever unpickled.

    frame = length(u32, big-endian) msgpack
"""

import asyncio
import contextlib
import logging
import random
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from typing import Final, cast

from payhub_engines.consensus import messages
from payhub_engines.consensus.errors import ConsensusError, PeerRefusedError
from payhub_engines.consensus.group import Address, Group, replica_of, tls_contexts
from payhub_engines.consensus.messages import MESSAGE_BYTES_MAX, Hello, Message, Welcome
from payhub_engines.consensus.transport import Listener
from payhub_platform import cancellation

_logger = logging.getLogger(__name__)

GREETING_BYTES_MAX: Final = 4096
SEND_BUFFER_BYTES_MAX: Final = 32 * 1024 * 1024
SOCKET_BUFFER_BYTES: Final = 1024 * 1024  # or what the system allows: a batch goes out in one piece
CONNECTIONS_MAX: Final = 64  # accepted, proved or not
GREETING_S: Final = 3.0
DIAL_S: Final = 3.0
BACK_OFF_MIN_S: Final = 0.05
BACK_OFF_MAX_S: Final = 1.0
UNACKNOWLEDGED_MS_MAX: Final = 5_000
_LENGTH: Final = struct.Struct(">I")


class Frames(asyncio.Protocol):
    """Cuts what arrives into frames. The first one is a greeting and short."""

    def __init__(self, on_open: Callable[["Frames"], None]) -> None:
        self._on_open = on_open
        self._buffer = bytearray()
        self._bytes_max = GREETING_BYTES_MAX
        self.transport: asyncio.Transport | None = None
        self.take: Callable[[bytes], None] = lambda _: None
        self.taken: Callable[[], None] = lambda: None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(SEND_BUFFER_BYTES_MAX)
        _tune(self.transport)
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes; what is no frame ends the connection."""
        buffer = self._buffer
        buffer += data
        offset = 0
        try:
            while len(buffer) - offset >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(buffer, offset)
                if length > self._bytes_max:
                    raise PeerRefusedError(f"A frame of {length} bytes is too long.")
                begin, end = offset + _LENGTH.size, offset + _LENGTH.size + length
                if end > len(buffer):
                    break
                with memoryview(buffer) as view:
                    frame = bytes(view[begin:end])
                offset = end
                self.take(frame)
            if offset:
                self.taken()
        except ConsensusError as error:
            _logger.warning("a connection is closed: %s", error)
            self.abort()
        finally:
            del buffer[:offset]

    def connection_lost(self, _: Exception | None) -> None:
        """End."""
        if not self.closed.done():
            self.closed.set_result(None)

    def expect_messages(self) -> None:
        """Allow frames of any message's length: the peer has proved who it is."""
        self._bytes_max = MESSAGE_BYTES_MAX

    def write(self, frame: bytes) -> bool:
        """Write a frame, length and all; where too much waits already, end the connection: False."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(frame) > SEND_BUFFER_BYTES_MAX:
            _logger.warning("a peer does not read; what waits for it is dropped")
            self.abort()
            return False
        transport.write(frame)
        return True

    def abort(self) -> None:
        """Close at once."""
        if self.transport is not None:
            self.transport.abort()


class TcpNetwork:
    """Implements ``Network``."""

    def __init__(self, group: Group) -> None:
        """Prepare; ``start`` opens sockets.

        Raises:
            GroupSettingsError: the group would not work, or not be safe.
        """
        group.check()
        self._group = group
        self._peers = {name: at for name, at in group.addresses.items() if name != group.replica}
        self._listener: Listener | None = None
        self._server: asyncio.Server | None = None
        self._contexts: tuple[ssl.SSLContext, ssl.SSLContext] | None = None
        self._dialed: dict[str, Frames] = {}
        self._accepted: dict[str, Frames] = {}
        self._open: set[Frames] = set()
        self._redial: dict[str, asyncio.Event] = {peer: asyncio.Event() for peer in self._peers}
        self._tasks: list[asyncio.Task[None]] = []
        self._encoded: tuple[Message, bytes] | None = None

    async def start(self, listener: Listener) -> None:
        """Listen, and dial the others for ever.

        Raises:
            ConsensusError: certificates or address cannot be used.
        """
        self._listener = listener
        if self._group.certificates is not None:
            self._contexts = tls_contexts(self._group.certificates)
        mine = self._group.addresses[self._group.replica]
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: Frames(self._accept),
                mine.host,
                mine.port,
                ssl=None if self._contexts is None else self._contexts[0],
                ssl_handshake_timeout=None if self._contexts is None else GREETING_S,
            )
        except OSError as error:
            detail = f"Replica {self._group.replica} cannot listen on {mine.host}:{mine.port}: {error}."
            raise PeerRefusedError(detail) from error
        self._tasks = [
            asyncio.create_task(self._keep(peer, address), name=f"peer-{peer}")
            for peer, address in self._peers.items()
        ]

    def send(self, replica: str, message: Message) -> None:
        """Send a message or drop it; the same one to several peers is encoded once."""
        frames = self._dialed.get(replica)
        if frames is None:
            return
        if self._encoded is None or self._encoded[0] is not message:
            self._encoded = (message, _framed(message))
        frames.write(self._encoded[1])

    async def stop(self) -> None:
        """Close all connections. Stopping twice is allowed."""
        await cancellation.end(self._tasks)
        self._tasks = []
        if self._server is not None:
            self._server.close()
        for frames in list(self._open):
            frames.abort()
        self._dialed.clear()

    # Connections that others make.

    def _accept(self, frames: Frames) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            frames.abort()
            return
        self._open.add(frames)
        deadline = asyncio.get_running_loop().call_later(GREETING_S, frames.abort)

        def take_hello(data: bytes) -> None:
            peer = self._check_hello(frames, messages.decode_hello(data))
            deadline.cancel()
            self._greet(peer, frames)

        def end(_: object) -> None:
            deadline.cancel()
            self._open.discard(frames)

        frames.take = take_hello
        frames.closed.add_done_callback(end)

    def _greet(self, peer: str, frames: Frames) -> None:
        listener = self._listener
        before = self._accepted.get(peer)
        if before is not None:
            before.take = lambda _: None
            before.taken = lambda: None
            before.abort()
        self._accepted[peer] = frames
        if listener is None:
            return
        frames.expect_messages()
        frames.take = lambda data: listener.received(peer, messages.decode(data))
        frames.taken = listener.arrived
        frames.write(_framed(listener.greet(peer)))
        self._redial[peer].set()  # it lives: no need to wait longer before dialing it

    def _check_hello(self, frames: Frames, hello: Hello) -> str:
        group = self._group
        proved = self._proved(frames)
        if proved is not None and proved != hello.replica:
            raise PeerRefusedError(f"Replica {proved} says that it is {hello.replica}.")
        if (hello.cluster, hello.to, hello.version) != (group.cluster, group.replica, 1):
            detail = f"{hello.replica} looks for replica {hello.to} of {hello.cluster}"
            raise PeerRefusedError(f"{detail}; this is {group.replica} of {group.cluster}.")
        if hello.replica not in self._peers:
            raise PeerRefusedError(f"Replica {hello.replica} is no member of this group.")
        if hello.members != sorted(group.addresses):
            detail = f"Replica {hello.replica} names other members: {', '.join(hello.members)}."
            raise PeerRefusedError(detail)
        return hello.replica

    def _proved(self, frames: Frames) -> str | None:
        """Return who a connection's certificate belongs to; None where there are no certificates."""
        if self._contexts is None or frames.transport is None:
            return None
        return replica_of(frames.transport.get_extra_info("peercert"), self._group.cluster)

    def _check_answerer(self, peer: str, frames: Frames) -> None:
        proved = self._proved(frames)
        if proved is not None and proved != peer:
            raise PeerRefusedError(f"Replica {proved} answers at the address of {peer}.")

    # Connections that this replica makes.

    async def _keep(self, peer: str, address: Address) -> None:
        """Keep a connection to a peer, dialing again ever more slowly while it does not answer."""
        back_off_s = BACK_OFF_MIN_S
        while True:
            self._redial[peer].clear()
            if await self._hold(peer, address):
                back_off_s = BACK_OFF_MIN_S
            wait_s = back_off_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
            with contextlib.suppress(TimeoutError):
                # Not wait_for: until Python 3.12 it may swallow the cancellation that stops this task.
                async with asyncio.timeout(wait_s):
                    await self._redial[peer].wait()
            back_off_s = min(2 * back_off_s, BACK_OFF_MAX_S)

    async def _hold(self, peer: str, address: Address) -> bool:
        """Connect and stay connected; return whether the peer had answered."""
        frames: Frames | None = None
        is_told = False
        try:
            async with asyncio.timeout(DIAL_S):
                frames, welcome = await self._dial(peer, address)
            self._dialed[peer] = frames
            is_told = True
            if self._listener is not None:
                self._listener.connected(peer, welcome)
            await asyncio.shield(frames.closed)
        except (OSError, TimeoutError, ConsensusError) as error:
            level = logging.WARNING if isinstance(error, ConsensusError | ssl.SSLError) else logging.DEBUG
            _logger.log(level, "replica %s at %s:%d: %s", peer, *address, error)
        finally:
            if frames is not None:
                frames.abort()
            if is_told:
                self._dialed.pop(peer, None)
                if self._listener is not None:
                    self._listener.disconnected(peer)
        return is_told

    async def _dial(self, peer: str, address: Address) -> tuple[Frames, Welcome]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Welcome] = loop.create_future()
        context = None if self._contexts is None else self._contexts[1]
        _, frames = await loop.create_connection(
            lambda: Frames(lambda _: None),
            address.host,
            address.port,
            ssl=context,
            server_hostname=None if context is None else address.host,
        )
        try:
            self._check_answerer(peer, frames)
            frames.take = lambda data: _settle(answer, data)
            frames.closed.add_done_callback(lambda _: _close_answer(answer))
            members = sorted(self._group.addresses)
            frames.write(_framed(Hello(self._group.cluster, self._group.replica, peer, members)))
            return frames, await answer
        except BaseException:
            frames.abort()
            raise


def _framed(message: Message | Hello | Welcome) -> bytes:
    return messages.encode_after(_LENGTH, message)


def _settle(answer: asyncio.Future[Welcome], data: bytes) -> None:
    if answer.done():
        raise PeerRefusedError("Nothing is to be said on this connection.")
    answer.set_result(messages.decode_welcome(data))


def _close_answer(answer: asyncio.Future[Welcome]) -> None:
    if not answer.done():
        answer.set_exception(PeerRefusedError("It has closed the connection; its log file says why."))


def _tune(transport: asyncio.Transport) -> None:
    """Send at once, and notice within seconds where nobody acknowledges."""
    found = transport.get_extra_info("socket")
    if found is not None:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        if sys.platform == "linux":
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS_MAX)
