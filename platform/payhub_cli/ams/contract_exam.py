"""Whether a bank does what the AMS contract says (ams-contract.yaml), one act after the other."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from payhub_cli.ams.account import ExaminedAccount
from payhub_cli.ams.contract_checks import CHECKS
from payhub_cli.ams.exam import Books, Check, Desk, Examine, require
from payhub_engines.connectors.ams.contract_api import (
    ACCOUNT_UNKNOWN,
    IDENTIFIER_UNKNOWN,
    INSUFFICIENT_FUNDS,
    OTHER_CURRENCY,
    REFERENCE_REUSED,
    REFERENCE_UNKNOWN,
    RESERVATION_COMMITTED,
    RESERVATION_RELEASED,
    STATUSES,
    CreditBody,
    FeeBody,
    ReservationBody,
    money_body,
)
from payhub_engines.connectors.ams.model import BankCall
from payhub_engines.connectors.http import HttpAnswer
from payhub_platform.money import Money

AT_ONCE: Final = 4
NOBODY: Final = "payhub-check-nobody"
_OK: Final = 200
_UNAUTHORIZED: Final = 401


class _Problem(msgspec.Struct):
    code: str = ""


class ContractExam:
    """The checks of a bank that speaks the contract. ``put_back`` undoes whatever a check has left."""

    def __init__(
        self, desk: Desk, account: ExaminedAccount, strangers: BankCall, new_id: Callable[[], str]
    ) -> None:
        self._desk = desk
        self._account = account
        self._strangers = strangers
        self._new_id = new_id
        self._held: set[str] = set()  # references that may hold something
        self._reference = ""

    def steps(self) -> list[tuple[Check, Examine]]:
        """Return all checks."""
        return [(check, getattr(self, f"_{check.name.replace('-', '_')}")) for check in CHECKS]

    async def _account_found(self) -> None:
        await self._account.find()

    async def _strangers_refused(self) -> None:
        answer = await self._desk.send("GET", "accounts", self._account.id, call=self._strangers)
        require(answer.status == _UNAUTHORIZED, f"it answers {answer.status} to wrong credentials")

    async def _nobody_found(self) -> None:
        kind = self._account.party.party_id_type
        answer = await self._desk.send("GET", "accounts", "by-identifier", kind, NOBODY)
        _require_refusal(answer, IDENTIFIER_UNKNOWN)

    async def _account_usable(self) -> None:
        await self._account.usable()

    async def _unknown_account_refused(self) -> None:
        _require_refusal(await self._desk.send("GET", "accounts", NOBODY), ACCOUNT_UNKNOWN)

    async def _fee_told(self) -> None:
        await self._account.tell_fee(self._new_id())
        amount = self._account.amount
        query = {"side": "PAYEE", "amount": amount.decimal_text(), "currency": amount.currency}
        answer = await self._desk.send("GET", "accounts", self._account.id, "fee", query=query)
        require(answer.status == _OK, f"it answers {answer.status}")
        kept = msgspec.json.decode(answer.body, type=FeeBody).fee.money("fee", amount.currency)
        require(0 <= kept.minor <= amount.minor, f"it keeps {kept} of {amount}")

    async def _unknown_reference_told(self) -> None:
        for kind in ("reservations", "credits"):
            _require_refusal(await self._desk.send("GET", kind, self._new_id()), REFERENCE_UNKNOWN)
        _require_refusal(await self._act(self._new_id(), "commit"), REFERENCE_UNKNOWN)

    async def _too_much_refused(self) -> None:
        before = self._before()
        more = Money(before.available.minor + 1, before.available.currency)
        _require_refusal(await self._reserve(self._new_id(), amount=more), INSUFFICIENT_FUNDS)
        await self._account.require_books(before)

    async def _other_currency_refused(self) -> None:
        other = Money(100, "USD" if self._account.amount.currency != "USD" else "EUR")
        _require_refusal(await self._reserve(self._new_id(), amount=other), OTHER_CURRENCY)
        await self._account.require_books(self._before())

    async def _hold_placed(self) -> None:
        self._reference = self._new_id()
        self._is_reservation(await self._reserve(self._reference), "HELD")
        await self._account.require_books(self._with_hold())

    async def _hold_placed_once(self) -> None:
        self._is_reservation(await self._reserve(self._reference), "HELD")
        await self._account.require_books(self._with_hold())

    async def _reference_not_reused(self) -> None:
        other = Money(self._account.amount.minor + 1, self._account.amount.currency)
        _require_refusal(await self._reserve(self._reference, amount=other), REFERENCE_REUSED)
        await self._account.require_books(self._with_hold())

    async def _status_told(self) -> None:
        self._is_reservation(await self._desk.send("GET", "reservations", self._reference), "HELD")

    async def _hold_released(self) -> None:
        _is_in_state(await self._act(self._reference, "release"), self._reference, "RELEASED")
        await self._account.require_books(self._before())

    async def _hold_released_once(self) -> None:
        _is_in_state(await self._act(self._reference, "release"), self._reference, "RELEASED")
        await self._account.require_books(self._before())

    async def _released_reference_used_up(self) -> None:
        _require_refusal(await self._reserve(self._reference), RESERVATION_RELEASED)
        await self._account.require_books(self._before())

    async def _released_hold_not_committed(self) -> None:
        _require_refusal(await self._act(self._reference, "commit"), RESERVATION_RELEASED)
        await self._account.require_books(self._before())

    async def _unknown_reference_released(self) -> None:
        reference = self._new_id()
        _is_in_state(await self._act(reference, "release"), reference, "RELEASED")
        _require_refusal(await self._reserve(reference), RESERVATION_RELEASED)
        await self._account.require_books(self._before())

    async def _holds_at_once_are_one(self) -> None:
        reference = self._new_id()
        await asyncio.gather(*(self._reserve(reference) for _ in range(AT_ONCE)), return_exceptions=True)
        await self._account.require_books(self._with_hold())
        _is_in_state(await self._act(reference, "release"), reference, "RELEASED")

    async def _commit_takes_what_was_told(self) -> None:
        self._reference = self._new_id()
        self._is_reservation(await self._reserve(self._reference), "HELD")
        self._is_reservation(await self._act(self._reference, "commit"), "COMMITTED")
        await self._account.require_books(self._after_commit())

    async def _commit_done_once(self) -> None:
        self._is_reservation(await self._act(self._reference, "commit"), "COMMITTED")
        await self._account.require_books(self._after_commit())

    async def _committed_hold_not_released(self) -> None:
        _require_refusal(await self._act(self._reference, "release"), RESERVATION_COMMITTED)
        await self._account.require_books(self._after_commit())

    async def _credit_exact(self) -> None:
        self._reference = self._new_id()
        self._is_credit(await self._credit(self._reference, self._account.total))
        await self._account.require_books(self._before())

    async def _credit_done_once(self) -> None:
        self._is_credit(await self._credit(self._reference, self._account.total))
        await self._account.require_books(self._before())

    async def _credit_not_reused(self) -> None:
        other = Money(self._account.total.minor + 1, self._account.total.currency)
        _require_refusal(await self._credit(self._reference, other), REFERENCE_REUSED)
        await self._account.require_books(self._before())

    async def _credit_status_told(self) -> None:
        self._is_credit(await self._desk.send("GET", "credits", self._reference))

    async def _books_as_before(self) -> None:
        await self.put_back()
        await self._account.require_books(self._before())

    async def put_back(self) -> None:
        """Release what is held, and credit or debit what is missing or too much."""
        for reference in list(self._held):
            await self._act(reference, "release")
        before, now = self._before(), await self._account.books()
        missing = Money(before.balance.minor - now.balance.minor, before.balance.currency)
        if missing.minor > 0:
            await self._credit(self._new_id(), missing)
        elif missing.minor < 0:
            reference, nothing = self._new_id(), Money(0, missing.currency)
            await self._reserve(reference, amount=Money(-missing.minor, missing.currency), fee=nothing)
            await self._act(reference, "commit")

    async def _reserve(
        self, reference: str, *, amount: Money | None = None, fee: Money | None = None
    ) -> HttpAnswer:
        amount = amount or self._account.amount
        fee = fee or (self._account.fee if self._account.fee.currency == amount.currency else None)
        body = {
            "transactionId": reference,
            "accountId": self._account.id,
            "amount": money_body(amount),
            "fee": money_body(fee or Money(0, amount.currency)),
        }
        self._held.add(reference)
        return await self._desk.send("PUT", "reservations", reference, body=body)

    async def _act(self, reference: str, action: str) -> HttpAnswer:
        answer = await self._desk.send("POST", "reservations", reference, action, body={})
        if answer.status == _OK:
            self._held.discard(reference)
        return answer

    async def _credit(self, reference: str, amount: Money) -> HttpAnswer:
        body = {"transactionId": reference, "accountId": self._account.id, "amount": money_body(amount)}
        return await self._desk.send("PUT", "credits", reference, body=body)

    def _is_reservation(self, answer: HttpAnswer, state: str) -> None:
        told = _is_in_state(answer, self._reference, state)
        same = told.amount is not None and told.amount.is_exactly(self._account.amount)
        fee = told.fee is not None and told.fee.is_exactly(self._account.fee)
        require(same and fee and told.account_id == self._account.id, "it tells another reservation")

    def _is_credit(self, answer: HttpAnswer) -> None:
        require(answer.status == _OK, f"it answers {answer.status}")
        told = msgspec.json.decode(answer.body, type=CreditBody)
        same = told.reference == self._reference and told.account_id == self._account.id
        require(same and told.amount.is_exactly(self._account.total), "it tells another credit")

    def _before(self) -> Books:
        assert self._account.before is not None, "checks of money need the account"  # noqa: S101
        return self._account.before

    def _with_hold(self) -> Books:
        return self._before().less(Money(0, self._account.amount.currency), self._account.total)

    def _after_commit(self) -> Books:
        return self._before().less(self._account.total, Money(0, self._account.amount.currency))


def _is_in_state(answer: HttpAnswer, reference: str, state: str) -> ReservationBody:
    require(answer.status == _OK, f"it answers {answer.status}")
    told = msgspec.json.decode(answer.body, type=ReservationBody)
    require(told.reference == reference, "it tells another reference")
    require(told.state == state, f"the state is {told.state}")
    return told


def _require_refusal(answer: HttpAnswer, code: str) -> None:
    require(answer.status == STATUSES[code], f"it answers {answer.status}")
    told = msgspec.json.decode(answer.body, type=_Problem).code
    require(told == code, f"the problem's code is {told or 'missing'}")
