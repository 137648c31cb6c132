"""A small Fineract for tests: an HttpClient with the states that its transfers have."""

import asyncio
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
    credits: dict[str, Decimal] = field(default_factory=dict)
    withdrawn: dict[str, Decimal] = field(default_factory=dict)
    charges: list[dict[str, object]] = field(default_factory=list)  # as Fineract lists them
    charged: Decimal = Decimal(0)  # what each withdrawal takes besides, quoted or not

    def rows(self) -> list[dict[str, object]]:
        """Return the savings transactions, as Fineract lists them."""
        rows = []
        for code, (amount, state) in self.holds.items():
            release = {} if state == "HELD" else {"releaseTransactionId": 7}
            rows.append({**_row(20, code, amount), **release})
        rows += [_row(2, code, amount) for code, amount in self.withdrawn.items()]
        return rows + [_row(1, code, amount) for code, amount in self.credits.items()]

    def held(self) -> Decimal:
        return sum((amount for amount, state in self.holds.values() if state == "HELD"), Decimal(0))


class FakeBank:
    """Answers as Fineract does.

    ``lose_answers`` books and then breaks the connection; ``late`` breaks it first and books when
    ``catch_up`` is called; ``alter`` changes the next answers of transfers; ``has_books`` is False for
    Fineract before 1.9, which has no savings account by external id.
    """

    def __init__(self) -> None:
        self.accounts: dict[str, BankAccount] = {}
        self.parties: dict[str, str] = {}
        self.fee = "0.000000"
        self.payee_fee = "0.000000"
        self.lose_answers = 0
        self.late = 0
        self.alter: list[dict[str, object]] = []
        self.has_books = True
        self.swapped = True  # the two codes of repetitions, as in Fineract 1.8.4 to 1.11
        self.down = False
        self.doubled = False  # something on the way delivers each request twice
        self.gate = asyncio.Event()  # nothing is answered before it is set
        self.gate.set()
        self.running = 0
        self.running_most = 0
        self.loans: dict[str, dict[str, Decimal]] = {}
        self.forbidden = False
        self.idempotent = True
        self.unlisted: set[str] = set()  # accounts that the savings API does not know
        self.requests: list[tuple[str, str, dict[str, str], dict[str, object]]] = []
        self._answers: dict[tuple[str, str], HttpAnswer] = {}
        self._waiting: list[tuple[str, list[str], dict[str, object], str, str]] = []

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
        assert timeout_s > 0
        self.running += 1
        self.running_most = max(self.running, self.running_most)
        try:
            await self.gate.wait()
            return self._request(method, url, headers, body)
        finally:
            self.running -= 1

    def keep(self, action: str, key: str, answer: HttpAnswer) -> None:
        """Keep an answer under an idempotency key."""
        self._answers[action, key] = answer

    def catch_up(self) -> None:
        """Do what came in and was not answered in time."""
        for call in self._waiting:
            self._idempotent(*call)
        self._waiting.clear()

    def _request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        parts = urlsplit(url)
        path = parts.path.partition("/api/v1/")[2].removeprefix("interoperation/")
        segments = [unquote(part) for part in path.split("/")]
        content = json.loads(body) if body else {}
        query = parse_qs(parts.query)
        action = query.get("action", query.get("associations", [""]))[0]
        self.requests.append((method, segments[0] + action, dict(headers), content))
        if self.down:
            raise UnreachableError("down")
        if self.forbidden:
            return _error(403, "error.msg.not.authorized", "error.msg.not.authorized")
        call = method, segments, content, action, headers.get("Idempotency-Key", "")
        if method == "POST" and segments[0] != "quotes" and self.late > 0:
            self.late -= 1
            self._waiting.append(call)
            raise UnreachableError("no answer in time")
        if self.doubled:
            self._idempotent(*call)
        answer = self._idempotent(*call)
        if method == "POST" and segments[0] != "quotes" and self.lose_answers > 0:
            self.lose_answers -= 1
            raise UnreachableError("connection lost")
        if segments[0] == "transfers" and self.alter:
            return _ok({**json.loads(answer.body), **self.alter.pop(0)})
        return answer

    def _idempotent(self, method, segments, content, action, key) -> HttpAnswer:
        if not key or not self.idempotent:
            return self._answer(method, segments, content, action)
        if (action, key) not in self._answers:
            self._answers[action, key] = self._answer(method, segments, content, action)
        return self._answers[action, key]

    def _answer(self, method, segments, content, action) -> HttpAnswer:
        answers = {
            "GET parties": self._party,
            "GET accounts": self._account,
            "GET savingsaccounts": self._savings,
            "GET loans": self._loan,
            "POST quotes": self._quote,
            "POST transfers": self._transfer,
            "POST transactions": self._repay,
        }
        return answers[f"{method} {segments[0]}"](segments[1:], content, action)

    def _party(self, segments, _content, _action) -> HttpAnswer:
        account = self.parties.get("/".join(segments[:2]))
        if account is None:
            return _error(404, MISSING, "error.msg.interop.account.not.found")
        if account == "SHARED":  # by two accounts: Fineract fails on it
            return HttpAnswer(status=500, body=b'{"status":500}')
        return _ok({"accountId": account, "resourceId": 7})

    def _account(self, segments, _content, _action) -> HttpAnswer:
        if segments[0] not in self.accounts:
            return _error(404, MISSING, "error.msg.saving.account.id.invalid")
        if segments[1:] == ["identifiers"]:
            rows = [key.split("/") for key, account in self.parties.items() if account == segments[0]]
            return _ok({"identifiers": [{"idType": kind, "idValue": value} for kind, value in rows]})
        assert segments[1:] == []  # "transactions" is broken since Fineract 1.10
        account = self.accounts[segments[0]]
        state = {"currency": account.currency, "status": account.status}
        state |= {"subStatus": account.sub_status, "depositType": account.deposit_type}
        state |= {"accountBalance": float(account.balance)}
        state |= {"availableBalance": float(account.balance - account.held())}
        return _ok({"accountId": segments[0], "activatedOn": [2024, 1, 5], **state})

    def _savings(self, segments, _content, action) -> HttpAnswer:
        if not self.has_books:
            return HttpAnswer(status=404, body=b'{"status":404,"error":"Not Found"}')
        if segments[1] in self.unlisted:
            return _error(404, MISSING, "error.msg.saving.account.id.invalid")
        account = self.accounts[segments[1]]
        told = {"transactions": account.rows(), "charges": account.charges}
        return _ok({"id": 5, "externalId": segments[1], action: told[action]})

    def _loan(self, segments, _content, _action) -> HttpAnswer:
        if not self.has_books:
            return HttpAnswer(status=403, body=b"{}")
        if not segments:
            rows = [{"id": number, "accountNo": loan} for number, loan in enumerate(self.loans, 1)]
            return _ok({"totalFilteredRecords": len(rows), "pageItems": rows})
        repaid = list(self.loans.values())[int(segments[0]) - 1]
        rows = [{"id": 9, "amount": float(amount), "externalId": code} for code, amount in repaid.items()]
        return _ok({"id": int(segments[0]), "transactions": rows})

    def _quote(self, _segments, content, _action) -> HttpAnswer:
        account = self.accounts[content["accountId"]]
        wanted = Decimal(content["amount"]["amount"]) + Decimal(self.fee)
        is_payer = content["transactionRole"] == "PAYER"
        if is_payer and account.balance - account.held() < wanted:
            return _error(403, RULE, INSUFFICIENT + ".withdraw")
        charged = self.fee if is_payer else self.payee_fee
        currency = content["amount"]["currency"]
        fee = f'{{"amount":{charged},"currency":"{currency}"}}'  # a JSON number with six decimals
        text = f'{{"quoteCode":"{content["quoteCode"]}","fspFee":{fee},"state":"ACCEPTED"}}'
        return HttpAnswer(status=200, body=text.encode())

    def _transfer(self, _segments, content, action) -> HttpAnswer:
        assert "expiration" not in content
        assert action != "PREPARE" or content["transactionRole"] == "PAYER"  # for a payee it does nothing
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
            return self._used("CREATE")
        if account.sub_status.startswith("BLOCK"):
            return _error(403, RULE, "error.msg.savings.account.credit.transaction.not.allowed")
        account.credits[code] = amount
        account.balance += amount
        return None

    def _prepare(self, account, code, _amount, total) -> HttpAnswer | None:
        if account.balance - account.held() < total:
            return _error(403, RULE, INSUFFICIENT)
        if code in account.holds:
            return self._used("PREPARE")
        account.holds[code] = (total, "HELD")
        return None

    def _create(self, account, code, amount, total) -> HttpAnswer | None:
        held, state = account.holds.get(code, (None, "NONE"))
        if state == "COMMITTED":
            return self._used("CREATE")
        if held != total:
            return _error(404, MISSING, HOLD_MISSING)
        account.holds[code] = (total, "COMMITTED")  # also after RELEASED: Fineract's quirk
        account.withdrawn[code] = amount
        account.balance -= amount + account.charged
        return None

    def _used(self, action) -> HttpAnswer:
        what = "on.hold" if (action == "CREATE") == self.swapped else "committed"
        return _error(403, RULE, f"error.msg.interop.transfer.already.{what}")

    def _repay(self, segments, content, _action) -> HttpAnswer:
        loan = segments[0]
        assert segments[1:] == ["loanrepayment"]
        if loan not in self.loans:
            return _error(404, MISSING, "error.msg.loan.account.id.invalid")
        if content["externalId"] in self.loans[loan]:
            return _error(403, "error.msg.data.integrity.issue", "error.msg.data.integrity.issue")
        self.loans[loan][content["externalId"]] = Decimal(content["transactionAmount"])
        return _ok({"resourceId": 9, "loanId": 1})

    def _release(self, account, code, _amount, total) -> HttpAnswer | None:
        if account.holds.get(code, (None, "NONE"))[1] != "HELD":
            return _error(404, MISSING, HOLD_MISSING)
        account.holds[code] = (total, "RELEASED")
        return None


def _row(kind, code, amount) -> dict[str, object]:
    detail = {"receiptNumber": code, "routingCode": "INTEROPERATION"}
    return {"id": 1, "transactionType": {"id": kind}, "amount": float(amount), "paymentDetailData": detail}


def _ok(content) -> HttpAnswer:
    return HttpAnswer(status=200, body=json.dumps(content).encode())


def _error(status: int, code: str, inner: str) -> HttpAnswer:
    errors = [{"userMessageGlobalisationCode": inner, "value": None}] * 2
    body = {"httpStatusCode": str(status), "userMessageGlobalisationCode": code, "errors": errors}
    return HttpAnswer(status=status, body=json.dumps(body).encode())
