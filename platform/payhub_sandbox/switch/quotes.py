"""Quotes: passed on between DFSPs unchanged (FSPIOP 1.1 section 6.5)."""

from payhub_sandbox.switch import bodies
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.refusal import DESTINATION_FSP_ERROR
from payhub_sandbox.switch.target import Target


class Quotes:
    """Forwards quotes and learns which payee they are about."""

    def __init__(self, context: SwitchContext) -> None:
        self._context = context

    def request(self, incoming: Incoming, _target: Target) -> list[Outgoing]:
        """POST /quotes: pass it on to the payee, or say 3201."""
        quote = bodies.read(bodies.quote_requests, incoming.body)
        quote_id = bodies.correlation_id(quote.quote_id, "quoteId")
        bodies.correlation_id(quote.transaction_id, "transactionId")
        bodies.money(quote.amount, "amount")
        lane = self._context.lane(incoming, quote_id)
        identifier = quote.payee.party_id_info.party_identifier
        self._context.weather.remember(quote_id, identifier)
        if self._context.participants.get(incoming.destination) is None:
            refusal = self._context.voice.refuse(
                incoming.source,
                f"/quotes/{quote_id}",
                DESTINATION_FSP_ERROR,
                "The destination is no participant.",
                lane=lane,
                trace=incoming.trace,
            )
            return [refusal]
        return [self._context.forward(incoming, incoming.destination, lane, identifier=identifier)]

    def query(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """GET /quotes/{ID}: pass it on to the DFSP that gave the quote."""
        destination = self._context.require_destination(incoming)
        return [self._context.forward(incoming, destination, self._context.lane(incoming, target.key))]

    def answer(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /quotes/{ID} and its /error form: pass it on to the payer."""
        weather = self._context.weather
        identifier = weather.identifier(target.key)
        if target.error:
            bodies.read(bodies.errors, incoming.body)
        else:
            quote = bodies.read(bodies.quote_responses, incoming.body)
            bodies.money(quote.transfer_amount, "transferAmount")
            weather.remember(bodies.hash_text(quote.condition, "condition"), identifier)
        payer = self._context.require_destination(incoming)
        lane = self._context.lane(incoming, target.key)
        delay_ms = weather.rule_for(identifier).delay_quote_ms
        return [self._context.forward(incoming, payer, lane, identifier=identifier, delay_ms=delay_ms)]
