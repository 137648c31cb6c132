"""Quotes: exchanged as others are; the switch learns which payee they are about (FSPIOP 1.1 section 6.5)."""

import msgspec

from payhub_sandbox.switch import bodies
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.exchange import Exchange
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.refusal import QUOTE_NOT_FOUND
from payhub_sandbox.switch.target import Target


class Quotes(Exchange):
    """Tells the weather the payee's identifier of each quote id and of each condition."""

    def __init__(self, context: SwitchContext) -> None:
        super().__init__(context, "quotes", bodies.quote_facts, bodies.check_quote, QUOTE_NOT_FOUND)

    def request(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """POST /quotes."""
        facts = bodies.quote_facts(incoming, target)
        messages = super().request(incoming, target)
        if any(message.method == "POST" for message in messages):
            self._context.weather.remember(facts.key, facts.weather_identifier)
        return messages

    def answer(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT /quotes/{ID} and its /error form."""
        messages = super().answer(incoming, target)
        weather = self._context.weather
        identifier = weather.identifier(target.key)
        if not target.error:
            weather.remember(bodies.condition_of(incoming.body), identifier)
        delay_ms, copies = weather.rule_for(identifier).delay_quote_ms, self._context.copies(identifier)
        return [
            msgspec.structs.replace(
                message, delay_ms=max(delay_ms, message.delay_ms), copies=max(copies, message.copies)
            )
            for message in messages
        ]
