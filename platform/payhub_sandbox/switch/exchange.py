"""Resources that DFSPs exchange with each other: the switch passes requests and answers on unchanged.

transactionRequests, authorizations, transactions, bulkQuotes and fxQuotes (FSPIOP 1.1 sections 6.4, 6.6, 6.8
and 6.9, and 2.0); quotes add what the weather wants to know.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec

from payhub_sandbox.switch import bodies
from payhub_sandbox.switch.context import SwitchContext
from payhub_sandbox.switch.forced import ForcedCase
from payhub_sandbox.switch.message import Incoming, Outgoing
from payhub_sandbox.switch.refusal import DESTINATION_FSP_ERROR, MODIFIED_REQUEST
from payhub_sandbox.switch.target import Target

REMEMBERED_MAX: Final = 50_000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was passed on.

    Attributes:
        fingerprint: SHA-256 of its body, to tell a repeat from a change.
        case: what is forced upon its answer.
    """

    asker: str
    answerer: str
    fingerprint: bytes
    case: ForcedCase | None


class Exchange:
    """One resource: POST or GET asks, PUT answers, and each is passed on to the other side.

    Attributes:
        read_request: reads a request into what the switch needs of it.
        check_answer: refuses an answer's body that is malformed.
        not_found: FSPIOP error code of an id that nobody asked with.
    """

    def __init__(
        self,
        context: SwitchContext,
        resource: str,
        read_request: Callable[[Incoming, Target], bodies.Facts],
        check_answer: Callable[[bytes], None],
        not_found: str,
    ) -> None:
        self._context = context
        self._resource = resource
        self._read_request = read_request
        self._check_answer = check_answer
        self._not_found = not_found
        self._asked: OrderedDict[str, Asked] = OrderedDict()

    def request(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """Pass a request on to FSPIOP-Destination; 3201 where that is nobody, 3106 for an id in use.

        Mostly a POST; an OTP is asked for by GET, each try with the same id (section 6.6.3.1).
        """
        facts = self._read_request(incoming, target)
        return self._pass_on(incoming, facts, hashlib.sha256(incoming.body).digest())

    def query(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """GET: pass it on to the DFSP that was asked with this id, or to FSPIOP-Destination."""
        known = self._asked.get(target.key)
        lane = self._context.lane(incoming, target.key)
        destination = incoming.destination
        if known is not None and incoming.source == known.asker:
            destination = known.answerer
        if self._context.participants.get(destination) is None:
            to = self._context.addressee(incoming, lane)
            return [
                self._context.voice.refuse(
                    to, incoming.path, self._not_found, "Nobody was asked with this id."
                )
            ]
        return [self._context.forward(incoming, destination, lane)]

    def answer(self, incoming: Incoming, target: Target) -> list[Outgoing]:
        """PUT and its /error form: pass it on to the DFSP that asked."""
        if target.error:
            bodies.read(bodies.errors, incoming.body)
        else:
            self._check_answer(incoming.body)
        asker = self._context.require_destination(incoming)
        lane = self._context.lane(incoming, target.key)
        known = self._asked.get(target.key)
        case = known.case if known is not None else None
        return self._context.under_case([self._context.forward(incoming, asker, lane)], case)

    def _pass_on(self, incoming: Incoming, facts: bodies.Facts, fingerprint: bytes) -> list[Outgoing]:
        case = self._context.forced.find(self._resource, facts.amounts, facts.identifiers)
        lane = self._context.lane(incoming, facts.key)
        to = self._context.addressee(incoming, lane)
        path = f"/{self._resource}/{facts.key}"
        known = self._asked.get(facts.key)
        if known is not None and (known.asker, known.fingerprint) != (incoming.source, fingerprint):
            return [self._context.voice.refuse(to, path, MODIFIED_REQUEST, "Another request has this id.")]
        if self._context.participants.get(incoming.destination) is None:
            return [
                self._context.voice.refuse(
                    to, path, DESTINATION_FSP_ERROR, "The destination is no participant."
                )
            ]
        self._remember(
            facts.key,
            Asked(asker=incoming.source, answerer=incoming.destination, fingerprint=fingerprint, case=case),
        )
        if case is not None and case.behaviour == "error":
            return [
                self._context.voice.refuse(to, path, case.error_code, "Forced by the amount or identifier.")
            ]
        forwarded = self._context.forward(
            incoming, incoming.destination, lane, identifier=facts.weather_identifier
        )
        return self._context.passed_on(forwarded, case)

    def _remember(self, key: str, asked: Asked) -> None:
        self._asked[key] = asked
        self._asked.move_to_end(key)
        while len(self._asked) > REMEMBERED_MAX:
            self._asked.popitem(last=False)
