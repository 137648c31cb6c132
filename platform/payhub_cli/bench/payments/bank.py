"""The light core bank: payhub's AMS contract, kept in memory, with money without end. Pure."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

CURRENCY: Final = "KES"
_ENDS: Final = {"commit": "COMMITTED", "release": "RELEASED"}
_OK: Final = 200
_NOT_FOUND: Final = 404


class Booking(msgspec.Struct, rename="camel"):
    """What one reference has moved, or holds."""

    reference: str
    transaction_id: str
    account_id: str
    amount: dict[str, str]
    fee: dict[str, str] | None = None
    state: str = "HELD"  # HELD, COMMITTED, RELEASED; a credit is COMMITTED at once


class Books(msgspec.Struct, frozen=True):
    """All that a bank has booked; a reference has one booking, however often it was asked for."""

    debits: list[Booking]
    credits: list[Booking]


class _Order(msgspec.Struct, rename="camel"):
    transaction_id: str
    account_id: str
    amount: dict[str, str]
    fee: dict[str, str] | None = None


@dataclass(slots=True)
class Bank:
    """Answers as docs/ams.md has it; every identifier is a member, and nobody is ever short of money."""

    _reservations: dict[str, Booking] = field(default_factory=dict)
    _credits: dict[str, Booking] = field(default_factory=dict)

    def books(self) -> Books:
        """Return what was booked so far."""
        return Books(list(self._reservations.values()), list(self._credits.values()))

    def answer(self, method: str, path: list[str], body: bytes) -> tuple[int, Any]:
        """Return status and body of the answer to a request.

        Args:
            method: HTTP method, upper case.
            path: segments below the bank's base URL, decoded.
            body: as received.
        """
        told: Any = None
        match method, path:
            case "GET", ["accounts", *rest]:
                told = _account(rest)
            case "GET", ["reservations", reference]:
                told = self._reservations.get(reference)
            case "GET", ["credits", reference]:
                told = self._credits.get(reference)
            case "PUT", ["reservations", reference]:
                told = _booked(self._reservations, reference, body, "HELD")
            case "PUT", ["credits", reference]:
                told = _booked(self._credits, reference, body, "COMMITTED")
            case "POST", ["reservations", reference, action]:
                told = self._ended(reference, _ENDS.get(action))
        return (_NOT_FOUND, {"code": "unknown-reference"}) if told is None else (_OK, told)

    def _ended(self, reference: str, state: str | None) -> Booking | None:
        known = self._reservations.get(reference)
        if known is not None and known.state == "HELD" and state is not None:
            known.state = state
        return known


def _account(path: list[str]) -> Any:
    match path:
        case ["by-identifier", _, value]:
            return {"accountId": f"A{value}"}
        case [account]:
            told = {"accountId": account, "currency": CURRENCY, "status": "ACTIVE"}
            return {**told, "mayPay": True, "mayReceive": True}
        case [_, "fee"]:
            return {"fee": {"amount": "0", "currency": CURRENCY}}
    return None


def _booked(kept: dict[str, Booking], reference: str, body: bytes, state: str) -> Booking:
    known = kept.get(reference)
    if known is None:
        order = msgspec.json.decode(body, type=_Order)
        known = kept[reference] = Booking(
            reference=reference,
            transaction_id=order.transaction_id,
            account_id=order.account_id,
            amount=order.amount,
            fee=order.fee,
            state=state,
        )
    return known
