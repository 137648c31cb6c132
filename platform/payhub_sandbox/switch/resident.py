"""DFSPs that live inside the sandbox: they are told and speak like any other, only without sockets."""

from typing import Protocol

from payhub_sandbox.switch.message import Incoming, Outgoing


class Resident(Protocol):
    """A DFSP or currency provider of the sandbox's own."""

    fsp_id: str

    def receive(self, message: Outgoing) -> list[Incoming]:
        """Take a message of the switch and return what it sends because of it."""

    def refused(self, message: Incoming, error_code: str) -> None:
        """Learn that the switch took nothing of a message, and why: FSPIOP's four digits."""
