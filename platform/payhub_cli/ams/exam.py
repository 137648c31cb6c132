"""How a core bank is examined: one check after the other, each with what was sent, wanted and came."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from payhub_engines.connectors.ams.errors import AmsRefusalError
from payhub_engines.connectors.ams.model import BankCall
from payhub_engines.connectors.ams.transport import BankRequest, BankTransport
from payhub_engines.connectors.http import UNREADABLE, HttpAnswer, UnreachableError
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.money import Money

TOLD_CHARACTERS_MAX: Final = 400  # of one exchange in a finding

Outcome = Literal["passed", "noted", "failed", "skipped"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a bank must do.

    Attributes:
        name: stable, kebab-case; docs/ams.md lists all.
        wanted: what a right answer is.
        mend: how the bank's people put it right.
        needs: checks that must not have failed, else this one says nothing.
        is_advice: payments are right without it, in a slower or stricter way: a fault is only noted.
    """

    name: str
    wanted: str
    mend: str
    needs: tuple[str, ...] = ()
    is_advice: bool = False


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """How one check ended; ``wrong`` is empty where it passed."""

    name: str
    outcome: Outcome
    wrong: str
    sent: list[str]
    wanted: str
    came: list[str]
    mend: str


class Books(msgspec.Struct, frozen=True):
    """Balance and what is available of the account that is examined."""

    balance: Money
    available: Money

    def less(self, taken: Money, held: Money) -> "Books":
        """Return the books after ``taken`` was booked and ``held`` put on hold."""
        currency = self.balance.currency
        return Books(
            Money(self.balance.minor - taken.minor, currency),
            Money(self.available.minor - taken.minor - held.minor, currency),
        )

    def __str__(self) -> str:
        return f"balance {self.balance}, available {self.available}"


class WrongError(Exception):
    """A check did not hold; the text says what was wrong."""


Examine = Callable[[], Awaitable[None]]


@dataclass
class Desk:
    """Sends to the bank and remembers what went to and fro since the last check."""

    call: BankCall
    transport: BankTransport
    sent: list[str] = field(default_factory=list)
    came: list[str] = field(default_factory=list)

    async def send(
        self,
        method: str,
        *path: str,
        query: dict[str, str] | None = None,
        body: Any = None,
        key: str = "",
        call: BankCall | None = None,
    ) -> HttpAnswer:
        """Send one request.

        Raises:
            JobFailedError: there is no answer.
        """
        request = BankRequest(method=method, path=path, name=method, query=query or {}, body=body, key=key)
        words = "&".join(f"{name}={value}" for name, value in request.query.items())
        content = "" if body is None else f" {msgspec.json.encode(body).decode()}"
        told = f"{method} /{'/'.join(path)}{'?' if words else ''}{words}{content}"
        self.sent.append(told[:TOLD_CHARACTERS_MAX])
        try:
            answer = await self.transport.send(call or self.call, request)
        except JobFailedError as error:
            self.came.append(f"no answer: {error.message}")
            raise
        text = f"{answer.status} {answer.body.decode(errors='replace')}".strip()
        self.came.append(text[:TOLD_CHARACTERS_MAX])
        return answer

    def start(self) -> None:
        """Forget what went to and fro."""
        self.sent, self.came = [], []


async def examine(
    desk: Desk,
    steps: Sequence[tuple[Check, Examine]],
    told: Callable[[Finding], None],
) -> list[Finding]:
    """Do all checks in order; what needs a check that failed is skipped.

    Args:
        desk: what the checks send with.
        steps: each check and what does it; it raises WrongError where the bank is wrong.
        told: is given each finding as soon as it is known.
    """
    findings, lost = list[Finding](), set[str]()
    for check, run in steps:
        desk.start()
        missing = [name for name in check.needs if name in lost]
        if missing:
            outcome: Outcome = "skipped"
            wrong = f"needs {missing[0]}"
        else:
            wrong = await _wrong(run)
            outcome = ("noted" if check.is_advice else "failed") if wrong else "passed"
        if outcome in {"failed", "skipped"}:
            lost.add(check.name)
        finding = Finding(
            name=check.name,
            outcome=outcome,
            wrong=wrong,
            sent=desk.sent,
            wanted=check.wanted,
            came=desk.came,
            mend=check.mend if wrong else "",
        )
        findings.append(finding)
        told(finding)
    return findings


async def _wrong(run: Examine) -> str:
    try:
        await run()
    except WrongError as wrong:
        return str(wrong)
    except UnreachableError as error:
        return f"no answer: {error.message}"
    except JobFailedError as error:
        return error.message
    except AmsRefusalError as error:
        return f"the bank refuses: {error.reason.description}"
    except UNREADABLE:
        return "the answer is not the JSON that was agreed"
    return ""


def require(holds: bool, wrong: str) -> None:
    """Raise WrongError unless something holds."""
    if not holds:
        raise WrongError(wrong)
