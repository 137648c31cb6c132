"""Institutions on one engine in memory, with the real connectors, banks and a switch between them."""

import asyncio
import atexit
import copy
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import msgspec
from unit.engines.connectors.connector_kit import PAYMENT, TRACE
from unit.engines.connectors.fake_bank import BankAccount, FakeBank
from unit.engines.connectors.switchboard import LATE_MS, VERY_LATE_MS, Message, Switchboard

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import HttpAnswer
from payhub_engines.connectors.job import BpmnError, Job, JobFailedError
from payhub_engines.connectors.mojaloop.ingress import translate, verify_signature
from payhub_engines.connectors.mojaloop.keys import KeyRing
from payhub_engines.connectors.mojaloop.one_time_password import password_of
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal
from payhub_engines.connectors.payment import (
    DEVICE_AUTHORIZATION,
    PAYER_CONFIRMATION,
    authorization_variables,
    confirmation_variables,
    request_variables,
    start_variables,
    transfer_status,
)
from payhub_engines.connectors.registry import handlers
from payhub_engines.core.commands import (
    Command,
    CompleteJob,
    CorrelateMessage,
    FailJob,
    StartInstance,
    ThrowJobError,
)
from payhub_engines.core.records import InstanceRecord
from payhub_engines.core.reply import Rejected, Reply
from payhub_engines.core.state import State
from payhub_engines.processes import (
    PAYEE_QUOTE_TRANSFER,
    PAYEE_TRANSACTION_REQUEST,
    PAYER_FUND_TRANSFER,
    load,
)
from payhub_engines.server.jobs import open_job
from payhub_engines.server.refunds import start_refund
from payhub_engines.testkit import Engine
from payhub_platform.contracts.channel import Confirmation, DeviceAuthorization, TransferStatus
from payhub_platform.contracts.engine import StartPayment, StartRefund, StartRequest
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError
from payhub_platform.http_client import HttpClient
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox
from payhub_platform.telemetry.tracing import Tracing

HAPPY = [
    "GET parties",
    "PUT parties",
    "POST quotes",
    "PUT quotes",
    "POST transfers",
    "PUT transfers",
]
MEMBERS = {  # institution to identifier, account and balance
    "buffalo": [("MSISDN/254700200001", "A1", 1000), ("MSISDN/254700200002", "A3", 0)],
    "lion": [("MSISDN/254700100001", "A2", 0)],
}
TURNS_MAX = 2000
TRACING = Tracing("test")
BETWEEN_HOUSES_MS = 3_600_000


class House:
    """An engine with all that is around it; ``weather`` is the switch's (see there).

    Attributes:
        crashes: indexes of jobs (in the order in which they are done) whose results are lost.
        jobs: the types of the jobs that were done.
        refused: replies to the switch's messages that the engine did not take.
    """

    def __init__(
        self,
        tenants: dict[str, TenantConfig],
        secrets: SecretBox,
        engine: Engine | None = None,
        payment: str = PAYMENT,
        switchboard: type[Switchboard] = Switchboard,
    ) -> None:
        self.engine = engine or engine_with_processes()
        self.engine.now_ms += BETWEEN_HOUSES_MS
        self.engine.advance(1)  # what the house before has left behind is over
        self.payment = payment
        self._keys: list[int] = []  # of the instances of this house
        self._looked_to = self.engine.state.next_key
        self.tenants = dict(tenants)
        self.banks = {fsp: FakeBank() for fsp in tenants}
        numbers: dict[str, str] = {}
        for fsp, members in MEMBERS.items():
            for identifier, account, balance in members:
                self.banks[fsp].accounts[account] = BankAccount(Decimal(balance))
                self.banks[fsp].parties[identifier] = account
                numbers.setdefault(identifier, fsp)
        self.switch = switchboard(next(iter(tenants.values())).scheme, lambda: self.engine.now_ms, numbers)
        self.weather, self.sent, self.transfers = (
            self.switch.weather,
            self.switch.sent,
            self.switch.transfers,
        )
        self.crashes: set[int] = set()
        self.jobs: list[tuple[str, str]] = []
        self.refused: list[Rejected] = []
        self.line: list[tuple[int, Callback]] = []  # what is said directly, with the time of its arrival
        self.context = ConnectorContext(
            tenant=self.tenants.__getitem__,
            http=cast("HttpClient", None),
            secrets=secrets,
            clock=lambda: self.engine.now_ms,
            tracing=TRACING,
            neighbours=self,
        )
        self.handlers = handlers(lambda _session: self)

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
            parts.path.removeprefix("/switch") + (f"?{parts.query}" if parts.query else ""),
            {name.lower(): value for name, value in headers.items()},
            body,
        )
        source = self.tenants[message.headers["fspiop-source"]]
        key = jws.load_public_key(source.signing_key.public_key_pem)
        verify_signature(method, message.path, message.headers, body, [key])
        return self.switch.take(message)

    @property
    def engine_id(self) -> str:
        return "north"

    def by_fsp(self, fsp_id: str) -> TenantConfig | None:
        return self.tenants.get(fsp_id)

    async def give(self, engine_id: str, callback: Callback) -> None:
        """Take what is said directly; the weather knows it as ``direct POST quotes`` and the like."""
        assert engine_id == self.engine_id
        name = direct_name(callback)
        self.sent.append(Message(name, f"/{callback.correlation_key}", {}, b""))
        fate = self.switch.fate(name)
        if fate == "refuse":
            raise FspiopRefusal(400, "3100", "no")
        if fate == "down":
            raise UnavailableError("engine-overloaded", "down")
        delay_ms = {"late": LATE_MS, "very-late": VERY_LATE_MS, "overtaken": 1}.get(fate, 0)
        copies = {"drop": 0, "twice": 2}.get(fate, 1)
        # As the hand-over does it: the log keeps JSON.
        callback = msgspec.json.decode(msgspec.json.encode(callback), type=Callback)
        self.line += [(self.engine.now_ms + delay_ms, callback)] * copies
        if fate == "lose-answer":
            raise UnavailableError("engine-stopping", "it is taken, but nobody hears so")

    def agree_to_pay_directly(self, *fsp_ids: str) -> None:
        """Let institutions name each other; all of them where none is said."""
        for fsp_id in fsp_ids or tuple(self.tenants):
            others = [other for other in self.tenants if other != fsp_id]
            self.tenants[fsp_id] = msgspec.structs.replace(self.tenants[fsp_id], direct_with=others)

    def begin(self, process: str, tenant: str, payment: str, variables: dict[str, Any]) -> Reply:
        """Start an instance and run until everything waits."""
        command = StartInstance(
            process=process,
            tenant=tenant,
            payment=payment,
            fingerprint="f",
            variables=variables,
            trace=TRACE,
        )
        reply = self.engine.execute(command)
        self.settle()
        return reply

    def pay(self, request: StartPayment, tenant: str = "buffalo") -> None:
        """Start the payment and run until everything waits."""
        variables = start_variables(request, self.tenants[tenant], self.engine.now_ms)
        self.begin(PAYER_FUND_TRANSFER, tenant, request.payment_id, variables)

    def pay_back(self, start: StartRefund, original: str, tenant: str = "lion") -> str:
        """Let who was paid pay back; return the refund's transaction and run until everything waits."""
        transaction = asyncio.run(
            start_refund(self.read, self.submit, start, original, self.tenants[tenant], self.engine.now_ms)
        )
        self.settle()
        return transaction

    async def read(self, function: Callable[[State], Any]) -> Any:
        await asyncio.sleep(0)  # others go on meanwhile
        return function(self.engine.state)

    async def submit(self, command: StartInstance) -> Reply:
        await asyncio.sleep(0)
        return self.engine.execute(command)

    def forget_the_past(self) -> None:
        """Let what has happened so far be of another house."""
        self._keys.clear()
        self._looked_to = self.engine.state.next_key
        self.jobs.clear()
        self.sent.clear()
        self.switch.notices.clear()

    def ask_to_be_paid(self, request: StartRequest, tenant: str = "lion") -> None:
        """Let a payee ask for a payment, and run until everything waits."""
        variables = request_variables(request, self.tenants[tenant])
        self.begin(PAYEE_TRANSACTION_REQUEST, tenant, request.payment_id, variables)

    def confirm(self, *, accepted: bool, payment: str = "", tenant: str = "buffalo") -> None:
        """Let the payer answer what the payment costs."""
        variables = confirmation_variables(Confirmation(accepted=accepted))
        callback = Callback(
            tenant=tenant,
            name=PAYER_CONFIRMATION,
            correlation_key=payment or self.payment,
            variables=variables,
        )
        self.engine.execute(CorrelateMessage(callback=callback))
        self.settle()

    def enter(self, entered: DeviceAuthorization, tenant: str = "lion") -> None:
        """Let the payer do something at the payee's device."""
        callback = Callback(
            tenant=tenant,
            name=DEVICE_AUTHORIZATION,
            correlation_key=self.payment,
            variables=authorization_variables(entered),
        )
        self.engine.execute(CorrelateMessage(callback=callback))
        self.settle()

    def awaits_password(self, tenant: str = "lion") -> bool:
        """Tell whether the payee's device has something to ask."""
        return self.engine.state.has_subscription(tenant, DEVICE_AUTHORIZATION, self.payment)

    def password(self, tenant: str = "buffalo") -> str:
        """Return what the payer's own channel tells the payer."""
        payment = next(one for one in self.instances() if one.process == PAYER_FUND_TRANSFER)
        key = KeyRing().of(self.tenants[tenant], self.context.secrets)
        return password_of(payment.variables["transactionId"], key.ilp_secret)

    def unconfirmed(self, tenant: str = "buffalo") -> list[str]:
        """Return the transactions that wait for their payer."""
        running = (record.variables.get("transactionId", "") for record in self.running())
        transactions = dict.fromkeys(running)  # a request to pay and the payment that it calls have one
        waits = self.engine.state.has_subscription
        return [one for one in transactions if waits(tenant, PAYER_CONFIRMATION, one)]

    def settle(self) -> None:
        """Do jobs and deliver messages until nothing is left to do now."""
        for _ in range(TURNS_MAX):
            open_jobs = [job for job in self.engine.state.jobs() if job.retry_at_ms <= self.engine.now_ms]
            open_jobs = [job for job in open_jobs if not self._has_incident(job.key)]
            if open_jobs:
                self._do(open_jobs[0])
                continue
            said = next((one for one in self.line if one[0] <= self.engine.now_ms), None)
            if said is not None:
                self.line.remove(said)
                self._correlate(said[1])
                continue
            arrived = self.switch.due()
            if arrived is None:
                return
            self._deliver(*arrived)
        raise AssertionError("it never comes to rest")

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.engine.advance(1)
            self.settle()

    def run_until_all_ended(self, limit_s: int = 3600) -> None:
        """Go from one thing that falls due to the next, until no instance runs and nothing is on its way."""
        until_ms = self.engine.now_ms + limit_s * 1000
        self.settle()
        while self.running() or self.switch.waiting or self.line:
            wake_ups = [at_ms for at_ms, _, _ in self.switch.waiting]
            wake_ups += [at_ms for at_ms, _ in self.line]
            wake_ups += [
                job.retry_at_ms for job in self.engine.state.jobs() if not self._has_incident(job.key)
            ]
            timer = self.engine.state.next_timer_due_ms()
            wake_ups += [timer] if timer is not None else []
            if not wake_ups or min(wake_ups) > until_ms:
                return
            # A second more, since the banks and the switch answer within one.
            step_ms = max(min(wake_ups) - self.engine.now_ms, 1)
            self.engine.advance(step_ms / 1000)
            self.settle()

    def running(self) -> list[InstanceRecord]:
        """Return the instances that have not ended."""
        return [record for record in self.instances() if record.ended_at_ms is None]

    def instances(self) -> list[InstanceRecord]:
        """Return the instances that were started in this house, in order."""
        state = self.engine.state
        new = range(self._looked_to, state.next_key)
        self._keys += [key for key in new if state.instance(key) is not None]
        self._looked_to = state.next_key
        found = (state.instance(key) for key in self._keys)
        return [record for record in found if record is not None]

    def status(self, payment: str = "", tenant: str = "buffalo") -> TransferStatus:
        payment = payment or self.payment
        record = self.find(PAYER_FUND_TRANSFER, tenant, payment)
        assert record is not None
        return transfer_status(
            payment, record.variables, record.started_at_ms, record.ended_at_ms, record.handed_over
        )

    def find(self, process: str, tenant: str, payment: str = "") -> InstanceRecord | None:
        """Return an instance by what it is about."""
        return self.engine.state.find_instance(tenant, process, payment or self.payment)

    def names(self) -> list[str]:
        return [message.name for message in self.sent]

    def say(self, method: str, path: str, body: dict[str, Any], fsp: str, *, source: str) -> None:
        """Put a message on its way to an institution, whoever claims to have sent it."""
        self.switch.say(method, path, body, fsp, source=source)

    def _has_incident(self, job: int) -> bool:
        record = self.engine.state.job(job)
        return record is not None and record.retries_left <= 0

    def _do(self, record: Any) -> None:
        job = open_job(self.engine.state, record.key)
        assert job is not None
        index = len(self.jobs)
        self.jobs.append((job.tenant, job.type))
        result = self._result(job)
        if index in self.crashes:
            # The engine goes down before it has noted what the job did, and does it again when it is back.
            self.engine.now_ms += 60_000
            return
        self.engine.execute(result)

    def _result(self, job: Job) -> Command:
        try:
            return CompleteJob(job=job.key, variables=_runner().run(self._handle(job)))
        except BpmnError as error:
            return ThrowJobError(
                job=job.key, code=error.code, description=error.description, variables=error.variables
            )
        except JobFailedError as error:
            return FailJob(job=job.key, message=error.message, retry_after_ms=error.retry_after_ms)

    async def _handle(self, job: Job) -> dict[str, Any]:
        return await self.handlers[job.type](job, self.context)

    def _deliver(self, fsp: str, message: Message) -> None:
        if fsp not in self.tenants:
            return  # the switch itself, or an institution of another house
        path, _, query = message.path.partition("?")
        inbound = translate(
            message.method,
            unquote(path),
            message.headers,
            message.body,
            self.tenants[fsp],
            self.engine.now_ms,
            query,
        )
        if inbound.callback is not None:
            # As the hand-over does it: the log keeps JSON.
            self._correlate(msgspec.json.decode(msgspec.json.encode(inbound.callback), type=Callback))

    def _correlate(self, callback: Callback) -> None:
        reply = self.engine.execute(CorrelateMessage(callback=callback))
        if isinstance(reply, Rejected):
            self.refused.append(reply)


def engine_with_processes() -> Engine:
    """Return an engine with all process files deployed; several houses may use it one after the other."""
    return copy.deepcopy(_deployed())


@cache
def _runner() -> asyncio.Runner:
    runner = asyncio.Runner()  # a loop for each job would cost more than the job
    atexit.register(runner.close)
    return runner


@cache
def _deployed() -> Engine:
    engine = Engine()
    for _, xml in load():
        engine.deploy(xml)
    return engine


_DIRECT_NAMES = {
    "party-request": "GET parties",
    "party-response": "PUT parties",
    "quote-request": "POST quotes",
    "quote-response": "PUT quotes",
    "transfer-prepare": "POST transfers",
    "transfer-response": "PUT transfers",
    "transfer-query": "GET transfers",
}


def direct_name(callback: Callback) -> str:
    """Return how a message that is said directly is called here."""
    is_error = callback.name.endswith("response") and callback.variables.get("error") is not None
    return f"direct {_DIRECT_NAMES[callback.name]}" + (" error" if is_error else "")


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


def assert_nothing_held(house):
    assert house.status().state == "PENDING"
    assert house.banks["buffalo"].accounts["A1"].held() == 0


def payee(house):
    return house.engine.state.find_instance("lion", PAYEE_QUOTE_TRANSFER, PAYMENT)
