"""How what was found is shown to people."""

from rich.console import Console
from rich.table import Table

from payhub_cli.demo.progress import mark
from payhub_cli.isolation.model import Report


def show(shown: Console, report: Report) -> None:
    """Print a line for each question, then what must not be."""
    table = Table("operation", "asked for", "answer", "ms, theirs", "ms, nobody's", box=None)
    for row in report.rows:
        table.add_row(row.operation, row.about, str(row.status), f"{row.theirs_ms}", f"{row.nobodys_ms}")
    shown.print(table)
    for finding in report.findings:
        shown.print(
            f"{mark(shown, holds=False)} {finding.operation}: {finding.flaw}: {finding.detail}", markup=False
        )
    asked = f"{report.operations} operations, {len(report.rows)} questions of a stranger"
    shown.print(
        f"{mark(shown, holds=report.holds())} {asked}; {len(report.findings)} answers that must not be"
    )
    left = "as they were" if report.unharmed else "CHANGED"
    shown.print(f"{mark(shown, holds=report.unharmed)} what the other institution has is {left}")
