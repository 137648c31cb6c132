"""What a demonstration found: the document that `--json` prints, and the checks behind the exit status."""

from dataclasses import dataclass

import msgspec

from payhub_cli.demo.books import Books, Check, conservation, nothing_held
from payhub_cli.demo.story import PAYER_FSP, PlannedPayment
from payhub_platform.clock import parse_iso
from payhub_platform.contracts.channel import TransferStatus
from payhub_platform.money import Money


class PaymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One payment; ``amount`` in minor units, ``error`` an FSPIOP error code, ``ms`` from start to end."""

    id: str
    payer: str
    payee: str
    amount: int
    currency: str
    state: str
    error: str | None
    handed_over: bool
    ms: int | None


class BalanceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One account, minor units."""

    fsp: str
    account: str
    before: int
    after: int
    held: int


class AuditFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Events in the engines' logs, records in PostgreSQL, and open gaps between them."""

    engine_events: int
    stored_events: int
    gaps: int


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What `payhub demo --json` prints. Amounts are integers in minor units."""

    payments: list[PaymentRow]
    balances: list[BalanceRow]
    money_conserved: bool
    audit: AuditFigures
    ops_url: str
    wall_s: float


class TenantRecords(msgspec.Struct, frozen=True, kw_only=True):
    """Audit records of one tenant, and the table they are in."""

    tenant: str
    events: int
    table: str


class AuditState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the audit is."""

    figures: AuditFigures
    tenants: list[TenantRecords]

    @property
    def is_complete(self) -> bool:
        """Tell whether every event of every engine is stored."""
        return self.figures.stored_events == self.figures.engine_events and self.figures.gaps == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything a demonstration saw."""

    planned: list[PlannedPayment]
    statuses: list[TransferStatus]
    before: Books
    after: Books
    audit: AuditState
    told: dict[str, str]  # state by transaction id, as signed webhooks told it
    ops_url: str

    def completed(self) -> list[PlannedPayment]:
        """Return the payments that moved money."""
        return completed(self.planned, self.statuses)

    def document(self, wall_s: float) -> Document:
        """Return the JSON document."""
        return Document(
            payments=[
                _payment_row(plan, status) for plan, status in zip(self.planned, self.statuses, strict=True)
            ],
            balances=_balance_rows(self.before, self.after),
            money_conserved=all(
                check.holds for check in conservation(self.before, self.after, self.completed())
            ),
            audit=self.audit.figures,
            ops_url=self.ops_url,
            wall_s=round(wall_s, 1),
        )

    def checks(self) -> list[Check]:
        """Return everything that must hold."""
        figures = self.audit.figures
        return [
            _outcomes(self.planned, self.statuses),
            *conservation(self.before, self.after, self.completed()),
            nothing_held(self.after),
            _handovers(self.planned, self.statuses),
            Check(
                name="every event of the engines is in PostgreSQL",
                holds=figures.engine_events > 0 and figures.stored_events == figures.engine_events,
                detail=f"{figures.stored_events} of {figures.engine_events}",
            ),
            _told(self.statuses, self.told),
            Check(name="the audit has no gap", holds=figures.gaps == 0, detail=f"{figures.gaps} open"),
        ]


def completed(planned: list[PlannedPayment], statuses: list[TransferStatus]) -> list[PlannedPayment]:
    """Return the payments that ended COMPLETED."""
    return [plan for plan, status in zip(planned, statuses, strict=True) if status.state == "COMPLETED"]


def _outcomes(planned: list[PlannedPayment], statuses: list[TransferStatus]) -> Check:
    wrong = []
    for plan, status in zip(planned, statuses, strict=True):
        code = status.error.code if status.error else None
        as_planned = status.state == plan.outcome and (code in plan.errors if plan.errors else code is None)
        if not as_planned:
            wrong.append(f"{plan.key} is {status.state} {code or ''}".rstrip())
    return Check(
        name="every payment ended as it should", holds=not wrong, detail="; ".join(wrong) or f"{len(planned)}"
    )


def _told(statuses: list[TransferStatus], told: dict[str, str]) -> Check:
    expected = {status.transaction_id: status.state for status in statuses}
    right = expected.items() & told.items()
    return Check(
        name="the channel was told every final state by a signed webhook",
        holds=told == expected,
        detail=f"{len(right)} of {len(expected)}",
    )


def _handovers(planned: list[PlannedPayment], statuses: list[TransferStatus]) -> Check:
    """The switch gives every second conversation to the engine that does not own the payment."""
    reached = sum(plan.reaches_switch for plan in planned)
    handed_over = sum(status.handed_over for status in statuses)
    return Check(
        name="half of the payments at the switch were handed over",
        holds=abs(2 * handed_over - reached) <= 1,
        detail=f"{handed_over} of {reached}",
    )


def _payment_row(plan: PlannedPayment, status: TransferStatus) -> PaymentRow:
    amount = Money.parse(status.amount.amount, status.amount.currency)
    return PaymentRow(
        id=status.transaction_id,
        payer=f"{PAYER_FSP}:{plan.payer}",
        payee=f"{plan.payee_fsp}:{plan.payee}" if plan.payee_fsp else plan.payee,
        amount=amount.minor,
        currency=amount.currency,
        state=status.state,
        error=status.error.code if status.error else None,
        handed_over=status.handed_over,
        ms=None if status.ended_at is None else parse_iso(status.ended_at) - parse_iso(status.started_at),
    )


def _balance_rows(before: Books, after: Books) -> list[BalanceRow]:
    rows = []
    for fsp, ledger in after.ledgers.items():
        was = {account.account_id: account.balance for account in before.ledgers[fsp].accounts}
        rows += [
            BalanceRow(
                fsp=fsp,
                account=account.account_id,
                before=was.get(account.account_id, 0),
                after=account.balance,
                held=account.held,
            )
            for account in ledger.accounts
        ]
    return rows
