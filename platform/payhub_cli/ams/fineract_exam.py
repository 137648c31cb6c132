"""Whether a Fineract, set up as it is, does what payhub relies on; docs/ams.md explains each trap."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec

from payhub_cli.ams.account import ExaminedAccount
from payhub_cli.ams.exam import Books, Check, Desk, Examine, require
from payhub_cli.ams.fineract_checks import CHECKS
from payhub_engines.connectors.ams.model import BankCall
from payhub_engines.connectors.ams.refusals import (
    BUSINESS_RULE,
    CODE_USED,
    DIFFERENT_CURRENCY,
    HOLD_MISSING,
    INSUFFICIENT,
    RESOURCE_NOT_FOUND,
)
from payhub_engines.connectors.http import HttpAnswer
from payhub_platform.money import Money

ROOT: Final = "interoperation"
AT_ONCE: Final = 4
NOBODY: Final = "payhub-check-nobody"

_OK: Final = 200
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404


class _Detail(msgspec.Struct, rename="camel"):
    receipt_number: str | None = None


class _Row(msgspec.Struct, rename="camel"):
    payment_detail_data: _Detail | None = None


class _Savings(msgspec.Struct):
    transactions: list[_Row] = []


class _Done(msgspec.Struct):
    state: str = ""


class _Item(msgspec.Struct, rename={"code": "userMessageGlobalisationCode"}):
    code: str = ""


class _Refusal(msgspec.Struct, rename={"code": "userMessageGlobalisationCode"}):
    code: str = ""
    errors: list[_Item] | None = None


class FineractExam:
    """The checks of a Fineract, in order. ``put_back`` undoes whatever a check has left."""

    def __init__(
        self, desk: Desk, account: ExaminedAccount, strangers: BankCall, new_id: Callable[[], str]
    ) -> None:
        self._desk = desk
        self._account = account
        self._strangers = strangers  # the same bank with credentials that are wrong
        self._new_id = new_id
        self._held: dict[str, Money] = {}  # transfer codes that may hold something, with what was sent
        self._code = ""

    def steps(self) -> list[tuple[Check, Examine]]:
        """Return all checks."""
        return [(check, getattr(self, f"_{check.name.replace('-', '_')}")) for check in CHECKS]

    async def _reachable(self) -> None:
        answer = await self._desk.send("GET", ROOT, "health")
        require(answer.status == _OK, f"it answers {answer.status}")

    async def _strangers_refused(self) -> None:
        answer = await self._desk.send("GET", ROOT, "health", call=self._strangers)
        require(answer.status == _UNAUTHORIZED, f"it answers {answer.status} to wrong credentials")

    async def _account_found(self) -> None:
        await self._account.find()

    async def _nobody_found(self) -> None:
        answer = await self._desk.send("GET", ROOT, "parties", self._account.party.party_id_type, NOBODY)
        _require_refusal(answer, _NOT_FOUND, RESOURCE_NOT_FOUND)

    async def _account_usable(self) -> None:
        await self._account.usable()

    async def _unknown_account_refused(self) -> None:
        answer = await self._desk.send("GET", ROOT, "accounts", NOBODY)
        _require_refusal(answer, _NOT_FOUND, RESOURCE_NOT_FOUND)

    async def _fee_told(self) -> None:
        await self._account.tell_fee(self._new_id())

    async def _quote_refuses_too_much(self) -> None:
        before = self._before()
        more = Money(before.available.minor + 1, before.available.currency)
        _require_refusal(await self._quote(more), _FORBIDDEN, BUSINESS_RULE, INSUFFICIENT)

    async def _other_currency_refused(self) -> None:
        other = "USD" if self._account.amount.currency != "USD" else "EUR"
        answer = await self._quote(Money(100, other))
        require(answer.status != _OK, f"it takes {other} for an account in {self._account.amount.currency}")
        _require_refusal(answer, _FORBIDDEN, BUSINESS_RULE, DIFFERENT_CURRENCY)

    async def _hold_placed(self) -> None:
        self._code = self._new_id()
        self._done(await self._transfer("PREPARE", self._code, key="1"))
        await self._account.require_books(self._with_hold())

    async def _keys_honoured(self) -> None:
        answer = await self._transfer("PREPARE", self._code, key="1")
        cached = answer.headers.get("x-served-from-cache") == "true"
        require(answer.status == _OK and cached, "the header Idempotency-Key has no effect")

    async def _hold_placed_once(self) -> None:
        answer = await self._transfer("PREPARE", self._code, key="2")
        _require_used(answer)
        await self._account.require_books(self._with_hold())

    async def _books_asked(self) -> None:
        query = {"associations": "transactions"}
        answer = await self._desk.send("GET", "savingsaccounts", "external-id", self._account.id, query=query)
        require(answer.status == _OK, f"it answers {answer.status}")
        rows = msgspec.json.decode(answer.body, type=_Savings).transactions
        details = [row.payment_detail_data for row in rows]
        found = any(detail is not None and detail.receipt_number == self._code for detail in details)
        require(found, "the hold just placed is not among the account's transactions")

    async def _hold_released(self) -> None:
        self._done(await self._transfer("RELEASE", self._code, key="1"))
        await self._account.require_books(self._before())

    async def _hold_released_once(self) -> None:
        answer = await self._transfer("RELEASE", self._code, key="2")
        _require_refusal(answer, _NOT_FOUND, RESOURCE_NOT_FOUND, HOLD_MISSING)
        await self._account.require_books(self._before())

    async def _released_code_used_up(self) -> None:
        _require_used(await self._transfer("PREPARE", self._code, key="3"))
        await self._account.require_books(self._before())

    async def _nothing_held_uses_code_up(self) -> None:
        code, nothing = self._new_id(), Money(0, self._account.amount.currency)
        self._done(await self._transfer("PREPARE", code, amount=nothing, fee=nothing, key="1"))
        self._done(await self._transfer("RELEASE", code, amount=nothing, fee=nothing, key="1"))
        _require_used(await self._transfer("PREPARE", code, key="2"))

    async def _holds_at_once_are_one(self) -> None:
        code = self._new_id()
        await asyncio.gather(
            *(self._transfer("PREPARE", code, key=f"{number}") for number in range(AT_ONCE)),
            return_exceptions=True,
        )
        await self._account.require_books(self._with_hold())
        self._done(await self._transfer("RELEASE", code, key="1"))

    async def _commit_needs_hold(self) -> None:
        answer = await self._transfer("CREATE", self._new_id(), key="1")
        _require_refusal(answer, _NOT_FOUND, RESOURCE_NOT_FOUND, HOLD_MISSING)
        await self._account.require_books(self._before())

    async def _commit_takes_what_was_told(self) -> None:
        self._code = self._new_id()
        self._done(await self._transfer("PREPARE", self._code, key="1"))
        self._done(await self._transfer("CREATE", self._code, key="1"))
        await self._account.require_books(self._after_commit())

    async def _commit_done_once(self) -> None:
        answer = await self._transfer("CREATE", self._code, key="2")
        _require_used(answer)
        await self._account.require_books(self._after_commit())

    async def _credit_exact(self) -> None:
        self._code = self._new_id()
        total = self._account.total
        self._done(await self._transfer("CREATE", self._code, role="PAYEE", amount=total, key="3"))
        await self._account.require_books(self._before())

    async def _credit_done_once(self) -> None:
        total = self._account.total
        answer = await self._transfer("CREATE", self._code, role="PAYEE", amount=total, key="4")
        _require_used(answer)
        await self._account.require_books(self._before())

    async def _released_hold_not_committed(self) -> None:
        code = self._new_id()
        self._done(await self._transfer("PREPARE", code, key="1"))
        self._done(await self._transfer("RELEASE", code, key="1"))
        answer = await self._transfer("CREATE", code, key="1")
        require(answer.status != _OK, "a CREATE after a RELEASE debits the payer")

    async def _books_as_before(self) -> None:
        await self.put_back()
        await self._account.require_books(self._before())

    async def put_back(self) -> None:
        """Release what is held, and credit or debit what is missing or too much."""
        for code, amount in list(self._held.items()):
            await self._transfer("RELEASE", code, amount=amount)
        before, now = self._before(), await self._account.books()
        missing = before.balance.minor - now.balance.minor
        currency = before.balance.currency
        if missing > 0:
            await self._transfer("CREATE", self._new_id(), role="PAYEE", amount=Money(missing, currency))
        elif missing < -self._account.fee.minor:
            code, amount = self._new_id(), Money(-missing - self._account.fee.minor, currency)
            for action in ("PREPARE", "CREATE"):
                await self._transfer(action, code, amount=amount)

    async def _quote(self, amount: Money) -> HttpAnswer:
        body = {
            "transactionCode": self._new_id(),
            "quoteCode": self._new_id(),
            "accountId": self._account.id,
            "amount": _money(amount),
            "amountType": "SEND",
            "transactionRole": "PAYER",
            "transactionType": {"scenario": "TRANSFER", "initiator": "PAYER", "initiatorType": "CONSUMER"},
        }
        return await self._desk.send("POST", ROOT, "quotes", body=body)

    async def _transfer(
        self,
        action: str,
        code: str,
        *,
        role: str = "PAYER",
        amount: Money | None = None,
        fee: Money | None = None,
        key: str = "",
    ) -> HttpAnswer:
        body = {
            "transactionCode": code,
            "transferCode": code,
            "accountId": self._account.id,
            "transactionRole": role,
            "amount": _money(amount or self._account.amount),
            "fspFee": _money(fee or self._account.fee),
            "note": "payhub ams check",
        }
        if action == "PREPARE":
            self._held[code] = amount or self._account.amount
        answer = await self._desk.send(
            "POST",
            ROOT,
            "transfers",
            query={"action": action},
            body=body,
            key=f"{code}:{key}" if key else "",
        )
        if action != "PREPARE" and answer.status == _OK:
            self._held.pop(code, None)
        return answer

    def _before(self) -> Books:
        assert self._account.before is not None, "checks of money need the account"  # noqa: S101
        return self._account.before

    def _with_hold(self) -> Books:
        return self._before().less(Money(0, self._account.amount.currency), self._account.total)

    def _after_commit(self) -> Books:
        return self._before().less(self._account.total, Money(0, self._account.amount.currency))

    @staticmethod
    def _done(answer: HttpAnswer) -> None:
        require(answer.status == _OK, f"it answers {answer.status}")
        state = msgspec.json.decode(answer.body, type=_Done).state
        require(state == "ACCEPTED", f"the state is {state}")


def _money(money: Money) -> dict[str, Any]:
    return {"amount": money.decimal_text(), "currency": money.currency}


def _require_used(answer: HttpAnswer) -> None:
    """A transfer code that was used is refused; by which of the two codes differs between releases."""
    require(answer.status != _OK, "it does the same again")
    require(bool(_codes(answer)[1] & CODE_USED), f"it answers {answer.status} without either code")


def _require_refusal(answer: HttpAnswer, status: int, code: str, inner: str = "") -> None:
    require(answer.status == status, f"it answers {answer.status}")
    top, codes = _codes(answer)
    require(top == code, f"the body's code is {top or 'missing'}")
    require(any(one.startswith(inner) for one in codes), f"the body's errors are {', '.join(sorted(codes))}")


def _codes(answer: HttpAnswer) -> tuple[str, frozenset[str]]:
    told = msgspec.json.decode(answer.body, type=_Refusal)
    return told.code, frozenset(one.code for one in told.errors or [])
