"""The switch and the core bank: they answer late, twice or never, and count each effect by its id."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from simulation.engine_checks import History
from simulation.engine_limits import limited
from simulation.engine_loop import Life
from simulation.engine_processes import BENCH, LIMITED
from simulation.raft_checks import SafetyViolationError

from payhub_engines.connectors.job import BpmnError, Job, JobFailedError
from payhub_platform.contracts.handover import Callback

FEE = 5
MESSAGE_TTL_MS = 120_000
STRAY_TTL_MS = 1_000

# What each job moves in the bank's books: from, to.
MOVES = {
    "reserve": ("payer", "suspense"),
    "fee": ("payer", "fees"),
    "book": ("suspense", "payee"),
    "refund": ("suspense", "payer"),
    "release": ("suspense", "payer"),
    "return-fee": ("fees", "payer"),
    "pay-item": ("payer", "payee"),
    "block-funds": ("payer", "suspense"),
    "book-funds": ("suspense", "payee"),
}
RESULTS: dict[str, dict[str, Any]] = {
    "find-account": {"accountActive": True},
    "calculate-quote": {"quotePossible": True, "fee": FEE},
    "reserve-credit": {"reserved": True},
}
ASKED = {
    "lookup-request": [("party-lookup", {}, "bench-payee-party-lookup")],
    "answer-lookup": [("party-response", {"partyFound": True, "partyName": "A. Member"}, "")],
    "quote-request": [("quote", {"amount": 100, "currency": "TZS"}, "bench-payee-quote-transfer")],
    "answer-quote": [("quote-response", {"fee": FEE, "condition": "x" * 43}, "")],
    "transfer-request": [("transfer-prepared", {"ilpPacket": "x" * 40}, "")],
    "fulfil-transfer": [
        ("transfer-response", {"transferState": "COMMITTED", "fulfilment": "x" * 43}, ""),
        ("transfer-committed", {"completed": True}, ""),
    ],
}
PROMPT = ("remind", "notify", "notify-payee", "notify-payer", "send-receipt", "commit-credit")
SLOW = (*MOVES, *RESULTS, *ASKED, "ask-quote", "screen", "decide")

Deliver = Callable[[Callback, float], None]
Step = tuple[str, str, str, Any]


class Outside:
    """What is not the engine.

    Attributes:
        is_bad: whether answers fail and hang.
        effects: what was done under each id, once.
    """

    def __init__(self, chooser: random.Random, history: History, deliver: Deliver) -> None:
        self.is_bad = True
        self.hangs = chooser.random() < 0.1
        self.chooser = chooser
        self.history = history
        self.deliver = deliver
        self.effects: dict[str, Step] = {}
        self.books: Counter[tuple[str, str]] = Counter()  # by payment and account
        self._ids: dict[Step, str] = {}

    def slow_handler(self, life: Life) -> Callable[[Job, Any], Awaitable[dict[str, Any]]]:
        async def handle(job: Job, _context: object) -> dict[str, Any]:
            return await self._perform(life, job)

        return handle

    def prompt_handler(self, life: Life) -> Callable[[Job, Any], dict[str, Any]]:
        def handle(job: Job, _context: object) -> dict[str, Any]:
            self._check(job)
            if life.is_dying:
                raise JobFailedError("killed")
            self._effect(job)
            return {}

        return handle

    async def _perform(self, life: Life, job: Job) -> dict[str, Any]:
        self._check(job)
        await self._way()
        luck = self.chooser.random() if self.is_bad else 1.0
        is_sick = "fee" in job.type and job.variables["amount"] % 13 == 0
        if life.is_dying or luck < (0.7 if is_sick else 0.03):
            raise JobFailedError("nobody listens", retry_after_ms=self.chooser.choice([0, 20, 400]))
        answer = self._effect(job)
        if luck < 0.06:
            raise JobFailedError("the answer is lost", retry_after_ms=self.chooser.choice([0, 20, 400]))
        if luck < 0.07 and self.hangs:
            await asyncio.sleep(100_000)
        await self._way()
        if job.type == "screen" and answer.get("hit"):
            raise BpmnError("screen-hit", "on a list")
        return answer

    async def _way(self) -> None:
        is_slow = self.is_bad and self.chooser.random() < 0.05
        await asyncio.sleep(self.chooser.uniform(0, 2.0 if is_slow else 0.03))

    def _check(self, job: Job) -> None:
        """An effect may leave the engine only once its job is committed."""
        created = self.history.traces.jobs.get(job.key)
        if created is None or (created.element, created.instance) != (job.element, job.instance):
            error = SafetyViolationError(f"job {job.key} has left the engine, but is not committed")
            self.history.fail(error)
            raise error

    def _effect(self, job: Job) -> dict[str, Any]:
        """Do a job's effect under its id; the same id again does nothing more."""
        derived = f"{job.payment}/{job.element}/{job.key}"
        step = (job.process, job.payment, job.element, job.variables.get("item"))
        known = self._ids.setdefault(step, derived)
        if known != derived or self.effects.get(derived, step) != step:
            error = SafetyViolationError(f"{step} was asked for as {known} and as {derived}")
            self.history.fail(error)
            raise error
        if derived in self.effects:
            self.history.seen["effect asked for again"] += 1
        else:
            self.effects[derived] = step
            self._book(job)
        self._answer_later(job, derived)
        return self._answer(job)

    def _book(self, job: Job) -> None:
        if job.type in MOVES:
            amount = FEE if "fee" in job.type else job.variables.get("item") or job.variables["amount"]
            source, target = MOVES[job.type]
            self.books[job.payment, source] -= amount
            self.books[job.payment, target] += amount

    def _answer(self, job: Job) -> dict[str, Any]:
        if job.type == "decide":
            return {"fits": job.variables["amount"] % 2 == 0}
        if job.type == "screen":
            return {"hit": job.variables["amount"] % 5 == 0}
        return {"blocked": True} if job.type == "block-funds" else dict(RESULTS.get(job.type, {}))

    def _answer_later(self, job: Job, derived: str) -> None:
        """Send what the switch sends for it, and now and then what nobody waits for."""
        for name, brought, process in ASKED.get(job.type, []):
            variables = {"transactionId": job.payment, **brought}
            self._send(job, name, variables, process, f"{name}-{derived}")
        if job.type != "ask-quote":
            return
        if job.variables["amount"] % 7:  # else the payee never answers
            self._send(job, "quoted", {"quoted": True}, "", f"quoted-{derived}")
        if job.variables["amount"] % 11 == 0:
            stray = self._callback(job, "quoted", {}, "", f"stray-{derived}", STRAY_TTL_MS)
            self.deliver(stray, 0.0)

    def _send(self, job: Job, name: str, variables: dict[str, Any], process: str, message_id: str) -> None:
        ttl_ms = STRAY_TTL_MS if name == "quoted" else MESSAGE_TTL_MS
        callback = self._callback(job, name, variables, process, message_id, ttl_ms)
        for _ in range(2 if self.chooser.random() < 0.2 else 1):
            is_late = self.is_bad and self.chooser.random() < 0.1
            self.deliver(callback, self.chooser.uniform(0, 5.0 if is_late else 0.05))

    def _callback(
        self, job: Job, name: str, variables: dict[str, Any], process: str, message_id: str, ttl_ms: int
    ) -> Callback:
        is_stray = message_id.startswith("stray")
        return Callback(
            tenant=job.tenant,
            name=name,
            correlation_key=f"nobody-{job.payment}" if is_stray else job.payment,
            variables=variables,
            start_process=process,
            payment=job.payment if process else "",
            ttl_ms=ttl_ms,
            message_id=message_id,
        )

    def check_end(self) -> None:
        """Check the books: what was reserved is booked or paid back, and each done job was done once."""
        accounts = ("payer", "suspense", "payee", "fees")
        for trace in self.history.traces.instances.values():
            started, payment = trace.started, trace.started.payment
            if trace.outcome != "completed" or not started.process.startswith("sim-") or started.parent:
                continue
            moved = tuple(self.books[payment, account] for account in accounts)
            amount, paid = started.variables["amount"], sum(started.variables.get("items", []))
            undone, booked = (0, 0, 0, 0), (-amount, 0, amount, 0)
            with_fee = (-amount - FEE, 0, amount, FEE)
            allowed = {
                "sim-transfer": (booked if trace.entered["book"] else undone),
                "sim-booking": (with_fee if trace.entered["book"] else undone),
                "sim-batch": (-paid, 0, paid, 0),
                LIMITED: (booked if trace.entered["book"] else undone),
            }
            if moved != allowed[started.process]:
                raise SafetyViolationError(f"the books of {payment} are {moved}: {started.process}")
        if sum(self.books.values()):
            raise SafetyViolationError("money was made or lost")


def variables_of(process: str, payment: str, chooser: random.Random) -> dict[str, Any]:
    """Return what a payment starts with."""
    variables: dict[str, Any] = {"transactionId": payment, "amount": chooser.randint(1, 500)}
    if process == BENCH:
        return variables | {"currency": "TZS", "feeMax": 10, "extension": "x" * chooser.choice([0, 500])}
    if process == LIMITED:
        return variables | limited(payment, variables["amount"])
    return variables | {
        "items": [chooser.randint(1, 90) * 10 + number for number in range(chooser.randint(1, 5))]
    }
