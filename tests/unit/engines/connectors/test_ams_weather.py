"""Banks of either kind in any weather: requests that fail, come late or twice, and leaders that start anew.

Whatever happens, a payment ends in one of two states, and the books say the same: taken once with nothing
held, or not taken with nothing held. A credit and a repayment are done once.
"""

import random
from decimal import Decimal

import msgspec
import pytest
from support.contract_bank import ContractAccount, ContractBank
from unit.engines.connectors.connector_kit import job, with_transfer_id
from unit.engines.connectors.fake_bank import BankAccount, FakeBank

from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.jobs import AmsJobs
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import UnreachableError
from payhub_engines.connectors.job import BpmnError, JobFailedError

SEEDS = range(150)
ATTEMPTS_MAX = 200
BEFORE = Decimal(1000)
FATES = ["", "", "", "lose", "late", "down", "twice", "poor"]


class Weather:
    """Stands between the connector and a bank; ``calms`` when everything is to come to its end."""

    def __init__(self, bank, rng):
        self.bank = bank
        self.rng = rng
        self.late = []
        self.calm = False

    async def request(self, method, url, **options):
        if self.late and self.rng.random() < 0.2:
            await self.arrive()
        fate = "" if self.calm else self.rng.choice(FATES)
        if fate == "down":
            raise UnreachableError("down")
        if fate == "late" and method != "GET":
            self.late.append((method, url, options))
            raise UnreachableError("no answer in time")
        account = self.bank.accounts["A1"]
        if fate == "poor":  # somebody else spends, and is paid later
            account.balance -= 950
        if fate == "twice" and method != "GET":
            await self.bank.request(method, url, **options)
        try:
            answer = await self.bank.request(method, url, **options)
        finally:
            if fate == "poor":
                account.balance += 950
        if fate == "lose":
            raise UnreachableError("connection lost")
        return answer

    async def arrive(self):
        """Let something come through that was sent long ago."""
        method, url, options = self.late.pop(self.rng.randrange(len(self.late)))
        await self.bank.request(method, url, **options)

    async def arrive_all(self):
        while self.late:
            await self.arrive()


def bank_of(kind):
    if kind == "contract":
        return ContractBank(
            accounts={"A1": ContractAccount(BEFORE), "A2": ContractAccount(Decimal(0))},
            loans={"L1": Decimal(0)},
        )
    bank = FakeBank()
    bank.accounts = {"A1": BankAccount(BEFORE), "A2": BankAccount(Decimal(0))}
    bank.loans = {"L1": {}}
    bank.idempotent = "keys" not in kind
    bank.has_books = "books" not in kind
    return bank


def held(account):
    return account.held() if callable(account.held) else account.held


@pytest.fixture(
    params=[
        "fineract",
        "fineract without keys",
        "fineract without books",
        "fineract: no keys, no books",
        "contract",
    ]
)
def kind(request):
    return request.param


@pytest.fixture
def house(kind, tenants, context, secrets, clock):
    contract = {"kind": "contract", "base_url": "http://bank.test/payhub", "platform_tenant": ""}
    own = {
        name: msgspec.structs.replace(
            tenant,
            ams=msgspec.structs.replace(tenant.ams, **contract) if kind == "contract" else tenant.ams,
        )
        for name, tenant in tenants.items()
    }
    own_context = ConnectorContext(
        tenant=own.__getitem__,
        http=context.http,
        secrets=secrets,
        clock=clock,
        tracing=context.tracing,
    )

    def start(seed):
        rng = random.Random(f"{kind}/{seed}")
        weather = Weather(bank_of(kind), rng)
        return weather, Engine(weather, own_context, clock, rng)

    return start


class Engine:
    """Does a job as the engine does: again after each failure, sometimes by a new leader with no memory."""

    def __init__(self, weather, context, clock, rng):
        self.weather, self.context, self.clock, self.rng = weather, context, clock, rng
        self._start()

    def _start(self):
        self.ams = AmsJobs(CoreBanks(lambda _session: self.weather))

    async def do(self, kind, variables, tenant="buffalo"):
        """Return once it is done; raises BpmnError where it is refused."""
        attempt = 1
        for number in range(ATTEMPTS_MAX):
            self.weather.calm = number > ATTEMPTS_MAX // 2
            try:
                result = await self.ams.handlers()[kind](job(kind, variables, tenant, attempt), self.context)
            except JobFailedError as failure:
                self.clock.now_ms += failure.retry_after_ms
            except BpmnError:
                if self.weather.calm or self.rng.random() < 0.8:
                    raise
                self._start()  # crashed before it was written down
                continue
            else:
                if self.weather.calm or self.rng.random() < 0.8:
                    return result
                self._start()
                continue
            if self.rng.random() < 0.8:
                attempt += 1
            else:
                self._start()
        raise AssertionError(f"{kind} did not come to an end")


@pytest.mark.parametrize("block", range(5))
async def test_a_payment_is_taken_once_or_not_at_all(house, funded, block):
    ends = set()
    for seed in SEEDS[block::5]:
        weather, engine = house(seed)
        variables = {**funded, "transferId": f"t-{seed}"}
        try:
            await engine.do("ams-reserve", variables)
        except BpmnError:
            end, taken = "refused", Decimal(0)
        else:
            assert held(weather.bank.accounts["A1"]) == Decimal("102.00"), seed
            end = weather.rng.choice(["ams-commit", "ams-release"])
            await engine.do(end, variables)
            taken = BEFORE - weather.bank.accounts["A1"].balance
            assert (taken > 0) == (end == "ams-commit"), seed
        await weather.arrive_all()
        account = weather.bank.accounts["A1"]
        assert held(account) == 0, seed
        assert BEFORE - account.balance == taken, seed
        assert taken in {Decimal(0), Decimal("100.50"), Decimal("102.00")}, seed
        ends.add(end)
    assert ends == {"refused", "ams-commit", "ams-release"}


@pytest.mark.parametrize("block", range(5))
async def test_credits_and_repayments_are_done_once(house, prepared, kind, block):
    for seed in SEEDS[block::5]:
        weather, engine = house(seed)
        await engine.do("ams-credit", with_transfer_id(prepared, seed), "lion")
        loan = {"transferId": f"t-{seed}", "loanAccount": "L1", "amount": {"amount": "40", "currency": "KES"}}
        if "books" not in kind:  # docs/ams.md: without them, a repetition that is refused waits for people
            await engine.do("ams-repay-loan", loan)
        await weather.arrive_all()
        assert weather.bank.accounts["A2"].balance == Decimal("100.50"), seed
        loans = weather.bank.loans["L1"]
        repaid = -loans if kind == "contract" else sum(loans.values())
        assert repaid == (0 if "books" in kind else 40), seed
