"""The transport of a group of one replica: it has no peers, opens no socket and reads nothing."""

from typing import Any

from pysyncobj.node import Node
from pysyncobj.transport import Transport

from payhub_engines.consensus.errors import UnexpectedMessageError


class LoneTransport(Transport):  # type: ignore[misc] # pysyncobj has no types, so its class is Any
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
