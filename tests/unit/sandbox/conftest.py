"""A switch with three DFSPs, a clock that tests move, and signed messages."""

import base64
import hashlib
import json
from email.utils import formatdate

import pytest

from payhub_platform.clock import iso
from payhub_platform.security.jws import load_private_key, new_private_key_pem, public_pem, sign
from payhub_sandbox.switch.hub import Hub
from payhub_sandbox.switch.message import Incoming
from payhub_sandbox.switch.participants import Registration

START_MS = 1_790_000_000_000
TRANSFER_ID = "11111111-1111-4111-8111-111111111111"
FULFILMENT = base64.urlsafe_b64encode(b"f" * 32).rstrip(b"=").decode()
CONDITION = base64.urlsafe_b64encode(hashlib.sha256(b"f" * 32).digest()).rstrip(b"=").decode()


class MovingClock:
    def __init__(self):
        self.now_ms = START_MS

    def __call__(self):
        return self.now_ms


class Dfsp:
    """Writes signed FSPIOP messages of one DFSP."""

    def __init__(self, fsp_id, clock, key_pem):
        self.fsp_id = fsp_id
        self.pem = key_pem
        self._key = load_private_key(key_pem)
        self._clock = clock

    def message(
        self, method, path, body=None, *, to="", trace="", signed=True, version="1.1", query="", **headers
    ):
        resource = path.split("/")[1]
        media = f"application/vnd.interoperability.{resource}+json;version={version}"
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        sent = {"Content-Type": media, "Date": formatdate(self._clock() / 1000, usegmt=True)}
        sent["FSPIOP-Source"] = self.fsp_id
        if method in ("GET", "POST", "DELETE"):
            sent["Accept"] = media.replace("1.1", "1")
        if to:
            sent["FSPIOP-Destination"] = to
        if data and signed:
            sent |= sign(data, sent, path, method, self._key)
        if trace:
            sent["traceparent"] = trace
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        lower = {name.lower(): value for name, value in sent.items() if value}
        return Incoming(method=method, path=path, headers=lower, body=data, query=query)

    def prepare(self, payee="rhino", transfer_id=TRANSFER_ID, amount="100", ttl_ms=30_000, **fields):
        body = {
            "transferId": transfer_id,
            "payerFsp": self.fsp_id,
            "payeeFsp": payee,
            "amount": {"currency": "KES", "amount": amount},
            "ilpPacket": "AYIB",
            "condition": CONDITION,
            "expiration": iso(self._clock() + ttl_ms),
            **fields,
        }
        return self.message("POST", "/transfers", body, to=payee, trace=trace_of(7))

    def fulfil(self, state="RESERVED", fulfilment=FULFILMENT, payer="buffalo", transfer_id=TRANSFER_ID):
        body = {"fulfilment": fulfilment, "transferState": state}
        return self.message("PUT", f"/transfers/{transfer_id}", body, to=payer, trace=trace_of(7))

    def quote(self, quote_id=TRANSFER_ID, payee="rhino", msisdn="254700300001", trace=""):
        def party(number):
            return {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": number}}

        body = {
            "quoteId": quote_id,
            "transactionId": TRANSFER_ID,
            "payee": party(msisdn),
            "payer": party("254700200001"),
            "amountType": "SEND",
            "amount": {"currency": "KES", "amount": "100"},
            "transactionType": {
                "scenario": "TRANSFER",
                "initiator": "PAYER",
                "initiatorType": "CONSUMER",
            },
        }
        return self.message("POST", "/quotes", body, to=payee, trace=trace)

    def quoted(self, quote_id=TRANSFER_ID, payer="buffalo", trace=""):
        body = {
            "transferAmount": {"currency": "KES", "amount": "100"},
            "expiration": iso(self._clock() + 30_000),
            "ilpPacket": "AYIB",
            "condition": CONDITION,
        }
        return self.message("PUT", f"/quotes/{quote_id}", body, to=payer, trace=trace)


def trace_of(number):
    return f"00-{number:032x}-{1:016x}-01"


@pytest.fixture(scope="session")
def key_pems():
    return {fsp: new_private_key_pem() for fsp in ("switch", "buffalo", "rhino", "lion")}


@pytest.fixture
def clock():
    return MovingClock()


@pytest.fixture
def hub(clock, key_pems):
    hub = Hub(key_pems["switch"], clock)
    for fsp in ("buffalo", "rhino", "lion"):
        hub.context.participants.register(
            Registration(
                fsp_id=fsp,
                currency="KES",
                callback_urls=[f"http://{fsp}-own", f"http://{fsp}-other"],
                public_key_pem=public_pem(key_pems[fsp]),
                net_debit_cap="1000.00",
            )
        )
    return hub


@pytest.fixture
def buffalo(clock, key_pems):
    return Dfsp("buffalo", clock, key_pems["buffalo"])


@pytest.fixture
def rhino(clock, key_pems):
    return Dfsp("rhino", clock, key_pems["rhino"])


@pytest.fixture
def lion(clock, key_pems):
    return Dfsp("lion", clock, key_pems["lion"])


@pytest.fixture
def position(hub):
    def read(fsp):
        position = hub.context.participants.position(fsp, "KES")
        return position.position, position.reserved

    return read
