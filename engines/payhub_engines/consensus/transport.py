"""How the replicas of a group reach each other, without pysyncobj's own network code."""

from typing import Any, Protocol

from pysyncobj.node import Node
from pysyncobj.transport import Transport as PySyncObjTransport

from payhub_engines.consensus.errors import UnexpectedMessageError
from payhub_engines.consensus.messages import Message, Welcome


class Transport(Protocol):
    """Carries messages to the other replicas of a group. It may lose, repeat and reorder them.

    What arrives goes to ``RaftCore.receive``, with the sender's id as the connection has proved it.
    """

    def send(self, replica: str, message: Message) -> None:
        """Send a message or drop it; never wait, and never fail because a peer is gone."""


class Listener(Protocol):
    """Whom a network tells what happens; a replica. Called in the event loop's thread."""

    def greet(self, peer: str) -> Welcome:
        """Answer a peer that has proved its id, and forget what it said over an earlier connection."""

    def connected(self, peer: str, welcome: Welcome) -> None:
        """Take note that messages reach a peer, and of what it said first."""

    def disconnected(self, peer: str) -> None:
        """Take note that nothing reaches a peer."""

    def received(self, peer: str, message: Message) -> None:
        """Take a message; ``arrived`` follows once all that came together was told."""

    def arrived(self) -> None:
        """Act on what was received."""


class Network(Transport, Protocol):
    """Keeps a replica connected to its peers."""

    async def start(self, listener: Listener) -> None:
        """Listen for peers and look for them.

        Raises:
            ConsensusError: the settings do not allow it, or the address cannot be used.
        """

    async def stop(self) -> None:
        """Close all connections. Stopping twice is allowed."""


class NoTransport:
    """Implements ``Network`` for a group of one: there is nobody to write to."""

    async def start(self, listener: Listener) -> None:
        """Start nothing."""

    async def stop(self) -> None:
        """Stop nothing."""

    def send(self, replica: str, message: Message) -> None:
        """Refuse."""
        raise UnexpectedMessageError(f"Nobody is there to take a {type(message).__name__} for {replica}.")


class LoneTransport(PySyncObjTransport):  # type: ignore[misc] # pysyncobj has no types, so its class is Any
    """pysyncobj's own transport unpickles what anybody sends; this one replaces it."""

    def __init__(self, sync_obj: Any, self_node: Node, other_nodes: set[Node]) -> None:
        if other_nodes:
            raise UnexpectedMessageError("A group of one replica has no other nodes.")
        super().__init__(sync_obj, self_node, other_nodes)

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        """Refuse: there is nobody to send to."""
        raise UnexpectedMessageError(f"Nobody is there to take a {message['type']} for {node.id}.")

    def destroy(self) -> None:
        """Close nothing."""


class PeerTransport(PySyncObjTransport):  # type: ignore[misc] # pysyncobj has no types, so its class is Any
    """Hands what pysyncobj sends to the core, which keeps it until the journal is durable."""

    def __init__(self, sync_obj: Any, self_node: Node, other_nodes: set[Node]) -> None:
        super().__init__(sync_obj, self_node, other_nodes)
        self._core = sync_obj

    def send(self, node: Node, message: dict[str, Any]) -> bool:
        """Keep a message for the end of the tick."""
        self._core.post(node.id, message)
        return True

    def destroy(self) -> None:
        """Close nothing: who made the ``Transport`` closes it."""
