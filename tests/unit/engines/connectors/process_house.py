"""Two institutions on one engine in memory, with the real connectors, banks and a switch between them."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import aiohttp
from unit.engines.connectors.connector_kit import PAYMENT, TRACE
from unit.engines.connectors.fake_bank import BankAccount, FakeBank

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import HttpAnswer, UnreachableError
from payhub_engines.connectors.job import BpmnError, Job, JobFailedError
from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_engines.connectors.mojaloop import media_types
from payhub_engines.connectors.mojaloop.ingress import translate, verify_signature
from payhub_engines.connectors.payment import start_variables, transfer_status
from payhub_engines.connectors.registry import handlers
from payhub_engines.core.commands import CompleteJob, CorrelateMessage, FailJob, StartInstance, ThrowJobError
from payhub_engines.processes import PAYEE_QUOTE_TRANSFER, PAYER_FUND_TRANSFER, load
from payhub_engines.server.jobs import open_job
from payhub_engines.testkit import Engine
from payhub_platform.clock import iso
from payhub_platform.contracts.channel import TransferStatus
from payhub_platform.contracts.engine import StartPayment
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox
from payhub_platform.telemetry.tracing import Tracing

WRONG_FULFILMENT = "A" * 43
HAPPY = [
    "GET parties",
    "PUT parties",
    "POST quotes",
    "PUT quotes",
    "POST transfers",
    "PUT transfers",
]


@dataclass
class Message:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def name(self) -> str:
        resource = self.path.split("/")[1]
        return f"{self.method} {resource}" + (" error" if self.path.endswith("/error") else "")


class House:
    """``weather`` maps a message's name to what happens to it: drop, refuse, lose-answer, tamper, twice."""

    def __init__(self, tenants: dict[str, TenantConfig], secrets: SecretBox) -> None:
        self.engine = Engine()
        self.tenants = tenants
        self.banks = {fsp: FakeBank() for fsp in tenants}
        self.banks["buffalo"].accounts["A1"] = BankAccount(Decimal(1000))
        self.banks["buffalo"].parties["MSISDN/254700200001"] = "A1"
        self.banks["lion"].accounts["A2"] = BankAccount(Decimal(0))
        self.banks["lion"].parties["MSISDN/254700100001"] = "A2"
        self.weather: dict[str, list[str]] = {}
        self.sent: list[Message] = []
        self.waiting: list[tuple[str, Message]] = []  # what the switch has still to deliver
        self.transfers: dict[str, dict[str, Any]] = {}
        self.decides = True
        self.context = ConnectorContext(
            tenant=tenants.__getitem__,
            http=cast("aiohttp.ClientSession", None),
            secrets=secrets,
            clock=lambda: self.engine.now_ms,
            tracing=Tracing("test"),
        )
        self.handlers = handlers(lambda _session: self)
        for _, xml in load():
            self.engine.deploy(xml)

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout_s: float,
        **_options: object,
    ) -> HttpAnswer:
        parts = urlsplit(url)
        host = str(parts.hostname).removesuffix(".test")
        if host in self.banks:
            return await self.banks[host].request(
                method, url, headers=headers, body=body, timeout_s=timeout_s
            )
        message = Message(
            method,
            parts.path.removeprefix("/switch"),
            {name.lower(): value for name, value in headers.items()},
            body,
        )
        source = self.tenants[message.headers["fspiop-source"]]
        key = jws.load_public_key(source.signing_key.public_key_pem)
        verify_signature(method, message.path, message.headers, body, [key])
        self.sent.append(message)
        fates = self.weather.get(message.name, [])
        fate = fates.pop(0) if fates else ""
        if fate == "refuse":
            told = {"errorInformation": {"errorCode": "3100", "errorDescription": "no"}}
            return HttpAnswer(status=400, body=json.dumps(told).encode())
        if fate == "down":
            raise UnreachableError("down")
        if fate != "drop":
            self._switch(message, fate)
        if fate == "twice":
            self._switch(message, "")
        if fate == "lose-answer":
            raise UnreachableError("connection lost")
        return HttpAnswer(status=202)

    def pay(self, request: StartPayment) -> None:
        """Start the payment and run until everything waits."""
        variables = start_variables(request, self.tenants["buffalo"], self.engine.now_ms)
        command = StartInstance(
            process=PAYER_FUND_TRANSFER,
            tenant="buffalo",
            payment=PAYMENT,
            fingerprint="f",
            variables=variables,
            trace=TRACE,
        )
        self.engine.execute(command)
        self.settle()

    def settle(self) -> None:
        """Do jobs and deliver messages until nothing is left to do now."""
        for _ in range(1000):
            open_jobs = [job for job in self.engine.state.jobs() if job.retry_at_ms <= self.engine.now_ms]
            open_jobs = [job for job in open_jobs if not self._has_incident(job.key)]
            if open_jobs:
                self._do(open_jobs[0])
            elif self.waiting:
                self._deliver(*self.waiting.pop(0))
            else:
                return
        raise AssertionError("it never comes to rest")

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.engine.advance(1)
            self.settle()

    def status(self) -> TransferStatus:
        record = self.engine.state.find_instance("buffalo", PAYER_FUND_TRANSFER, PAYMENT)
        assert record is not None
        return transfer_status(
            PAYMENT, record.variables, record.started_at_ms, record.ended_at_ms, record.handed_over
        )

    def names(self) -> list[str]:
        return [message.name for message in self.sent]

    def _has_incident(self, job: int) -> bool:
        record = self.engine.state.job(job)
        return record is not None and record.retries_left <= 0

    def _do(self, record: Any) -> None:
        job = open_job(self.engine.state, record.key)
        assert job is not None
        try:
            results = asyncio.run(self._handle(job))
            self.engine.execute(CompleteJob(job=job.key, variables=results))
        except BpmnError as error:
            self.engine.execute(
                ThrowJobError(
                    job=job.key, code=error.code, description=error.description, variables=error.variables
                )
            )
        except JobFailedError as error:
            self.engine.execute(
                FailJob(job=job.key, message=error.message, retry_after_ms=error.retry_after_ms)
            )

    async def _handle(self, job: Job) -> dict[str, Any]:
        return await self.handlers[job.type](job, self.context)

    def _deliver(self, fsp: str, message: Message) -> None:
        inbound = translate(
            message.method,
            unquote(message.path),
            message.headers,
            message.body,
            self.tenants[fsp],
            self.engine.now_ms,
        )
        if inbound.callback is not None:
            self.engine.execute(CorrelateMessage(callback=inbound.callback))

    def _switch(self, message: Message, fate: str) -> None:
        source = message.headers["fspiop-source"]
        body = json.loads(message.body) if message.body else {}
        match message.name:
            case "GET parties":
                self._forward("lion", message)
            case "POST transfers":
                if body["transferId"] not in self.transfers:
                    self.transfers[body["transferId"]] = {"state": "RESERVED", "condition": body["condition"]}
                    self._forward(body["payeeFsp"], message)
            case "PUT transfers":
                self._fulfil(message, body, fate)
            case "PUT transfers error":
                self.transfers[message.path.split("/")[2]] = {"state": "ABORTED"}
                self._forward(message.headers["fspiop-destination"], message)
            case "GET transfers":
                self._tell(message.path.split("/")[2], source, "PUT")
            case _:
                self._forward(message.headers["fspiop-destination"], message)

    def _fulfil(self, message: Message, body: dict[str, Any], fate: str) -> None:
        transfer_id = message.path.split("/")[2]
        if not self.decides:
            return
        self.transfers[transfer_id] |= {"state": "COMMITTED", "fulfilment": body["fulfilment"]}
        if fate == "tamper":
            told = {"transferState": "COMMITTED", "fulfilment": WRONG_FULFILMENT}
            self.say("PUT", f"/transfers/{transfer_id}", told, "buffalo", source="switch")
        elif fate != "silent":
            self._tell(transfer_id, "buffalo", "PUT")
            self._tell(transfer_id, "lion", "PATCH")

    def _tell(self, transfer_id: str, fsp: str, method: str) -> None:
        transfer = self.transfers.get(transfer_id)
        if transfer is None:
            told = {"errorInformation": {"errorCode": "3208", "errorDescription": "unknown"}}
            self.say("PUT", f"/transfers/{transfer_id}/error", told, fsp, source="switch")
            return
        told = {"transferState": transfer["state"], "completedTimestamp": iso(self.engine.now_ms)}
        if transfer["state"] == "COMMITTED" and method == "PUT":
            told["fulfilment"] = transfer["fulfilment"]
        self.say(method, f"/transfers/{transfer_id}", told, fsp, source="switch")

    def _forward(self, fsp: str, message: Message) -> None:
        headers = {**message.headers, "fspiop-destination": fsp}
        self.waiting.append((fsp, Message(message.method, message.path, headers, message.body)))

    def say(self, method: str, path: str, body: dict[str, Any], fsp: str, *, source: str) -> None:
        """Put a message on its way to an institution, whoever claims to have sent it."""
        headers = {
            "content-type": media_types.written(path.split("/")[1], self.tenants[fsp].scheme),
            "date": fspiop_headers.format_date(self.engine.now_ms),
            "fspiop-source": source,
            "fspiop-destination": fsp,
        }
        self.waiting.append((fsp, Message(method, path, headers, json.dumps(body).encode())))


def balances(house):
    return house.banks["buffalo"].accounts["A1"].balance, house.banks["lion"].accounts["A2"].balance


def assert_completed(house):
    assert house.status().state == "COMPLETED"
    assert house.status().error is None
    assert balances(house) == (Decimal("899.50"), Decimal("100.50"))
    assert house.banks["buffalo"].accounts["A1"].held() == 0


def assert_failed(house, code):
    status = house.status()
    assert status.state == "FAILED"
    assert status.error is not None
    assert status.error.code == code
    assert balances(house) == (Decimal(1000), Decimal(0))
    assert house.banks["buffalo"].accounts["A1"].held() == 0


def assert_held(house):
    assert house.status().state == "PENDING"
    assert house.banks["buffalo"].accounts["A1"].held() == Decimal("100.50")


def payee(house):
    return house.engine.state.find_instance("lion", PAYEE_QUOTE_TRANSFER, PAYMENT)
