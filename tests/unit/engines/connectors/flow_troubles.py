"""Every kind of trouble at every point of a flow, and what has to be true of the money afterwards.

A flow is run once without trouble to learn its points: the messages that institutions send, the switch's own
notices, the calls to banks, and the jobs. Then it is run once for each point and each kind of trouble.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from unit.engines.connectors.fake_bank import RULE, BankAccount, FakeBank, _error
from unit.engines.connectors.process_house import House

from payhub_engines.connectors.http import HttpAnswer, UnreachableError
from payhub_engines.connectors.variables import money_of
from payhub_engines.processes import PAYEE_QUOTE_TRANSFER, PAYEE_TRANSACTION_REQUEST, PAYER_FUND_TRANSFER
from payhub_platform.contracts.fspiop import FspMoney

NOT_ALLOWED = "error.msg.interop.transaction.not.allowed"
LONG_MS = 45_000
LONG_ATTEMPTS = 60
TURNS_MAX = 40

MESSAGE_TROUBLES = {
    "lost": ["drop"],
    "late": ["late"],
    "after all": ["very-late"],
    "twice": ["twice"],
    "overtaken": ["overtaken"],
    "refused": ["refuse"],
    "switch down": ["down"],
    "down for long": ["down"] * LONG_ATTEMPTS,
    "answer lost": ["lose-answer"],
}
NOTICE_TROUBLES = {
    "lost": ["drop"],
    "late": ["late"],
    "after all": ["very-late"],
    "twice": ["twice"],
    "overtaken": ["overtaken"],
}
BANK_TROUBLES = ("down", "down for long", "answer lost", "refused")
Balances = dict[tuple[str, str], Decimal]  # by institution and account


class TroubledBank(FakeBank):
    """A bank whose ``nth`` call, from 0, meets trouble."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.nth = -1
        self.trouble = ""
        self._now_ms = now_ms
        self._down_until_ms = 0

    async def request(self, method: str, url: str, **rest: Any) -> HttpAnswer:
        path = url.partition("/api/v1/")[2].removeprefix("interoperation/")
        action = url.partition("action=")[2]
        index = len(self.calls)
        self.calls.append(action or f"{method} {path.split('/')[0]}")
        is_hit = index == self.nth
        if is_hit and self.trouble == "down for long":
            self._down_until_ms = self._now_ms() + LONG_MS
        if (is_hit and self.trouble == "down") or self._now_ms() < self._down_until_ms:
            raise UnreachableError("down")
        if is_hit and self.trouble == "refused":
            return _error(403, RULE, NOT_ALLOWED)
        answer = await super().request(method, url, **rest)
        if is_hit and self.trouble == "answer lost":
            raise UnreachableError("connection lost")
        return answer


@dataclass(frozen=True)
class Flow:
    """How a flow is started, and what the channels do whenever everything waits."""

    name: str  # in the page
    title: str
    start: Callable[[House], None]
    prepare: Callable[[House], None] = lambda _house: None
    go_on: Callable[[House], None] = lambda _house: None
    payer: str = "buffalo"
    # Looks at what else was paid for: adds what it moved to the expected balances, notes what is wrong.
    look: Callable[[House, Balances, list[str]], list[str]] = lambda _house, _expected, _wrong: []


@dataclass(frozen=True)
class Point:
    """Where trouble may come: ``kind`` is message, notice, bank or job."""

    kind: str
    name: str
    nth: int  # of its name; of all calls to the bank; of all jobs
    shown: str


@dataclass
class Result:
    """What a run came to; ``books`` are the accounts that it changed, ``wrong`` what must not be."""

    outcome: str = ""
    books: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def run(
    flow: Flow, make_house: Callable[[], House], point: Point | None, trouble: str
) -> tuple[House, Result]:
    """Run a flow with one trouble to its end and look at what it has left."""
    house = make_house()
    for fsp, bank in house.banks.items():
        troubled = TroubledBank(lambda: house.engine.now_ms)
        troubled.accounts, troubled.parties = bank.accounts, bank.parties
        house.banks[fsp] = troubled
    house.switch.expires = True
    flow.prepare(house)
    for bank in house.banks.values():
        bank.calls.clear()
    if point is not None:
        _make_trouble(house, point, trouble)
    before = _accounts(house)
    flow.start(house)
    for _ in range(TURNS_MAX):
        flow.go_on(house)
        house.run_until_all_ended(limit_s=20)
        if not house.running() and not house.switch.waiting and not house.line:
            break
    house.run_until_all_ended()
    return house, _look_at(house, before, flow)


def points(flow: Flow, make_house: Callable[[], House]) -> list[Point]:
    """Learn the points of a flow from a run without trouble."""
    house, result = run(flow, make_house, None, "")
    assert not result.wrong, (flow.name, result.wrong)
    found: list[Point] = []
    for kind, names in (("message", house.names()), ("notice", house.switch.notices)):
        seen: Counter[str] = Counter()
        for name in names:
            found.append(Point(kind, name, seen[name], _numbered(name, seen[name])))
            seen[name] += 1
    for fsp, bank in house.banks.items():
        seen = Counter()
        for index, call in enumerate(bank.calls):
            found.append(Point("bank", fsp, index, _numbered(f"{fsp}'s bank: {call}", seen[call])))
            seen[call] += 1
    seen = Counter()
    for index, (tenant, job) in enumerate(house.jobs):
        name = f"{tenant}: {job}"
        found.append(Point("job", name, index, _numbered(name, seen[name])))
        seen[name] += 1
    return found


def troubles_of(point: Point) -> Iterator[str]:
    """Return the kinds of trouble that a point may meet."""
    match point.kind:
        case "message":
            yield from MESSAGE_TROUBLES
            if point.name in ("PUT transfers", "PUT bulkTransfers"):
                yield from ("tampered", "not told")
        case "notice":
            yield from NOTICE_TROUBLES
        case "bank":
            yield from BANK_TROUBLES
        case _:
            yield "engine down"


def _numbered(name: str, nth: int) -> str:
    return name if nth == 0 else f"{name} ({nth + 1})"


def _make_trouble(house: House, point: Point, trouble: str) -> None:
    match point.kind:
        case "message" | "notice":
            fates = {**MESSAGE_TROUBLES, "tampered": ["tamper"], "not told": ["silent"]}[trouble]
            house.weather[point.name] = [""] * point.nth + fates
        case "bank":
            bank = house.banks[point.name]
            bank.nth, bank.trouble = point.nth, trouble
        case _:
            house.crashes.add(point.nth)


def _accounts(house: House) -> dict[tuple[str, str], Decimal]:
    return {
        (fsp, name): account.balance
        for fsp, bank in house.banks.items()
        for name, account in bank.accounts.items()
    }


def _look_at(house: House, before: Balances, flow: Flow) -> Result:
    result = Result()
    wrong = result.wrong
    wrong += [f"{one.process} of {one.tenant} still runs" for one in house.running()]
    mine = {one.key for one in house.instances()}
    incidents = [one for one in house.engine.state.incidents() if one.instance in mine]
    wrong += [f"incident at {one.element}: {one.message}" for one in incidents]
    wrong += [f"the engine refused: {one.code}" for one in house.refused if one.code != "key-reused"]
    for fsp, bank in house.banks.items():
        wrong += [f"{fsp} holds {a.held()} of {n}" for n, a in bank.accounts.items() if _held(a)]
    expected = dict(before)
    payments = instances(house, PAYER_FUND_TRANSFER)
    wrong += [text for payment in payments for text in _counted_wrong(house, payment)]
    outcomes = [_expect(house, payment, expected, wrong) for payment in payments]
    outcomes += _requested(house, outcomes, wrong)
    outcomes += flow.look(house, expected, wrong)
    actual = _accounts(house)
    wrong += [
        f"{key}: {actual[key]} instead of {expected[key]}" for key in before if actual[key] != expected[key]
    ]
    result.books = [
        f"{fsp.title()}'s account {name}: {actual[fsp, name] - before[fsp, name]:+}."
        for fsp, name in before
        if actual[fsp, name] != before[fsp, name]
    ]
    result.outcome = " + ".join(outcomes) or "nothing was asked for"
    return result


def _counted_wrong(house: House, payment: Any) -> list[str]:
    """Tell where what counts against limits is not what a payment has moved; a refund never counts."""
    variables, taken = payment.variables, house.engine.state.document(payment.key).allowances or {}
    allowance = taken.get("")
    counts = None if allowance is None else (allowance.member, allowance.minor)
    is_refund = variables["transactionType"]["scenario"] == "REFUND"
    moved = None
    if variables.get("paymentState") == "COMPLETED" and "limits" in variables and not is_refund:
        transferred = money_of(FspMoney(**variables["quoteTerms"]["transferAmount"]))
        moved = (variables["payerAccount"], transferred.minor)
    return [] if counts == moved else [f"{counts} counts, {moved} was moved"]


def _held(account: BankAccount) -> bool:
    return account.held() != 0


def instances(house: House, process: str) -> list[Any]:
    """Return the instances of a process in the order in which they were started."""
    return [record for record in house.instances() if record.process == process]


def _expect(house: House, payment: Any, expected: dict[tuple[str, str], Decimal], wrong: list[str]) -> str:
    """Add what a payment must have moved to the expected balances, and compare what its parties say."""
    variables = payment.variables
    state = variables.get("paymentState")
    transaction = variables["transactionId"]
    theirs = [one for one in instances(house, PAYEE_QUOTE_TRANSFER) if one.payment == transaction]
    said = {one.variables.get("paymentState") for one in theirs} - {None}
    transfer = house.transfers.get(variables["transferId"])
    settled = transfer is not None and transfer.state == "COMMITTED"
    if variables.get("direct"):
        settled = "COMPLETED" in said  # what the payee's engine has committed is the outcome
        entries = [payment.variables.get("clearing"), *(one.variables.get("clearing") for one in theirs)]
        if entries != [entries[0]] * len(entries) or (state == "COMPLETED") is (entries[0] is None):
            wrong.append(f"payer {state}, clearing: {entries}")
    if transfer is not None and transfer.state not in ("COMMITTED", "ABORTED"):
        wrong.append(f"the scheme has left the transfer {transfer.state}")
    is_on_us = variables.get("payeeFsp") == variables["payer"]["fspId"]
    if state != "COMPLETED":
        if settled or "COMPLETED" in said:
            wrong.append(f"payer {state}, payee {said}, settled: {settled}")
        return " / ".join([code_of(payment), *(code_of(one) for one in theirs)])
    if not is_on_us and (not settled or said != {"COMPLETED"}):
        wrong.append(f"payer {state}, payee {said}, settled: {settled}")
    terms = variables["quoteTerms"]
    account = (payment.tenant, variables["payerAccount"])
    expected[account] -= _decimal(terms["transferAmount"]) + Decimal(variables.get("payerServiceFee", 0))
    fsp = variables["payeeFsp"]
    payee = (fsp, house.banks[fsp].parties[variables["partyKey"]])
    expected[payee] += _decimal(terms["payeeReceiveAmount"])
    return "paid"


def _requested(house: House, outcomes: list[str], wrong: list[str]) -> list[str]:
    """Look at the requests to pay: one that is done has been paid; tell how one ended that is not."""
    told = []
    for request in instances(house, PAYEE_TRANSACTION_REQUEST):
        if request.variables.get("paymentState") != "COMPLETED":
            told.append(f"request {code_of(request)}")
        elif "paid" not in outcomes:
            wrong.append("a request is done, but not paid")
    return told


def code_of(record: Any) -> str:
    error = record.variables.get("error") or {}
    return str(error.get("code", record.variables.get("paymentState")))


def _decimal(amount: dict[str, str]) -> Decimal:
    return Decimal(money_of(FspMoney(**amount)).decimal_text())
