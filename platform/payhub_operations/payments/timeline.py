"""A payment told in business words, from its events."""

from collections.abc import Sequence
from typing import Final, Literal

from payhub_operations.payments.identifiers import mask_in_text
from payhub_operations.payments.model import EventView, PaymentRow, StepView, StoredEvent
from payhub_operations.payments.views import iso_of

NOTE_CHARACTERS_MAX: Final = 200
Kind = Literal["step", "problem", "end"]

_DONE: Final = {
    "quote-payer": "Payer's account checked and fee fixed",
    "reserve-funds": "Money reserved on the payer's account",
    "request-party": "Asked the switch who the payee is",
    "request-quote": "Asked the payee's institution for its terms",
    "check-quote": "Terms checked and accepted",
    "check-quote-again": "Terms found to stand still",
    "price-on-us": "Payee's account at the same institution checked",
    "quote-transfer": "Fee fixed for what is transferred",
    "ask-authorization": "Asked the payee's institution for the payer's password",
    "check-password": "Payer's password checked",
    "repay-loan": "Loan repaid",
    "send-transfer": "Transfer sent to the switch",
    "query-transfer": "Asked the switch what became of the transfer",
    "check-fulfilment": "Proof of the payee's institution checked",
    "commit-funds": "Payer's account debited",
    "release-funds": "Reservation on the payer's account released",
    "quote-payee": "Payee's account checked",
    "agree-quote": "Terms committed to",
    "answer-quote": "Terms sent to the payer's institution",
    "refuse-quote": "Refusal sent to the payer's institution",
    "accept-transfer": "Transfer compared with the agreed terms",
    "reserve-credit": "Payee's account checked again",
    "reserve-at-scheme": "Proof of acceptance given to the switch",
    "refuse-transfer": "Refusal of the transfer sent to the switch",
    "credit-payee": "Payee's account credited",
    "credit-directly": "Payee's account credited",
    "tell-committed": "The payer's institution was told so",
}
_ARRIVED: Final = {
    "party-response": "The answer about the payee arrived",
    "quote-response": "The answer about the terms arrived",
    "payer-confirmation": "The payer answered",
    "authorization-response": "The payee's device answered",
    "transfer-response": "The switch reported the transfer's outcome",
    "transfer-prepare": "The transfer arrived from the switch",
    "transfer-settled": "The switch reported the settlement",
}
_PROBLEMS: Final = {
    "JobErrorThrown": "refused",
    "JobFailed": "did not work this time",
    "AllowanceRefused": "a limit is reached",
}
_COUNTED: Final = {
    "AllowanceTaken": "Counted against the limits of the institution and its member",
    "AllowanceReturned": "Counts no more against the limits",
}
_ENDED: Final = {
    "COMPLETED": "Payment completed",
    "FAILED": "Payment failed",
    "PENDING": "The process ended",
}
# Only these fields of an event are shown: none of them is there to hold personal data.
_NOTED: Final = ("name", "code", "description", "message", "reason", "limit", "via", "owner", "origin")


def timeline(row: PaymentRow, events: Sequence[StoredEvent]) -> list[StepView]:
    """Tell what happened, line by line, with the time since the first line."""
    lines: list[StepView] = []
    first_at = events[0].at if events else row.started_at
    for event in events:
        told = _tell(row, event)
        if told is not None:
            kind, text = told
            elapsed_ms = round((event.at - first_at).total_seconds() * 1000)
            lines.append(
                StepView(
                    at=iso_of(event.at), elapsed_ms=elapsed_ms, kind=kind, text=text, element=event.element
                )
            )
    return lines


def event_view(event: StoredEvent) -> EventView:
    """Show an event without what may identify a person."""
    notes = [f"{name}: {_word(event, name)}" for name in _NOTED if _word(event, name)]
    return EventView(
        engine=event.engine,
        position=event.position,
        at=iso_of(event.at),
        type=event.type,
        element=event.element,
        note="; ".join(notes),
    )


def _tell(row: PaymentRow, event: StoredEvent) -> tuple[Kind, str] | None:
    """Return the kind and text of an event's line; None for what only machines want to know."""
    told: tuple[Kind, str] | None = None
    match event.type:
        case "InstanceStarted":
            outgoing = row.direction == "outgoing"
            told = "step", "Payment accepted" if outgoing else "A payment for a member was announced"
        case "JobCompleted":
            told = "step", _DONE.get(event.element, f"{_humanised(event.element)}: done")
        case "JobErrorThrown" | "JobFailed" | "AllowanceRefused":
            text = f"{_humanised(event.element)}: {_PROBLEMS[event.type]}"
            told = "problem", _with_reason(text, event)
        case "AllowanceTaken" | "AllowanceReturned":
            told = "step", _COUNTED[event.type]
        case "MessageCorrelated":
            told = "step", _arrival(event)
        case "TimerTriggered":
            told = "problem", f"{_humanised(event.element)}: the time to wait is over"
        case "IncidentRaised":
            told = "problem", _with_reason("Needs attention", event)
        case "IncidentResolved":
            told = "step", "No longer needs attention"
        case "InstanceCompleted":
            told = "end", _ENDED[row.state]
    return told


def _arrival(event: StoredEvent) -> str:
    name = _word(event, "name") or event.element
    text = _ARRIVED.get(name, f"A message arrived: {_humanised(name)}")
    via = _word(event, "via").partition("/")[0]  # without the life of its data folder
    return f"{text}, handed over by engine {via}" if via else text


def _with_reason(text: str, event: StoredEvent) -> str:
    reasons = [_word(event, name) for name in ("code", "description", "message", "reason", "limit")]
    reason = " ".join(word for word in reasons if word)
    return f"{text}: {reason}" if reason else text


def _word(event: StoredEvent, name: str) -> str:
    value = event.data.get(name)
    return mask_in_text(str(value)[:NOTE_CHARACTERS_MAX]) if isinstance(value, str | int) else ""


def _humanised(element: str) -> str:
    return element.replace("-", " ").replace("_", " ").strip().capitalize() or "Process"
