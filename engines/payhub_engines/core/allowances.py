"""Limits of payments: decided where money is about to be held, in the order of the log (decision 29).

A task ``payhub:take-allowance`` counts what its instance moves, or throws the BPMN error ``limit-exceeded``;
``payhub:return-allowance`` takes that back once it is certain that nothing was moved. An instance that moves
money several times does so by parts, and may keep a refusal in a variable, so that it ends no other part.
"""

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from payhub_engines.core import events, throwing, usage
from payhub_engines.core.bpmn.model import Allowance, Element, TakeAllowance, Value
from payhub_engines.core.commands import Charge, ForgetUsage
from payhub_engines.core.feel import ExpressionError
from payhub_engines.core.records import Usage
from payhub_engines.core.reply import Accepted, Rejected, Reply
from payhub_engines.core.state import State
from payhub_engines.core.tables import fits_key
from payhub_platform.clock import iso
from payhub_platform.contracts.fspiop import FspMoney
from payhub_platform.contracts.tenant import PaymentLimits
from payhub_platform.errors import InvalidInputError
from payhub_platform.money import Money

if TYPE_CHECKING:
    from payhub_engines.core.decision import Decision
    from payhub_engines.core.run import InstanceRun

LIMIT_EXCEEDED: Final = "limit-exceeded"  # BPMN error
PAYER_LIMIT_ERROR: Final = "4200"  # FSPIOP 1.1 section 7.6.5: the payer's limits
NEVER: Final = 0

Limit = Literal["payment", "day", "member-day", "velocity"]
_DESCRIPTIONS: Final[dict[Limit, str]] = {
    "payment": "The amount is more than one payment may have.",
    "day": "The institution's limit of the day is reached.",
    "member-day": "The member's limit of the day is reached.",
    "velocity": "The member has begun as many payments as it may for now.",
}


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Which limit is reached, and when it lets the same through; 0: never."""

    limit: Limit
    retry_at_ms: int

    @property
    def description(self) -> str:
        """For people, without personal data; at most as long as FSPIOP's ErrorDescription."""
        text = _DESCRIPTIONS[self.limit]
        return f"{text} Try again from {iso(self.retry_at_ms)}." if self.retry_at_ms else text


def refusal_of_tenant(state: State, tenant: str, charge: Charge, now_ms: int) -> Refusal | None:
    """Return the limit that a payment is beyond, whoever pays; None where it is within all."""
    limits, day = charge.limits, usage.day_of(now_ms)
    if charge.amount.minor > limits.per_payment_minor:
        return Refusal("payment", NEVER)
    moved = usage.find(state.rows, day, tenant, usage.WHOLE_TENANT)
    return _beyond("day", moved, charge.amount, limits.per_day_minor, day)


def refusal_of_member(state: State, tenant: str, member: str, charge: Charge, now_ms: int) -> Refusal | None:
    """Return the limit of a member that a payment is beyond; None where it is within all."""
    limits, day = charge.limits, usage.day_of(now_ms)
    moved = usage.find(state.rows, day, tenant, member)
    refused = _beyond("member-day", moved, charge.amount, limits.per_member_day_minor, day)
    if refused is not None:
        return refused
    window_ms = min(limits.velocity_window_ms, usage.WINDOW_MS_MAX)
    most = limits.velocity_payments
    times = usage.recent(state.rows, tenant, member, now_ms, window_ms)
    if len(times) < most:
        return None
    # The earliest must leave the window until one fewer than the most is in it.
    return Refusal("velocity", times[len(times) - most] + window_ms if most > 0 else NEVER)


def refusal_at_start(state: State, tenant: str, charge: Charge, now_ms: int) -> Rejected | None:
    """Return why a payment need not begin at all; the member is not known yet."""
    refused = refusal_of_tenant(state, tenant, charge, now_ms)
    if refused is None:
        return None
    retry_at_ms = refused.retry_at_ms or None
    if refused.limit == "payment":
        return Rejected("payment-limit-exceeded", refused.description, retry_at_ms)
    return Rejected("day-limit-reached", refused.description, retry_at_ms)


def forget(decision: "Decision", _command: ForgetUsage) -> Reply:
    """Forget the oldest rows of days that count no more; the reply's key is how many."""
    day = usage.forgotten_before(decision.now_ms)
    found = len(usage.earlier(decision.state.rows, day, usage.ROWS_AT_ONCE_MAX))
    if found:
        decision.append(events.UsageForgotten(day, found))
    return Accepted(found)


def enter(run: "InstanceRun", element: Element, scope: int) -> None:
    """Pass a plain task where nothing stands against it; else activate it, which says what does."""
    if isinstance(element.allowance, TakeAllowance) and element.allowance.refusal:
        run.activate(element, scope)
        return
    try:
        refused = _decide(run, element, scope)
    except ExpressionError:
        run.activate(element, scope)
        return
    if refused is None:
        run.pass_through(element, scope, element.outgoing)
    else:
        run.activate(element, scope)


def execute(run: "InstanceRun", element: Element, key: int) -> None:
    """Take or give back, and leave the task; or throw the BPMN error."""
    try:
        refused = _decide(run, element, key)
    except ExpressionError as error:
        run.raise_incident(key, element.id, error.code, error.detail, "activate")
        return
    task = element.allowance
    kept_in = task.refusal if isinstance(task, TakeAllowance) else ""
    if refused is None:
        run.leave(key, {kept_in: None} if kept_in else {})
        return
    run.decision.append(events.AllowanceRefused(run.key, element.id, refused.limit, refused.retry_at_ms))
    told = {"code": PAYER_LIMIT_ERROR, "description": refused.description, "limit": refused.limit}
    if refused.retry_at_ms:
        told["retryAt"] = iso(refused.retry_at_ms)
    if kept_in:
        run.leave(key, {kept_in: told})
        return
    if not throwing.throw_error(run, key, LIMIT_EXCEEDED, {"error": told}):
        run.raise_incident(key, element.id, "unhandled-error", refused.description, "activate")


def _decide(run: "InstanceRun", element: Element, key: int) -> Refusal | None:
    """Take or give back what an element is for; return the limit that stands against it.

    What the part of the instance has taken before is given back in any case: it moves money once.

    Raises:
        ExpressionError: member, amount, part or limits are not what they must be.
    """
    task, instance, decision = element.allowance, run.instance, run.decision
    charge, member, part = None, "", _part(run, task, key)
    if isinstance(task, TakeAllowance):
        charge = _charge(run, task, key)
        member = "" if charge is None else _member(run, task, key)
    if part in (instance.allowances or {}):
        decision.append(events.AllowanceReturned(run.key, element.id, part))
    if charge is None:
        return None
    state, now_ms = decision.state, decision.now_ms
    refused = refusal_of_tenant(state, instance.tenant, charge, now_ms)
    refused = refused or refusal_of_member(state, instance.tenant, member, charge, now_ms)
    if refused is None:
        amount = charge.amount
        # Two windows: a clock that is set back by less than one still finds all that counts.
        kept_ms = min(2 * charge.limits.velocity_window_ms, usage.WINDOW_MS_MAX)
        named = (run.key, element.id, member, amount.currency, amount.minor)
        decision.append(events.AllowanceTaken(*named, now_ms, kept_ms, part))
    return refused


def _charge(run: "InstanceRun", task: TakeAllowance, key: int) -> Charge | None:
    limits = run.compute(task.limits, key)
    if limits is None:
        return None
    try:
        amount = msgspec.convert(run.compute(task.amount, key), FspMoney)
        return Charge(
            limits=msgspec.convert(limits, PaymentLimits), amount=Money.parse(amount.amount, amount.currency)
        )
    except (msgspec.ValidationError, InvalidInputError) as error:
        raise ExpressionError(f"A limit cannot be held against this: {error}") from error


def _member(run: "InstanceRun", task: TakeAllowance, key: int) -> str:
    return _name(run, task.member, key, "A member")


def _part(run: "InstanceRun", task: Allowance | None, key: int) -> str:
    return "" if task is None or task.part is None else _name(run, task.part, key, "A part")


def _name(run: "InstanceRun", value: Value, key: int, what: str) -> str:
    name = run.text(value, key, what)
    if not fits_key(name):
        raise ExpressionError(f"{what}'s name has at most 512 characters of valid Unicode.")
    return name


def _beyond(limit: Limit, moved: Usage, amount: Money, most: int, day: int) -> Refusal | None:
    if moved.spent.get(amount.currency, 0) + amount.minor <= most:
        return None
    return Refusal(limit, (day + 1) * usage.DAY_MS)
