"""`payhub bpmn lint`: all that is wrong with process files, before they are deployed."""

from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from payhub_engines.connectors.registry import handlers, message_names
from payhub_engines.core.bpmn.check import Known, check
from payhub_engines.core.bpmn.problems import Problem, Severity
from payhub_engines.core.bpmn.xml import XML_BYTES_MAX


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One problem of one file; ``line`` is 0 where no line is to blame."""

    file: str
    line: int
    severity: Severity
    code: str
    element: str
    detail: str


class LintReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `payhub bpmn lint --json` prints."""

    files: int
    errors: int
    warnings: int
    problems: list[Finding]


def known(jobs: Iterable[str] = (), messages: Iterable[str] = ()) -> Known:
    """Return what payhub's connectors serve and publish, and what else there is."""
    return Known(
        jobs=frozenset(handlers()).union(jobs),
        messages=message_names().union(messages),
    )


def lint(files: Iterable[Path], catalogue: Known) -> LintReport:
    """Check each file; what is beyond the size of a deployable file is not read."""
    checked, found = 0, list[Finding]()
    for file in files:
        with file.open("rb") as stream:
            xml = stream.read(XML_BYTES_MAX + 1)
        found += [_finding(file, problem) for problem in check(xml, catalogue)]
        checked += 1
    errors = sum(finding.severity == "error" for finding in found)
    return LintReport(files=checked, errors=errors, warnings=len(found) - errors, problems=found)


def run(
    files: Iterable[Path], jobs: Iterable[str], messages: Iterable[str], *, strict: bool, as_json: bool
) -> int:
    """Print what is wrong; return 1 when there are errors, or (strict) warnings, else 0."""
    report = lint(files, known(jobs, messages))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        for finding in report.problems:
            where = f"{finding.file}:{finding.line}"
            what = f" {finding.element}" if finding.element else ""
            click.echo(f"{where}: {finding.severity} {finding.code}{what}: {finding.detail}")
        counted = f"{report.files} files, {report.errors} errors, {report.warnings} warnings"
        click.echo(counted, err=True)
    return int(report.errors > 0 or (strict and report.warnings > 0))


def _finding(file: Path, problem: Problem) -> Finding:
    return Finding(
        file=str(file),
        line=problem.line,
        severity=problem.severity,
        code=problem.code,
        element=problem.element,
        detail=problem.detail,
    )
