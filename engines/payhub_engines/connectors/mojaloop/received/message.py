"""One message of the switch, its headers checked, and how it becomes a callback."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop import error_codes, messages, ulids
from payhub_engines.connectors.mojaloop.iso20022 import reading
from payhub_engines.connectors.mojaloop.received.names import ANSWER_AGAIN, REFUSE_QUERY
from payhub_engines.connectors.mojaloop.refusal import malformed, not_allowed, unknown_uri
from payhub_engines.connectors.variables import CALLBACK_TIMEOUT, builtin
from payhub_platform import ids
from payhub_platform.contracts.fspiop import ErrorResponse, Message
from payhub_platform.contracts.handover import Callback, Subject
from payhub_platform.contracts.tenant import TenantConfig

ACCEPTED: Final = 202
OK: Final = 200
MESSAGE_TTL_MS: Final = 60_000  # an answer may overtake the commit of the job that asked for it
SUBJECT_VARIABLES: Final = (
    "answeredBy",
    "confirmation",
    "direct",
    "error",
    "fulfilment",
    "ownQuote",
    "paymentState",
    "quote",
    "requesterFsp",
    "transactionId",
    "transactionRequest",
    "transfer",
    "transferResult",
)
"""What ``answer-again`` needs of a payment or a request to pay."""

BULK_SUBJECT_VARIABLES: Final = {
    "bulkQuotes": ("bulkQuote", "error", "ownQuotes", "paymentState", "quotesExpire", "requesterFsp"),
    "bulkTransfers": (
        "bulkTransferFingerprint",
        "bulkTransferId",
        "error",
        "ownQuotes",
        "paymentState",
        "requesterFsp",
        "results",
        "transferItems",
    ),
}
"""What it needs of a bulk, by what is asked for: it could not hold the lists of both."""

RESERVED: Final = ":"  # no key of a client or a peer begins so

DIRECTLY: Final = "direct "  # before the FSP id of who speaks without a switch: no FSPIOP-Source has a space
LOOKUP_TTL_MS: Final = 3_000  # a look-up that is asked again meanwhile must not get an old answer for long

MessageT = TypeVar("MessageT", bound=Message)


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """A translated message: what to correlate (if anything), and the HTTP status that acknowledges it."""

    callback: Callback | None
    status: int


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the switch for a tenant; ``path`` follows the resource, decoded, without ``error``."""

    method: str
    resource: str
    path: list[str]
    is_error: bool
    is_iso: bool
    query_string: str
    headers: Mapping[str, str]
    body: bytes
    source: str
    tenant: TenantConfig
    now_ms: int
    direct: str = ""  # the engine of the institution that speaks, where no switch is between

    @property
    def speaker(self) -> str:
        """Who speaks, as processes know it: directly an institution is another one than by the switch."""
        return f"{DIRECTLY}{self.source}" if self.direct else self.source

    @property
    def way_back(self) -> dict[str, str]:
        """The variable ``direct`` of what is answered directly."""
        return {"direct": self.direct} if self.direct else {}

    @property
    def is_of_switch(self) -> bool:
        """Tell whether the switch itself speaks."""
        return self.source == self.tenant.scheme.switch_fsp_id

    @property
    def fingerprint(self) -> str:
        """What makes the body what it is: the same message again has the same, however it is written."""
        value = messages.parse(self.body)
        if self.is_iso and isinstance(value, dict):
            value.pop("GrpHdr", None)  # says when it was sent; what is agreed stands elsewhere
        return hashlib.sha256(messages.canonical(value)).hexdigest()

    def read(self, kind: type[MessageT]) -> MessageT:
        """Read the body; ISO 20022 contents are transformed into FSPIOP's.

        Raises:
            FspiopRefusal: 3101, 3102 or 3103, with the field.
        """
        if self.is_iso:
            return messages.convert(reading.read(kind, messages.parse(self.body), self.path), kind)
        return messages.decode(self.body, kind)

    def error(self) -> dict[str, str]:
        """Read an ``/error`` body as the variable ``error``."""
        information = self.read(ErrorResponse).error_information
        return refusals.error_value(information.error_code, information.error_description)

    def id(self, name: str) -> str:
        """Return the id that the path ends with; other paths are unknown."""
        if len(self.path) != 1:
            raise unknown_uri()
        return ulids.read(messages.correlation_id(self.path[0], f"/{name}"))

    def require(self, *methods: str) -> None:
        """Refuse what is none of these methods; an error form exists of PUT and PATCH alone."""
        if self.method not in methods or (self.is_error and self.method not in ("PUT", "PATCH")):
            raise not_allowed()

    def callback(self, name: str, key: str, variables: dict[str, Any], **more: Any) -> Callback:
        """Build a callback of this message."""
        return Callback(
            tenant=self.tenant.tenant_id,
            name=name,
            correlation_key=key,
            variables=variables,
            trace=self.headers.get("traceparent", ""),
            **{"ttl_ms": MESSAGE_TTL_MS, **more},
        )

    def answer(self, name: str, key: str, variable: str, kind: type[Message]) -> Inbound:
        """Take an answer: its body in a variable, or the variable ``error``.

        The process believes it only of who may give it, so ``answeredBy`` says who did.
        """
        self.require("PUT")
        told = (
            {"error": self.error()} if self.is_error else {variable: builtin(self.read(kind)), "error": None}
        )
        callback = self.callback(name, key, {**told, "answeredBy": self.speaker})
        return Inbound(callback=callback, status=OK)

    def start(
        self,
        name: str,
        key: str,
        variables: dict[str, Any],
        *,
        process: str,
        payment: str,
        known_as: str = "",
        subject: Subject | None = None,
    ) -> Inbound:
        """Take a request that starts a process once: its id again with another body is refused.

        Where the process is known already and does not wait for the request, ``subject`` says who answers.
        """
        given = {
            **variables,
            **self.way_back,
            "requesterFsp": self.source,
            "receivedAtMs": self.now_ms,
            "switchFsp": self.tenant.scheme.switch_fsp_id,
            "callbackTimeout": CALLBACK_TIMEOUT,
            "error": None,
        }
        callback = self.callback(
            name,
            key,
            given,
            start_process=process,
            payment=payment,
            fingerprint=self.fingerprint,
            ttl_ms=0,
            known_as=known_as,
            subject=subject,
        )
        return Inbound(callback=callback, status=ACCEPTED)

    def look_up(self, name: str, key: str, variables: dict[str, Any], *, process: str) -> Inbound:
        """Take a question that starts a process for each conversation, if nothing waits for it."""
        callback = self.callback(
            name,
            key,
            {**variables, **self.way_back},
            start_process=process,
            payment=ids.derive(name, self.tenant.tenant_id, self.source, key, self.conversation),
            fingerprint=hashlib.sha256(key.encode()).hexdigest(),
            ttl_ms=0,
        )
        return Inbound(callback=callback, status=ACCEPTED)

    @property
    def conversation(self) -> str:
        """What the same message sent again by the switch has as well, and a new one has not.

        Dates are in seconds. So without a trace no two are the same: better twice answered than not at all.
        """
        trace = self.headers.get("traceparent", "") or f"{self.now_ms} "
        return trace + self.headers["date"]

    def query(self, name: str, key: str, process: str = "", known_as: str = "") -> Inbound:
        """Take the question how something of ours stands.

        The instance that it is about answers where it waits for the question; else ``answer-again`` tells
        what it has come to. Where none is known, ``refuse-query`` says so. The variables have names of their
        own, so that a question changes nothing in the instance.

        Args:
            name: of the message.
            key: its correlation key.
            process: of the instance that the question is about; none where no process keeps what it was.
            known_as: the key that the instance is found under; else ``key``.
        """
        code = error_codes.NOT_FOUND_CODES[self.resource]
        refusal = refusals.error_value(code, "It is not known here, or over.")
        asked = self.look_up(name, key, self._questioned(self.path, refusal), process=REFUSE_QUERY)
        if not process or asked.callback is None:
            return asked
        subject = self._subject(process, known_as or key, asked.callback.payment)
        return Inbound(callback=replace(asked.callback, subject=subject), status=asked.status)

    def repeated(
        self, process: str, key: str, resource_id: str, unknown: dict[str, str] | None = None
    ) -> Subject:
        """Say which instance a request repeats, where one is known: ``answer-again`` answers in its place.

        Args:
            process: of the instance.
            key: what it is found under.
            resource_id: of the request.
            unknown: the refusal where no instance is known; none where the request begins one.
        """
        answer_key = ids.derive("again", self.tenant.tenant_id, self.source, resource_id, self.conversation)
        given = self._questioned([resource_id], unknown) | self.way_back
        return replace(self._subject(process, key, answer_key), given=given, or_unknown=unknown is not None)

    def _questioned(self, path: list[str], refusal: dict[str, str] | None) -> dict[str, Any]:
        query = {"resource": self.resource, "path": path}
        return {"query": query, "queriedBy": self.source, "queryRefusal": refusal}

    def _subject(self, process: str, key: str, answer_key: str) -> Subject:
        return Subject(
            process=process,
            key=key,
            variables=list(BULK_SUBJECT_VARIABLES.get(self.resource, SUBJECT_VARIABLES)),
            answer_process=ANSWER_AGAIN,
            answer_key=answer_key,
        )


def known_as(kind: str, given_id: str) -> str:
    """Return what something is found under besides its business key: an id that its payer's side chose."""
    return f"{RESERVED}{kind}/{given_id}"


def check_same(named: str, path: str, where: str) -> None:
    """Check that a body is about what its path names."""
    if named != path:
        raise malformed("It is another than the path's.", where)
