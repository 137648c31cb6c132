"""A switch for tests: it routes between institutions, keeps the state of transfers, and has weather."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from payhub_engines.connectors.http import HttpAnswer, UnreachableError
from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_engines.connectors.mojaloop import media_types
from payhub_platform.clock import iso, parse_iso
from payhub_platform.contracts.tenant import SchemeConnection

SWITCH = "switch"
WRONG_FULFILMENT = "A" * 43
LATE_MS = 15_000  # after the wait for an answer, before a transfer expires
VERY_LATE_MS = 150_000  # after everything
_UNKNOWN = {"errorInformation": {"errorCode": "3208", "errorDescription": "unknown"}}
_EXPIRED = {"errorInformation": {"errorCode": "3303", "errorDescription": "expired"}}
_NO = {"errorInformation": {"errorCode": "3100", "errorDescription": "no"}}


@dataclass
class Message:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def name(self) -> str:
        if self.method.startswith("direct"):
            return self.method
        resource = self.path.split("/")[1]
        return f"{self.method} {resource}" + (" error" if self.path.endswith("/error") else "")

    @property
    def content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body) if self.body else {}
        return content


@dataclass
class Transfer:
    """A transfer as the switch keeps it."""

    payer: str
    payee: str
    amount: dict[str, str]
    expires_at_ms: int
    state: str = "RESERVED"
    fulfilment: str = ""


@dataclass
class Switchboard:
    """Routes what institutions send; ``waiting`` is on its way, each with the time of its arrival.

    Attributes:
        scheme: how it is spoken with; one for all institutions.
        weather: a message's name (``notice PUT transfers`` where the switch itself speaks) to what happens to
            one after the other: drop, late, very-late, twice, overtaken, refuse, down, lose-answer, tamper,
            silent. Nothing happens to those beyond.
        numbers: which institution an identifier belongs to.
        decides: whether it commits what is fulfilled.
        expires: whether it aborts what nobody has fulfilled in time.
    """

    scheme: SchemeConnection
    now_ms: Callable[[], int]
    numbers: dict[str, str]
    weather: dict[str, list[str]] = field(default_factory=dict)
    sent: list[Message] = field(default_factory=list)
    waiting: list[tuple[int, str, Message]] = field(default_factory=list)
    transfers: dict[str, Transfer] = field(default_factory=dict)
    decides: bool = True
    expires: bool = False
    notices: list[str] = field(default_factory=list)

    def take(self, message: Message) -> HttpAnswer:
        """Take a message from an institution."""
        self.sent.append(message)
        fate = self.fate(message.name)
        if fate == "refuse":
            return HttpAnswer(status=400, body=json.dumps(_NO).encode())
        if fate == "down":
            raise UnreachableError("down")
        if fate != "drop":
            self.route(message, fate)
        if fate == "twice":
            self.route(message, "")
        if fate == "lose-answer":
            raise UnreachableError("connection lost")
        return HttpAnswer(status=202)

    def route(self, message: Message, fate: str = "") -> None:
        """Do with a message what a switch does."""
        source = message.headers["fspiop-source"]
        body = message.content
        match message.name:
            case "GET parties":
                self._look_up(message, fate)
            case "POST transfers":
                self._prepare(message, body, fate)
            case "PUT transfers":
                self._fulfil(message, body, fate)
            case "PUT transfers error":
                self._abort(message, fate)
            case "GET transfers":
                self.tell(message.path.split("/")[2], source, "PUT", fate)
            case _:
                self.forward(message.headers["fspiop-destination"], message, fate)

    def forward(self, fsp: str, message: Message, fate: str = "") -> None:
        """Pass a message on."""
        headers = {**message.headers, "fspiop-destination": fsp}
        self._post(fsp, Message(message.method, message.path, headers, message.body), fate)

    def say(
        self, method: str, path: str, body: dict[str, Any], fsp: str, *, source: str = SWITCH, fate: str = ""
    ) -> None:
        """Put a message on its way to an institution, whoever claims to have sent it."""
        headers = {
            "content-type": media_types.written(path.split("/")[1], self.scheme),
            "date": fspiop_headers.format_date(self.now_ms()),
            "fspiop-source": source,
            "fspiop-destination": fsp,
        }
        self._post(fsp, Message(method, path, headers, json.dumps(body).encode()), fate)

    def tell(self, transfer_id: str, fsp: str, method: str, fate: str = "") -> None:
        """Tell an institution how a transfer stands."""
        transfer = self._current(transfer_id)
        if transfer is None:
            self.say("PUT", f"/transfers/{transfer_id}/error", _UNKNOWN, fsp, fate=fate)
            return
        told = {"transferState": transfer.state, "completedTimestamp": iso(self.now_ms())}
        if transfer.state == "COMMITTED" and method == "PUT":
            told["fulfilment"] = transfer.fulfilment
        self.say(method, f"/transfers/{transfer_id}", told, fsp, fate=fate)

    def due(self) -> tuple[str, Message] | None:
        """Take the next message that has arrived."""
        for index, (at_ms, fsp, message) in enumerate(self.waiting):
            if at_ms <= self.now_ms():
                del self.waiting[index]
                return fsp, message
        return None

    def fate(self, name: str) -> str:
        """Return what happens to the next message of a name."""
        fates = self.weather.get(name, [])
        return fates.pop(0) if fates else ""

    def _post(self, fsp: str, message: Message, fate: str) -> None:
        at_ms = self.now_ms()
        if fate in ("late", "very-late"):
            at_ms += LATE_MS if fate == "late" else VERY_LATE_MS
        if fate == "overtaken":
            at_ms += 1  # whatever else is on its way arrives first
        self.waiting.append((at_ms, fsp, message))

    def _look_up(self, message: Message, fate: str) -> None:
        kind, identifier = message.path.split("/")[2:4]
        fsp = self.numbers.get(f"{kind}/{identifier}")
        if fsp is None:
            told = {"errorInformation": {"errorCode": "3204", "errorDescription": "unknown"}}
            source = message.headers["fspiop-source"]
            self.say("PUT", f"{message.path}/error", told, source, fate=fate)
        else:
            self.forward(fsp, message, fate)

    def _prepare(self, message: Message, body: dict[str, Any], fate: str) -> None:
        transfer_id = body["transferId"]
        if transfer_id not in self.transfers:
            expires_at_ms = parse_iso(body["expiration"])
            if expires_at_ms <= self.now_ms():
                self.say("PUT", f"/transfers/{transfer_id}/error", _EXPIRED, body["payerFsp"])
                return
            made = Transfer(body["payerFsp"], body["payeeFsp"], body["amount"], expires_at_ms)
            self.transfers[transfer_id] = made
            self.forward(made.payee, message, fate)

    def _current(self, transfer_id: str) -> Transfer | None:
        transfer = self.transfers.get(transfer_id)
        is_open = transfer is not None and transfer.state == "RESERVED" and self.decides
        if is_open and transfer.expires_at_ms <= self.now_ms() and self.expires:
            transfer.state = "ABORTED"
        return transfer

    def _fulfil(self, message: Message, body: dict[str, Any], fate: str) -> None:
        transfer_id = message.path.split("/")[2]
        transfer = self._current(transfer_id)
        if transfer is None or not self.decides or transfer.state != "RESERVED" or "fulfilment" not in body:
            return
        transfer.state, transfer.fulfilment = "COMMITTED", body["fulfilment"]
        if fate == "tamper":
            told = {"transferState": "COMMITTED", "fulfilment": WRONG_FULFILMENT}
            self.say("PUT", f"/transfers/{transfer_id}", told, transfer.payer)
        elif fate != "silent":
            self._notify(transfer_id, transfer.payer, "PUT")
            self._notify(transfer_id, transfer.payee, "PATCH")

    def _notify(self, transfer_id: str, fsp: str, method: str) -> None:
        name = f"notice {method} transfers"
        self.notices.append(name)
        fate = self.fate(name)
        if fate != "drop":
            self.tell(transfer_id, fsp, method, fate)
        if fate == "twice":
            self.tell(transfer_id, fsp, method)

    def _abort(self, message: Message, fate: str) -> None:
        transfer = self.transfers.get(message.path.split("/")[2])
        if transfer is not None and transfer.state == "RESERVED":
            transfer.state = "ABORTED"
            self.forward(transfer.payer, message, fate)
