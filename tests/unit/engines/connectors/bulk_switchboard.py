"""The switch for tests with bulks: reserved together, committed one by one, and told to who asks."""

from dataclasses import dataclass, field
from typing import Any

from unit.engines.connectors.switchboard import WRONG_FULFILMENT, Message, Switchboard

from payhub_engines.connectors.mojaloop import ilp
from payhub_platform.clock import iso, parse_iso

_UNKNOWN = {"errorInformation": {"errorCode": "3210", "errorDescription": "unknown"}}
_EXPIRED = {"errorInformation": {"errorCode": "3303", "errorDescription": "expired"}}


@dataclass
class Bulk:
    """A bulk as the switch keeps it; ``results`` by transferId, once it is final."""

    payer: str
    payee: str
    transfers: list[dict[str, Any]]
    expires_at_ms: int
    state: str = "RECEIVED"
    results: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class BulkSwitchboard(Switchboard):
    """Also knows bulks; ``tells_payees``: it says by PATCH what it has committed, as FSPIOP does not ask."""

    bulks: dict[str, Bulk] = field(default_factory=dict)
    tells_payees: bool = False

    def route(self, message: Message, fate: str = "") -> None:
        body = message.content
        match message.name:
            case "POST bulkTransfers":
                self._prepare_bulk(message, body, fate)
            case "PUT bulkTransfers":
                self._fulfil_bulk(message, body, fate)
            case "PUT bulkTransfers error":
                self._abort_bulk(message, fate)
            case "GET bulkTransfers":
                self.tell_bulk(message.path.split("/")[2], message.headers["fspiop-source"], "PUT", fate)
            case _:
                super().route(message, fate)

    def tell_bulk(self, bulk_id: str, fsp: str, method: str, fate: str = "") -> None:
        """Tell an institution how a bulk stands."""
        bulk = self._current_bulk(bulk_id)
        if bulk is None:
            self.say("PUT", f"/bulkTransfers/{bulk_id}/error", _UNKNOWN, fsp, fate=fate)
        elif bulk.state == "EXPIRED":
            self.say("PUT", f"/bulkTransfers/{bulk_id}/error", _EXPIRED, fsp, fate=fate)
        else:
            told: dict[str, Any] = {"bulkTransferState": bulk.state}
            if bulk.results:
                told["individualTransferResults"] = list(bulk.results.values())
                told["completedTimestamp"] = iso(self.now_ms())
            self.say(method, f"/bulkTransfers/{bulk_id}", told, fsp, fate=fate)

    def committed(self, bulk_id: str) -> set[str]:
        """Return the transfers of a bulk that the scheme has committed."""
        bulk = self._current_bulk(bulk_id)
        return set() if bulk is None else {key for key, one in bulk.results.items() if "fulfilment" in one}

    def _prepare_bulk(self, message: Message, body: dict[str, Any], fate: str) -> None:
        bulk_id, expires_at_ms = body["bulkTransferId"], parse_iso(body["expiration"])
        if bulk_id in self.bulks:
            return
        if expires_at_ms <= self.now_ms():
            self.say("PUT", f"/bulkTransfers/{bulk_id}/error", _EXPIRED, body["payerFsp"])
            return
        made = Bulk(body["payerFsp"], body["payeeFsp"], body["individualTransfers"], expires_at_ms)
        self.bulks[bulk_id] = made
        self.forward(made.payee, message, fate)

    def _fulfil_bulk(self, message: Message, body: dict[str, Any], fate: str) -> None:
        bulk_id = message.path.split("/")[2]
        bulk = self._current_bulk(bulk_id)
        if bulk is None or not self.decides or bulk.state != "RECEIVED":
            return
        bulk.state = body["bulkTransferState"]
        told = {one["transferId"]: one for one in body["individualTransferResults"]}
        for transfer in bulk.transfers:
            result = told[transfer["transferId"]]
            if "fulfilment" in result and not ilp.fulfils(result["fulfilment"], transfer["condition"]):
                error = {"errorCode": "5000", "errorDescription": "it does not fit"}
                result = {"transferId": transfer["transferId"], "errorInformation": error}
            bulk.results[transfer["transferId"]] = result
        if fate == "tamper":
            rows = [{"transferId": key, "fulfilment": WRONG_FULFILMENT} for key in bulk.results]
            tampered = {"bulkTransferState": "COMPLETED", "individualTransferResults": rows}
            self.say("PUT", f"/bulkTransfers/{bulk_id}", tampered, bulk.payer)
        elif fate != "silent":
            self.forward(bulk.payer, message, fate)
            if self.tells_payees:
                self.tell_bulk(bulk_id, bulk.payee, "PATCH")

    def _abort_bulk(self, message: Message, fate: str) -> None:
        bulk = self._current_bulk(message.path.split("/")[2])
        if bulk is not None and bulk.state == "RECEIVED":
            bulk.state = "EXPIRED"
            self.forward(bulk.payer, message, fate)

    def _current_bulk(self, bulk_id: str) -> Bulk | None:
        bulk = self.bulks.get(bulk_id)
        is_open = bulk is not None and bulk.state == "RECEIVED" and self.decides
        if bulk is not None and is_open and bulk.expires_at_ms <= self.now_ms() and self.expires:
            bulk.state = "EXPIRED"
        return bulk
