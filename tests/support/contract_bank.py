"""A core bank that speaks payhub's AMS contract, held in memory: an HttpClient with faults on purpose.

Each request and each answer is checked against the contract's own OpenAPI file, so that neither the
connector nor this bank can leave it unnoticed.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema
import yaml

from payhub_engines.connectors import ams
from payhub_engines.connectors.ams.contract_api import STATUSES
from payhub_engines.connectors.http import HttpAnswer, UnreachableError

CONTRACT = yaml.safe_load((Path(ams.__path__[0]) / "ams-contract.yaml").read_text(encoding="utf-8"))
CREDENTIALS = "Basic cGF5aHViOnNlY3JldC1vZi10aGUtYmFuaw=="  # payhub:secret-of-the-bank


class Refusal(Exception):  # noqa: N818 - a bank's, no failure of the test
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class ContractAccount:
    balance: Decimal
    currency: str = "KES"
    status: str = "ACTIVE"
    may_pay: bool = True
    may_receive: bool = True
    held: Decimal = Decimal(0)


@dataclass
class ContractBank:
    """``lose_answers`` acts and then breaks the connection; ``late`` breaks it and acts on ``catch_up``.

    ``alter`` changes the next answers of acts. ``defects`` are what a bank may do wrong, by name.
    """

    accounts: dict[str, ContractAccount] = field(default_factory=dict)
    identifiers: dict[str, str] = field(default_factory=dict)
    loans: dict[str, Decimal] = field(default_factory=dict)
    fee: str = "0.00"
    payee_fee: str = "0.00"
    lose_answers: int = 0
    late: int = 0
    alter: list[dict[str, object]] = field(default_factory=list)
    defects: set[str] = field(default_factory=set)
    down: bool = False
    doubled: bool = False  # something on the way delivers each request twice
    requests: list[tuple[str, str]] = field(default_factory=list)
    references: dict[str, dict[str, object]] = field(default_factory=dict)
    _waiting: list[tuple[str, list[str], dict[str, object]]] = field(default_factory=list)

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
        await asyncio.sleep(0)
        parts = urlsplit(url)
        segments = [unquote(part) for part in parts.path.partition("/payhub/")[2].split("/")]
        content = json.loads(body) if body else {}
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append((method, "/".join(segments)))
        if self.down:
            raise UnreachableError("down")
        if headers.get("Authorization") != CREDENTIALS and "no-credentials" not in self.defects:
            return HttpAnswer(status=401)
        operation = operation_of(method, segments)
        check_request(operation, content)
        is_act = method != "GET"
        if is_act and self.late:
            self.late -= 1
            self._waiting.append((method, segments, content))
            raise UnreachableError("no answer in time")
        if self.doubled:
            self._answer(method, segments, content, query)
        answer = self._answer(method, segments, content, query)
        if is_act and self.lose_answers:
            self.lose_answers -= 1
            raise UnreachableError("connection lost")
        if not self.defects:
            check_answer(operation, answer)
        if is_act and self.alter:
            return json_answer(200, {**json.loads(answer.body), **self.alter.pop(0)})
        return answer

    def catch_up(self) -> None:
        """Do what came in and was not answered in time."""
        for method, segments, content in self._waiting:
            self._answer(method, segments, content, {})
        self._waiting.clear()

    def _answer(self, method, segments, content, query) -> HttpAnswer:
        try:
            return json_answer(200, self._do(method, segments, content, query))
        except Refusal as refusal:
            status = 200 if "refusals-as-success" in self.defects else STATUSES[refusal.code]
            problem = {"type": "about:blank", "title": "no", "status": status, "code": refusal.code}
            return json_answer(status, problem)

    def _do(self, method, segments, content, query) -> dict[str, object]:
        if method == "GET":
            return self._read(segments, query)
        kind, reference = segments[:2]
        if segments[2:] == ["commit"]:
            return self._commit(reference)
        if segments[2:] == ["release"]:
            return self._release(reference)
        act = {"reservations": self._reserve, "credits": self._credit, "loan-repayments": self._repay}[kind]
        return self._once(f"{kind}/{reference}", content, act)

    def _read(self, segments, query) -> dict[str, object]:
        match segments:
            case ["accounts", "by-identifier", kind, value]:
                return self._find(kind, value)
            case ["accounts", name]:
                return self._account(name)
            case ["accounts", name, "fee"]:
                self._usable(name, query["currency"])
                fee = self.fee if query["side"] == "PAYER" else self.payee_fee
                return {"fee": {"amount": fee, "currency": query["currency"]}}
        return self._known(*segments)

    def _find(self, kind, value) -> dict[str, object]:
        account = self.identifiers.get(f"{kind}/{value}")
        if account is None:
            if "finds-anybody" in self.defects:
                return {"accountId": next(iter(self.accounts))}
            raise Refusal("unknown-identifier")
        return {"accountId": account}

    def _account(self, name) -> dict[str, object]:
        account = self._existing(name)
        available = account.balance - account.held
        rows = [key.split("/") for key, owner in self.identifiers.items() if owner == name]
        return {
            "accountId": name,
            "currency": account.currency,
            "status": account.status,
            "mayPay": account.may_pay,
            "mayReceive": account.may_receive,
            "balance": {"amount": f"{account.balance:.2f}", "currency": account.currency},
            "available": {"amount": f"{available:.2f}", "currency": account.currency},
            "identifiers": [{"type": kind, "value": value} for kind, value in rows],
        }

    def _existing(self, name) -> ContractAccount:
        if name not in self.accounts:
            raise Refusal("unknown-account")
        return self.accounts[name]

    def _usable(self, name, currency) -> ContractAccount:
        account = self._existing(name)
        if account.status != "ACTIVE":
            raise Refusal("account-blocked" if account.status == "BLOCKED" else "account-inactive")
        if account.currency != currency and "any-currency" not in self.defects:
            raise Refusal("other-currency")
        return account

    def _known(self, kind, reference) -> dict[str, object]:
        known = self.references.get(f"{kind}/{reference}")
        if known is None or "no-status" in self.defects:
            raise Refusal("unknown-reference")
        return self._told(known)

    def _told(self, known) -> dict[str, object]:
        return {name: value for name, value in known.items() if name != "content"}

    def _once(self, key, content, act) -> dict[str, object]:
        known = self.references.get(key)
        if known is not None and not (key.startswith("credits/") and "credits-twice" in self.defects):
            if known.get("state") == "RELEASED" and "reserves-after-release" not in self.defects:
                raise Refusal("reservation-released")
            if known["content"] != content and "reference-reuse" not in self.defects:
                raise Refusal("reference-reused")
            if "holds-twice" not in self.defects:
                return self._told(known)
        done = act(content)
        self.references[key] = {"reference": key.partition("/")[2], **done, "content": content}
        return self._told(self.references[key])

    def _reserve(self, content) -> dict[str, object]:
        account = self._usable(content["accountId"], content["amount"]["currency"])
        if not account.may_pay:
            raise Refusal("account-blocked")
        total = Decimal(content["amount"]["amount"]) + Decimal(content["fee"]["amount"])
        if account.balance - account.held < total and "overdraws" not in self.defects:
            raise Refusal("insufficient-funds")
        account.held += 0 if "holds-nothing" in self.defects else total
        return {name: content[name] for name in ("accountId", "amount", "fee")} | {"state": "HELD"}

    def _credit(self, content) -> dict[str, object]:
        account = self._usable(content["accountId"], content["amount"]["currency"])
        if not account.may_receive:
            raise Refusal("account-blocked")
        account.balance += Decimal(content["amount"]["amount"])
        return {name: content[name] for name in ("accountId", "amount")}

    def _repay(self, content) -> dict[str, object]:
        if content["loanAccountId"] not in self.loans:
            raise Refusal("unknown-account")
        self.loans[content["loanAccountId"]] -= Decimal(content["amount"]["amount"])
        return {name: content[name] for name in ("loanAccountId", "amount")}

    def _commit(self, reference) -> dict[str, object]:
        known = self.references.get(f"reservations/{reference}")
        if known is None:
            raise Refusal("unknown-reference")
        if known["state"] == "RELEASED" and "commits-after-release" not in self.defects:
            raise Refusal("reservation-released")
        if known["state"] != "COMMITTED" or "commits-twice" in self.defects:
            amount, fee = (Decimal(known[name]["amount"]) for name in ("amount", "fee"))
            account = self.accounts[known["accountId"]]
            if known["state"] == "HELD":
                account.held -= amount + fee
            account.balance -= amount + fee + (Decimal(1) if "hidden-fee" in self.defects else 0)
            known["state"] = "COMMITTED"
        return self._told(known)

    def _release(self, reference) -> dict[str, object]:
        key = f"reservations/{reference}"
        if key not in self.references and "release-unknown" in self.defects:
            raise Refusal("unknown-reference")
        known = self.references.setdefault(key, {"reference": reference, "state": "NEW", "content": {}})
        if known["state"] == "COMMITTED":
            raise Refusal("reservation-committed")
        if known["state"] == "HELD" and "keeps-holding" not in self.defects:
            amount, fee = (Decimal(known[name]["amount"]) for name in ("amount", "fee"))
            self.accounts[known["accountId"]].held -= amount + fee
        known["state"] = "RELEASED"
        return self._told(known)


def json_answer(status: int, content: dict[str, object]) -> HttpAnswer:
    return HttpAnswer(status=status, body=json.dumps(content).encode())


def operation_of(method: str, segments: list[str]) -> dict[str, object]:
    """Return the contract's operation of a request."""
    for template, item in CONTRACT["paths"].items():
        names = template.strip("/").split("/")
        same = all(name.startswith("{") or name == part for name, part in zip(names, segments, strict=False))
        if same and len(names) == len(segments) and method.lower() in item:
            return item[method.lower()]
    raise AssertionError(f"{method} {segments} is not in the contract")


def check_request(operation, content) -> None:
    body = operation.get("requestBody")
    if body is not None:
        validate(resolved(body)["content"]["application/json"]["schema"], content)
    assert body is not None or content == {}


def check_answer(operation, answer) -> None:
    told = operation["responses"].get(str(answer.status))
    assert told is not None, f"{answer.status} is not in the contract"
    (media,) = resolved(told)["content"].values()
    validate(media["schema"], json.loads(answer.body))


def resolved(node):
    return (
        CONTRACT["components"][node["$ref"].split("/")[2]][node["$ref"].split("/")[3]]
        if "$ref" in node
        else node
    )


def validate(schema, content) -> None:
    whole = {**schema, "components": CONTRACT["components"]}
    jsonschema.Draft202012Validator(whole).validate(content)
