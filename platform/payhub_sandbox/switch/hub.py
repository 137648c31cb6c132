"""The switch as one pure machine: a message in, the messages it causes out."""

from collections.abc import Callable
from typing import Final

from payhub_platform.clock import Clock
from payhub_platform.security.jws import SignatureError, verify
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.headers import check_headers
from payhub_sandbox.switch.lookup import Lookup
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.participants import Participant
from payhub_sandbox.switch.quotes import Quotes
from payhub_sandbox.switch.refusal import ID_NOT_FOUND, INVALID_SIGNATURE, FspiopRefusalError
from payhub_sandbox.switch.settlement import Settlement
from payhub_sandbox.switch.target import Target, parse_target
from payhub_sandbox.switch.voice import Voice

MESSAGES_PER_REQUEST_MAX: Final = 2
"""No request, and no expired transfer, makes the switch send more different messages than this."""
EXPIRED_PER_TICK_MAX: Final = 128

Operation = Callable[[Incoming, Target], list[Outgoing]]


class Hub:
    """Checks headers and signatures and hands the message to the room that decides it."""

    def __init__(self, private_key_pem: str, clock: Clock) -> None:
        self.context = SwitchContext(Voice(private_key_pem, clock), clock)
        self.settlement = Settlement(self.context)
        lookup, quotes = Lookup(self.context), Quotes(self.context)
        # One row for each operation of payhub_sandbox.switch.target.
        self._operations: dict[tuple[str, str, bool], Operation] = {
            ("participants", "POST", False): lookup.register,
            ("parties", "GET", False): lookup.ask,
            ("parties", "PUT", False): lookup.answer,
            ("parties", "PUT", True): lookup.answer,
            ("quotes", "POST", False): quotes.request,
            ("quotes", "GET", False): quotes.query,
            ("quotes", "PUT", False): quotes.answer,
            ("quotes", "PUT", True): quotes.answer,
            ("transfers", "POST", False): self.settlement.prepare,
            ("transfers", "GET", False): self.settlement.query,
            ("transfers", "PUT", False): self.settlement.fulfil,
            ("transfers", "PUT", True): self.settlement.fail,
        }

    def receive(self, incoming: Incoming) -> list[Outgoing]:
        """Take a message of a DFSP and return what the switch sends because of it.

        Raises:
            FspiopRefusalError: the message is refused at once; nothing was done.
        """
        target = parse_target(incoming.method, incoming.path)
        check_headers(incoming, target.resource)
        source = self.context.participants.get(incoming.source)
        if source is None:
            raise FspiopRefusalError(ID_NOT_FOUND, "FSPIOP-Source is no participant.")
        if incoming.method != "GET":
            _check_signature(incoming, source)
        return self._operations[target.resource, incoming.method, target.error](incoming, target)

    def expire(self) -> list[Outgoing]:
        """Let time pass: abort what has expired and return who must be told.

        A tick handles at most EXPIRED_PER_TICK_MAX transfers; the others wait for the next.
        """
        return self.settlement.expire(EXPIRED_PER_TICK_MAX)


def _check_signature(incoming: Incoming, source: Participant) -> None:
    try:
        verify(incoming.body, incoming.headers, incoming.path, incoming.method, source.public_key)
    except SignatureError as error:
        raise FspiopRefusalError(INVALID_SIGNATURE, error.detail) from error
