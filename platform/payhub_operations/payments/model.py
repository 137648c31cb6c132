"""A payment as one of its two institutions sees it, and the questions asked about payments."""

from datetime import datetime
from typing import Final, Literal

import msgspec

Direction = Literal["outgoing", "incoming"]
State = Literal["PENDING", "COMPLETED", "FAILED"]
PaymentKey = tuple[str, str, Direction]
"""Tenant, payment, direction: a payment inside one institution has both directions."""

DIRECTION_OF_PROCESS: Final[dict[str, Direction]] = {
    "payer-fund-transfer": "outgoing",
    "payee-quote-transfer": "incoming",
}
PROCESS_OF_DIRECTION: Final[dict[Direction, str]] = {
    direction: process for process, direction in DIRECTION_OF_PROCESS.items()
}
STATES: Final[tuple[State, ...]] = ("PENDING", "COMPLETED", "FAILED")
PAGE_ROWS: Final = 50
EVENTS_SHOWN_MAX: Final = 500


class PaymentRow(msgspec.Struct, kw_only=True):
    """One row of the read model; the fields are the columns."""

    tenant: str
    payment: str
    direction: Direction
    engine: str
    started_at: datetime
    trace: str = ""  # 32 hexadecimal digits of the trace id
    payer: str = ""  # masked
    payer_hash: str = ""
    payer_fsp: str = ""
    payee: str = ""  # masked
    payee_hash: str = ""
    payee_fsp: str = ""
    amount_minor: int | None = None
    currency: str = ""
    state: State = "PENDING"
    error_code: str = ""
    error_description: str = ""
    handed_over: bool = False
    ended_at: datetime | None = None

    @property
    def key(self) -> PaymentKey:
        """The row's primary key."""
        return self.tenant, self.payment, self.direction


class Cursor(msgspec.Struct, frozen=True):
    """The last row of a page, from which the next page goes on."""

    started_at: datetime
    payment: str
    direction: Direction


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for inside one tenant."""

    text: str = ""  # payment id, trace id or a whole identifier such as a telephone number
    state: State | None = None
    direction: Direction | None = None
    before: Cursor | None = None


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of a payment as it is stored."""

    engine: str
    position: int
    at: datetime
    type: str
    element: str
    data: dict[str, object]


class AmountView(msgspec.Struct, frozen=True, kw_only=True):
    """An amount for programs and for people."""

    minor: int
    currency: str
    text: str  # "10.50"


class ErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """Why a payment failed."""

    code: str
    description: str


class PaymentView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A payment as it is shown; times are ISO 8601 in UTC."""

    tenant: str
    payment: str
    direction: Direction
    state: State
    amount: AmountView | None
    payer: str
    payer_fsp: str
    payee: str
    payee_fsp: str
    error: ErrorView | None
    handed_over: bool
    engine: str
    started_at: str
    ended_at: str | None
    duration_ms: int | None
    trace_id: str


class StepView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One line of a payment's timeline, in business words."""

    at: str
    elapsed_ms: int  # since the first line
    kind: Literal["step", "problem", "end"]
    text: str
    element: str


class EventView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One recorded event, without personal data."""

    engine: str
    position: int
    at: str
    type: str
    element: str
    note: str


class PaymentDetail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything shown of one payment."""

    payment: PaymentView
    other_direction: Direction | None  # set when payer and payee bank at the same institution
    timeline: list[StepView]
    events: list[EventView]
    more_events: bool  # there are more than are shown


class PaymentPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One page of found payments, newest first."""

    payments: list[PaymentView]
    next_cursor: str | None
