"""A small Fineract for tests: an HttpClient with the states that its transfers have."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from urllib.parse import parse_qs, unquote, urlsplit

from payhub_engines.connectors.http import HttpAnswer, UnreachableError

RULE = "validation.msg.domain.rule.violation"
MISSING = "error.msg.resource.not.found"
INSUFFICIENT = "error.msg.savingsaccount.transaction.insufficient.account.balance"
HOLD_MISSING = "error.msg.interop.onhold.transfer.missing"


@dataclass
class BankAccount:
    balance: Decimal
    currency: str = "KES"
    status: str = "ACTIVE"
    sub_status: str = "NONE"
    deposit_type: str = "SAVINGS_DEPOSIT"
    holds: dict[str, tuple[Decimal, str]] = field(
        default_factory=dict
    )  # code -> amount, HELD/RELEASED/COMMITTED
    credits: set[str] = field(default_factory=set)

    def held(self) -> Decimal:
        return sum((amount for amount, state in self.holds.values() if state == "HELD"), Decimal(0))


class FakeBank:
    """Answers as Fineract does; ``lose_answers`` books and then breaks the connection."""

    def __init__(self) -> None:
        self.accounts: dict[str, BankAccount] = {}
        self.parties: dict[str, str] = {}
        self.fee = "0.000000"
        self.payee_fee = "0.000000"
        self.lose_answers = 0
        self.down = False
        self.forbidden = False
        self.idempotent = True
        self.requests: list[tuple[str, str, dict[str, str], dict[str, object]]] = []
        self._answers: dict[tuple[str, str], HttpAnswer] = {}

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> HttpAnswer:
        assert timeout_s > 0
        parts = urlsplit(url)
        segments = [unquote(part) for part in parts.path.partition("/interoperation/")[2].split("/")]
        content = json.loads(body) if body else {}
        action = parse_qs(parts.query).get("action", [""])[0]
        self.requests.append((method, segments[0] + action, dict(headers), content))
        if self.down:
            raise UnreachableError("down")
        if self.forbidden:
            return _error(403, "error.msg.not.authorized", "error.msg.not.authorized")
        answer = self._idempotent(method, segments, content, action, headers.get("Idempotency-Key", ""))
        if segments[0] == "transfers" and self.lose_answers > 0:
            self.lose_answers -= 1
            raise UnreachableError("connection lost")
        return answer

    def _idempotent(self, method, segments, content, action, key) -> HttpAnswer:
        if not key or not self.idempotent:
            return self._answer(method, segments, content, action)
        if (action, key) not in self._answers:
            self._answers[action, key] = self._answer(method, segments, content, action)
        return self._answers[action, key]

    def _answer(self, method, segments, content, action) -> HttpAnswer:
        match method, segments:
            case "GET", ["parties", kind, identifier, *_]:
                account = self.parties.get(f"{kind}/{identifier}")
                if account is None:
                    return _error(404, MISSING, "error.msg.interop.account.not.found")
                return _ok({"accountId": account, "resourceId": 7})
            case "GET", ["accounts", name]:
                account = self.accounts[name]
                state = {"currency": account.currency, "status": account.status}
                state |= {"subStatus": account.sub_status, "depositType": account.deposit_type}
                return _ok({"accountId": name, "activatedOn": [2024, 1, 5], **state})
            case "POST", ["quotes"]:
                account = self.accounts[content["accountId"]]
                wanted = Decimal(content["amount"]["amount"]) + Decimal(self.fee)
                is_payer = content["transactionRole"] == "PAYER"
                if is_payer and account.balance - account.held() < wanted:
                    return _error(403, RULE, INSUFFICIENT + ".withdraw")
                charged = self.fee if is_payer else self.payee_fee
                fee = f'{{"amount":{charged},"currency":"KES"}}'  # a JSON number with six decimals
                text = f'{{"quoteCode":"q","fspFee":{fee},"state":"ACCEPTED"}}'
                return HttpAnswer(status=200, body=text.encode())
            case "POST", ["transfers"]:
                assert "expiration" not in content
                return self._transfer(content, action)
        raise AssertionError(f"{method} {segments}")

    def _transfer(self, content, action) -> HttpAnswer:
        account, code = self.accounts[content["accountId"]], content["transferCode"]
        amount = Decimal(content["amount"]["amount"])
        total = amount + Decimal(content["fspFee"]["amount"])
        if content["transactionRole"] == "PAYEE":
            refused = self._credit(account, code, amount, action)
        else:
            decide = {"PREPARE": self._prepare, "CREATE": self._create, "RELEASE": self._release}[action]
            refused = decide(account, code, amount, total)
        done = {"transferCode": code, "transactionCode": content["transactionCode"], "state": "ACCEPTED"}
        return refused or _ok(done)

    def _credit(self, account, code, amount, action) -> HttpAnswer | None:
        if action != "CREATE" or code in account.credits:
            return _error(403, RULE, "error.msg.interop.transfer.already.on.hold")
        if account.sub_status.startswith("BLOCK"):
            return _error(403, RULE, "error.msg.savings.account.credit.transaction.not.allowed")
        account.credits.add(code)
        account.balance += amount
        return None

    def _prepare(self, account, code, _amount, total) -> HttpAnswer | None:
        if account.balance - account.held() < total:
            return _error(403, RULE, INSUFFICIENT)
        if code in account.holds:
            return _error(403, RULE, "error.msg.interop.transfer.already.committed")
        account.holds[code] = (total, "HELD")
        return None

    def _create(self, account, code, amount, total) -> HttpAnswer | None:
        held, state = account.holds.get(code, (None, "NONE"))
        if state == "COMMITTED":
            return _error(403, RULE, "error.msg.interop.transfer.already.on.hold")
        if held != total:
            return _error(404, MISSING, HOLD_MISSING)
        account.holds[code] = (total, "COMMITTED")  # also after RELEASED: Fineract's quirk
        account.balance -= amount
        return None

    def _release(self, account, code, _amount, total) -> HttpAnswer | None:
        if account.holds.get(code, (None, "NONE"))[1] != "HELD":
            return _error(404, MISSING, HOLD_MISSING)
        account.holds[code] = (total, "RELEASED")
        return None


def _ok(content) -> HttpAnswer:
    return HttpAnswer(status=200, body=json.dumps(content).encode())


def _error(status: int, code: str, inner: str) -> HttpAnswer:
    errors = [{"userMessageGlobalisationCode": inner, "value": None}] * 2
    body = {"httpStatusCode": str(status), "userMessageGlobalisationCode": code, "errors": errors}
    return HttpAnswer(status=status, body=json.dumps(body).encode())
