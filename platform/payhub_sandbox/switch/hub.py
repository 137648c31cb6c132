"""The switch as one pure machine: a message in, the messages it causes out."""

from collections.abc import Callable
from typing import Final

from payhub_platform.clock import Clock
from payhub_sandbox.switch import bodies
from payhub_sandbox.switch.bulk import BulkClearing
from payhub_sandbox.switch.clearing import Clearing
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.conversion import Conversions
from payhub_sandbox.switch.exchange import Exchange
from payhub_sandbox.switch.forced import ForcedCases
from payhub_sandbox.switch.headers import check_headers
from payhub_sandbox.switch.lookup import Lookup
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.quotes import Quotes
from payhub_sandbox.switch.refusal import (
    BULK_QUOTE_NOT_FOUND,
    ID_NOT_FOUND,
    QUOTE_NOT_FOUND,
    TRANSACTION_NOT_FOUND,
    TRANSACTION_REQUEST_NOT_FOUND,
    FspiopRefusalError,
)
from payhub_sandbox.switch.signature import PublicKey, check_signature
from payhub_sandbox.switch.target import OperationKey, Target, parse_target
from payhub_sandbox.switch.transfers import TransferBook
from payhub_sandbox.switch.voice import Voice
from payhub_sandbox.switch.windows import SettlementWindows

MESSAGES_PER_REQUEST_MAX: Final = 3
"""No request, and nothing that expires, makes the switch send more different messages than this."""
EXPIRED_PER_TICK_MAX: Final = 64

Operation = Callable[[Incoming, Target], list[Outgoing]]


class Hub:
    """Checks headers and signatures and hands the message to the room that decides it."""

    def __init__(self, private_key_pem: str, clock: Clock, *, forced_cases: bool = False) -> None:
        context = SwitchContext(Voice(private_key_pem, clock), clock, ForcedCases(enabled=forced_cases))
        self.context = context
        self.windows = SettlementWindows(context.participants, clock())
        transfers = TransferBook(context.participants, self.windows)
        self.conversions = Conversions(context, TransferBook(context.participants, self.windows), transfers)
        self.clearing = Clearing(context, transfers, self.conversions)
        self.bulks = BulkClearing(context, transfers)
        self.lookup = Lookup(context)
        self._operations = self._table()

    def _table(self) -> dict[OperationKey, Operation]:
        """Return one row for each operation of payhub_sandbox.switch.target."""
        context, lookup = self.context, self.lookup
        authorizations = Exchange(
            context, "authorizations", bodies.authorization_facts, bodies.check_authorization, ID_NOT_FOUND
        )
        transactions = Exchange(
            context, "transactions", bodies.transaction_facts, bodies.check_transaction, TRANSACTION_NOT_FOUND
        )
        requests = Exchange(
            context,
            "transactionRequests",
            bodies.transaction_request_facts,
            bodies.check_transaction_request,
            TRANSACTION_REQUEST_NOT_FOUND,
        )
        bulk_quotes = Exchange(
            context, "bulkQuotes", bodies.bulk_quote_facts, bodies.check_bulk_quote, BULK_QUOTE_NOT_FOUND
        )
        fx_quotes = Exchange(
            context, "fxQuotes", bodies.fx_quote_facts, bodies.check_fx_quote, QUOTE_NOT_FOUND
        )
        return {
            ("participants", "POST", False): lookup.register,
            ("participants", "GET", False): lookup.find,
            ("participants", "DELETE", False): lookup.unregister,
            ("parties", "GET", False): lookup.ask,
            ("parties", "PUT", False): lookup.answer,
            ("parties", "PUT", True): lookup.answer,
            ("authorizations", "GET", False): authorizations.request,
            ("authorizations", "PUT", False): authorizations.answer,
            ("authorizations", "PUT", True): authorizations.answer,
            ("transactions", "GET", False): transactions.query,
            ("transactions", "PUT", False): transactions.answer,
            ("transactions", "PUT", True): transactions.answer,
            ("services", "GET", False): self.conversions.services,
            **_exchange_rows("transactionRequests", requests),
            **_exchange_rows("quotes", Quotes(context)),
            **_exchange_rows("bulkQuotes", bulk_quotes),
            **_exchange_rows("fxQuotes", fx_quotes),
            **_clearing_rows("transfers", self.clearing),
            **_clearing_rows("bulkTransfers", self.bulks),
            **_clearing_rows("fxTransfers", self.conversions),
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
            _check_signature(incoming, source.public_key)
        return self._operations[target.resource, incoming.method, target.error](incoming, target)

    def expire(self) -> list[Outgoing]:
        """Let time pass: abort what has expired and return who must be told.

        A tick handles at most EXPIRED_PER_TICK_MAX of each kind; the others wait for the next.
        """
        limit = EXPIRED_PER_TICK_MAX
        return [*self.clearing.expire(limit), *self.bulks.expire(limit), *self.conversions.expire(limit)]


def _exchange_rows(resource: str, exchange: Exchange) -> dict[OperationKey, Operation]:
    return {
        (resource, "POST", False): exchange.request,
        (resource, "GET", False): exchange.query,
        (resource, "PUT", False): exchange.answer,
        (resource, "PUT", True): exchange.answer,
    }


def _clearing_rows(
    resource: str, room: Clearing | BulkClearing | Conversions
) -> dict[OperationKey, Operation]:
    return {
        (resource, "POST", False): room.prepare,
        (resource, "GET", False): room.query,
        (resource, "PUT", False): room.fulfil,
        (resource, "PUT", True): room.fail,
    }


def _check_signature(incoming: Incoming, key: PublicKey) -> None:
    if incoming.body or incoming.method != "DELETE":  # what has no body is not signed
        check_signature(incoming.headers, incoming.body, incoming.path, incoming.method, key)
