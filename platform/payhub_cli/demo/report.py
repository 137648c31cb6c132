"""The tables that `payhub demo` ends with."""

from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from payhub_cli.demo.books import Check
from payhub_cli.demo.progress import mark
from payhub_cli.demo.result import Findings
from payhub_cli.demo.story import CURRENCY, NAMES
from payhub_platform.clock import parse_iso
from payhub_platform.money import Money

_TRAVELLED: Final = "over NATS"


def show(console: Console, findings: Findings, checks: list[Check], wall_s: float) -> None:
    """Print payments, balances, audit and checks."""
    console.print(_payments(findings))
    console.print(_balances(findings))
    console.print(_audit(findings))
    for check in checks:
        console.print(f"{mark(console, holds=check.holds)} {check.name} [dim]({check.detail})[/]")
    console.print(f"{wall_s:.1f} s in all.")


def _payments(findings: Findings) -> Table:
    table = _table("Payments by members of Buffalo SACCO")
    table.add_column("payer", no_wrap=True)
    table.add_column("payee", no_wrap=True)
    table.add_column(CURRENCY, justify="right", no_wrap=True)
    table.add_column("state", min_width=len("COMPLETED"))
    table.add_column("handed over", min_width=len(_TRAVELLED))  # its heading may take two lines
    table.add_column("ms", justify="right", no_wrap=True)
    for plan, status in zip(findings.planned, findings.statuses, strict=True):
        colour = "green" if status.state == "COMPLETED" else "yellow"
        error = f" {status.error.code} {plan.why or status.error.description}" if status.error else ""
        ended = status.ended_at
        taken_ms = "" if ended is None else str(parse_iso(ended) - parse_iso(status.started_at))
        table.add_row(
            plan.payer,
            f"{plan.payee} {plan.payee_fsp or '?'}",
            plan.amount.decimal_text(),
            f"[{colour}]{status.state}[/]{error}",
            _TRAVELLED if status.handed_over else "",
            taken_ms,
        )
    return table


def _balances(findings: Findings) -> Table:
    table = _table(f"What each bank owes its members, {CURRENCY}")
    table.add_column("bank")
    for name in ("before", "after", "change", "held", "owes the switch"):
        table.add_column(name, justify="right", no_wrap=True)
    for fsp, after in findings.after.ledgers.items():
        was, now = findings.before.ledgers[fsp].totals.savings, after.totals.savings
        held = sum(account.held for account in after.accounts)
        figures = [_text(minor) for minor in (was, now, now - was, held)]
        position = findings.after.positions.get(fsp)
        table.add_row(NAMES[fsp], *figures, _text(position.position) if position else "?")
    return table


def _audit(findings: Findings) -> Table:
    table = _table("Audit records in PostgreSQL")
    table.add_column("tenant")
    table.add_column("records", justify="right")
    table.add_column("table")
    for row in findings.audit.tenants:
        table.add_row(row.tenant, str(row.events), row.table)
    return table


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )


def _text(minor: int) -> str:
    return Money(minor, CURRENCY).decimal_text()
