"""The payer's channel: sends payments as fast as a load wants them, and asks until each has ended."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec

from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.load import Load
from payhub_cli.bench.payments.bank import CURRENCY
from payhub_platform.contracts.channel import TransferAccepted, TransferStatus

TICK_S: Final = 0.005
FINISH_S_MAX: Final = 40.0  # what is under way after a load's time
POLL_S: Final = 0.02
RETRY_S: Final = 0.5  # where an answer does not say when to come again
EARLY: Final = 0.8  # a payment is first asked for when so much of the usual time has passed
FOLLOWS: Final = 0.05  # what one payment's time changes in the usual time
PAYER: Final = "254800000001"  # none of the payees
PAYEES: Final = 10_000  # members who are paid; few payments at once are for the same one
AMOUNT: Final = "100"

_ACCEPTED: Final = 202
_OK: Final = 200
_COME_AGAIN: Final = (429, 503)
_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)

Pay = Callable[[str], Coroutine[Any, Any, None]]


def payee_of(payment: str) -> str:
    """Return whom a payment is for: ``<prefix>-<number>`` tells the member's MSISDN."""
    return f"2547{int(payment.rpartition('-')[2]) % PAYEES:08d}"


async def drive(load: Load, pay: Pay) -> None:
    """Begin the load's payments when they are due, and wait for those under way, with a limit.

    Args:
        load: what is to be paid; it is told of no end here, which is for ``pay`` to do.
        pay: does one payment to its end.
    """
    load.begin(time.perf_counter())
    paying: set[asyncio.Task[None]] = set()
    deadline = load.began_at + load.plan.seconds + FINISH_S_MAX
    try:
        while True:
            now = time.perf_counter()
            for payment in load.take_due(now):
                paying.add(asyncio.create_task(pay(payment)))
            for task in [each for each in paying if each.done()]:
                paying.remove(task)
                task.result()
            if load.is_done(now) or now > deadline:
                return
            await asyncio.sleep(TICK_S)
    finally:
        for task in paying:
            task.cancel()
        await asyncio.gather(*paying, return_exceptions=True)


@dataclass(slots=True)
class Payments:
    """Pays through the gateway.

    Attributes:
        headers: with the channel's token.
        sent: transaction ids by payment, of all that were accepted.
        failed: why, by transaction id, of those that ended without being paid.
    """

    session: aiohttp.ClientSession
    gateway_url: str
    headers: dict[str, str]
    load: Load
    sent: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    usual_s: float = 0.1

    async def pay(self, payment: str) -> None:
        """Send one payment and wait for its end; what is refused is sent again when it is welcome."""
        began = time.perf_counter()
        if not await self._send(payment):
            self.load.due_at.pop(payment, None)
            return
        await asyncio.sleep(self.usual_s * EARLY - (time.perf_counter() - began))
        while True:
            status = await self._status(self.sent[payment])
            if status is not None and status.state != "PENDING":
                break
            await asyncio.sleep(POLL_S)
        now = time.perf_counter()
        self.usual_s += (now - began - self.usual_s) * FOLLOWS
        if status.state == "COMPLETED":
            self.load.complete(payment, now)
        else:
            self.load.due_at.pop(payment, None)
            self.failed[status.transaction_id] = str(status.error and status.error.code)

    async def _send(self, payment: str) -> bool:
        """Return whether it was accepted; it is not when the load's time is over before that."""
        body = msgspec.json.encode(_transfer(payee_of(payment)))
        own = {"X-CorrelationID": payment, "Content-Type": "application/json"}
        url = f"{self.gateway_url}/channel/transfer"
        is_unknown = False
        while True:
            wait_s, is_answered = RETRY_S, False
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with self.session.post(
                    url, data=body, headers={**self.headers, **own}, timeout=_TIMEOUT
                ) as answer:
                    told = await answer.read()
                    if answer.status == _ACCEPTED:
                        accepted = msgspec.json.decode(told, type=TransferAccepted)
                        self.sent[payment] = accepted.transaction_id
                        return True
                    if answer.status not in _COME_AGAIN:
                        raise BenchError(f"The gateway answers {answer.status}: {told[:200]!r}.")
                    wait_s, is_answered = float(answer.headers.get("Retry-After", RETRY_S)), True
            self.load.refusals += 1
            is_unknown = is_unknown or not is_answered  # it may have been accepted: only an answer tells
            is_late = time.perf_counter() - self.load.began_at > self.load.plan.seconds
            if is_late and not is_unknown:
                return False
            await asyncio.sleep(wait_s)

    async def _status(self, transaction_id: str) -> TransferStatus | None:
        url = f"{self.gateway_url}/channel/transfer/{transaction_id}"
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self.session.get(url, headers=self.headers, timeout=_TIMEOUT) as answer:
                told = await answer.read()
                if answer.status == _OK:
                    return msgspec.json.decode(told, type=TransferStatus)
        return None


def _transfer(payee: str) -> dict[str, Any]:
    return {
        "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": PAYER}},
        "payee": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": payee}},
        "amount": {"amount": AMOUNT, "currency": CURRENCY},
    }
