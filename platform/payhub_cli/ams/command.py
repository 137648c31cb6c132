"""`payhub ams check`: examine a core bank as its vendor or its SACCO can run it, and say how to mend it."""

import asyncio
import logging
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click
import msgspec

from payhub_cli.ams.account import ExaminedAccount
from payhub_cli.ams.contract_exam import ContractExam
from payhub_cli.ams.errors import AmsCheckError
from payhub_cli.ams.exam import Desk, Finding, Outcome, examine
from payhub_cli.ams.fineract_exam import FineractExam
from payhub_engines.connectors import ams
from payhub_engines.connectors.ams.banks import CoreBanks
from payhub_engines.connectors.ams.model import BankCall
from payhub_engines.connectors.ams.transport import BankTransport
from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.http import HttpFactory, SharedConnections
from payhub_platform.clock import system_clock
from payhub_platform.contracts.fspiop import PartyIdInfo
from payhub_platform.contracts.tenant import AmsConnection, AmsKind, AmsOAuth, AmsTls, TenantConfig
from payhub_platform.errors import UnavailableError
from payhub_platform.http_client import HttpClient
from payhub_platform.security.secrets import SecretBox
from payhub_platform.telemetry.tracing import Tracing

TENANT: Final = "check"
MARKS: Final[dict[Outcome, str]] = {"passed": "ok", "noted": "note", "failed": "FAILED", "skipped": "skipped"}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is examined, and with which credentials; secrets come from the environment, not from arguments."""

    url: str
    kind: AmsKind
    account: str  # TYPE/VALUE
    amount: str
    user: str = ""
    password: str = ""
    platform_tenant: str = ""
    token_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    scope: str = ""
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `payhub ams check --json` prints; ``conforms`` decides the exit status."""

    url: str
    kind: AmsKind
    conforms: bool
    passed: int
    noted: int
    failed: int
    skipped: int
    checks: list[Finding]


def run(options: Options, *, as_json: bool) -> int:
    """Examine a bank and print what was found; return 0 where it conforms, 1 where it does not."""
    # What the connectors log of tenants in production is told here by the checks themselves.
    logging.getLogger(ams.__name__).setLevel(logging.ERROR)
    told = _progress if as_json else _line
    report = asyncio.run(_examined(options, told))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        click.echo(f"\n{report.passed} passed, {report.noted} noted, {report.failed} failed, ", nl=False)
        click.echo(
            f"{report.skipped} skipped: the bank {'conforms' if report.conforms else 'does not conform'}."
        )
    return 0 if report.conforms else 1


async def _examined(options: Options, told: Callable[[Finding], None]) -> Report:
    async with HttpClient() as client:
        return await check(options, SharedConnections, client, told)


async def check(
    options: Options, http: HttpFactory, client: HttpClient, told: Callable[[Finding], None]
) -> Report:
    """Examine a bank.

    Args:
        options: which, and how to reach it.
        http: how to send with the client.
        client: for ``http``.
        told: is given each finding as soon as it is known.

    Raises:
        AmsCheckError: the options do not fit together.
    """
    secrets = SecretBox(SecretBox.new_key())
    context = ConnectorContext(
        tenant=_no_tenant, http=client, secrets=secrets, clock=system_clock, tracing=Tracing("ams-check")
    )
    call = BankCall(
        context=context,
        tenant_id=TENANT,
        connection=connection(options, secrets),
        payment=str(uuid.uuid4()),
        element="ams-check",
        trace="",
    )
    desk = Desk(call, BankTransport(http))
    account = ExaminedAccount(desk, CoreBanks(http), _party(options.account), options.amount)
    exam_of = FineractExam if options.kind == "fineract" else ContractExam
    exam = exam_of(desk, account, _stranger(call, secrets), lambda: str(uuid.uuid4()))
    try:
        findings = await examine(desk, exam.steps(), told)
    except asyncio.CancelledError:  # Ctrl-C: what is held or missing now is put back first
        if account.before is not None:
            await exam.put_back()
        raise
    counts = {outcome: sum(one.outcome == outcome for one in findings) for outcome in MARKS}
    return Report(
        url=options.url,
        kind=options.kind,
        conforms=counts["failed"] + counts["skipped"] == 0,
        passed=counts["passed"],
        noted=counts["noted"],
        failed=counts["failed"],
        skipped=counts["skipped"],
        checks=findings,
    )


def connection(options: Options, secrets: SecretBox) -> AmsConnection:
    """Return the bank's connection, its secrets sealed as a tenant's are.

    Raises:
        AmsCheckError: credentials are missing, or a file cannot be read.
    """
    scheme, host = urlsplit(options.url).scheme, urlsplit(options.url).hostname
    if scheme not in {"http", "https"} or not host:
        raise AmsCheckError("ams-check-url", f"{options.url!r} is no address that begins with https://.")
    oauth = tls = None
    if options.token_url:
        if not (options.client_id and options.client_secret):
            text = "OAuth2 needs --client-id, and the secret in PAYHUB_AMS_CLIENT_SECRET."
            raise AmsCheckError("ams-check-credentials", text)
        oauth = AmsOAuth(
            token_url=options.token_url,
            client_id=options.client_id,
            client_secret_sealed=secrets.seal(options.client_secret, f"ams-oauth:{TENANT}"),
            scope=options.scope,
        )
    elif not (options.user and options.password):
        text = "Give --user, and the password in PAYHUB_AMS_PASSWORD; or --token-url for OAuth2."
        raise AmsCheckError("ams-check-credentials", text)
    if options.ca or options.certificate or options.key:
        tls = AmsTls(
            ca_pem=_read(options.ca),
            certificate_pem=_read(options.certificate),
            private_key_sealed=secrets.seal(_read(options.key), f"ams-tls:{TENANT}") if options.key else "",
        )
    return AmsConnection(
        base_url=options.url,
        platform_tenant=options.platform_tenant,
        username=options.user,
        password_sealed=secrets.seal(options.password, f"ams:{TENANT}"),
        kind=options.kind,
        oauth=oauth,
        tls=tls,
    )


def _stranger(call: BankCall, secrets: SecretBox) -> BankCall:
    """Return the call of somebody who may connect, but whose credentials are wrong."""
    connection = msgspec.structs.replace(
        call.connection,
        username="payhub-check-nobody",
        password_sealed=secrets.seal(str(uuid.uuid4()), f"ams:{TENANT}"),
        oauth=None,
    )
    return replace(call, connection=connection)


def _party(text: str) -> PartyIdInfo:
    kind, slash, value = text.partition("/")
    if not (kind and slash and value):
        raise AmsCheckError(
            "ams-check-account", f"--account {text!r} is not TYPE/VALUE, as MSISDN/254700100001."
        )
    try:
        return msgspec.convert({"partyIdType": kind, "partyIdentifier": value}, PartyIdInfo)
    except msgspec.ValidationError as error:
        raise AmsCheckError("ams-check-account", f"--account {text!r}: {error}") from error


def _read(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise AmsCheckError("ams-check-file", f"{file} cannot be read as PEM.") from error


def _no_tenant(name: str) -> TenantConfig:
    raise UnavailableError("unknown-tenant", f"An examination knows no tenant {name}.")


def _line(finding: Finding) -> None:
    why = f" ({finding.wrong})" if finding.outcome == "skipped" else ""
    click.echo(f"{MARKS[finding.outcome]:>8}  {finding.name}{why}")
    if finding.outcome in {"passed", "skipped"}:
        return
    click.echo(f"{'':10}wrong:  {finding.wrong}")
    for sent in finding.sent:
        click.echo(f"{'':10}sent:   {sent}")
    for came in finding.came:
        click.echo(f"{'':10}came:   {came}")
    click.echo(f"{'':10}wanted: {finding.wanted}")
    click.echo(f"{'':10}mend:   {finding.mend}")


def _progress(finding: Finding) -> None:
    click.echo(f"{MARKS[finding.outcome]:>8}  {finding.name}", err=True)
