"""``payhub sandbox``: the switch, the banks and the test DFSP in this process, and nothing else."""

import asyncio
import contextlib
import socket
from typing import Any

import click
import msgspec

from payhub_cli.errors import SandboxError
from payhub_platform.clock import system_clock
from payhub_sandbox.app import Sandbox, serve
from payhub_sandbox.bank.service import FineractVersion
from payhub_sandbox.settings import SandboxSettings
from payhub_sandbox.switch.climate import Climate
from payhub_sandbox.switch.signature import Algorithm


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said; ``port`` 0 takes a free one."""

    host: str
    port: int
    algorithm: Algorithm
    fineract: FineractVersion
    forced_cases: bool
    climate: str | None
    as_json: bool


def run(options: Options) -> int:
    """Serve until Ctrl-C or SIGTERM and return exit status 0.

    Raises:
        SandboxError: the address cannot be used, or the climate is no JSON that it knows.
    """
    return asyncio.run(_run(options))


async def _run(options: Options) -> int:
    host, port = options.host, _port(options.host, options.port)
    settings = SandboxSettings(
        host=host,
        port=port,
        algorithm=options.algorithm,
        fineract=options.fineract,
        forced_cases=options.forced_cases,
        residents=True,
        climate=_climate(options.climate),
    )
    sandbox = Sandbox(settings, system_clock)
    shown = f"[{host}]" if ":" in host else host

    def tell() -> None:
        _print(sandbox.guide(f"http://{shown}:{port}"), as_json=options.as_json)

    await serve(sandbox, host, port, tell)
    if not options.as_json:
        click.echo("The sandbox has ended.")
    return 0


def _print(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(document))
        return
    switch, banks = document["switch"], document["banks"]
    dfsp = document["counterparties"][0]
    click.echo(f"Guide     {document['guideUrl']}  (open it in a browser; the same as JSON under /sandbox)")
    click.echo(
        f"Switch    {switch['baseUrl']}  FSP id {switch['fspId']}, FSPIOP {', '.join(switch['versions'])}"
    )
    click.echo(f"Operate   {switch['adminUrl']}")
    click.echo(f"Test DFSP {dfsp['fspId']}, its members {', '.join(one['party'] for one in dfsp['parties'])}")
    for bank in banks:
        user = f"{bank['username']} / {bank['password']}"
        click.echo(f"Bank      {bank['amsBaseUrl']}  tenant {bank['platformTenant']}, {user}")
    for signer in (switch, *document["counterparties"]):
        click.echo(f"Key of {signer['fspId']}:\n{signer['publicKeyPem'].strip()}")
    click.echo("Ctrl-C ends it; nothing is kept.")


def _port(host: str, port: int) -> int:
    """Return the port, or a free one; an address in use is told before anything starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SandboxError(f"{host} port {port} cannot be used: {error.strerror or error}.") from error
        return int(probe.getsockname()[1])


def _climate(text: str | None) -> Climate:
    if text is None:
        return Climate()
    try:
        return msgspec.json.decode(text, type=Climate)
    except msgspec.DecodeError as error:
        raise SandboxError(f"--climate: {error}.") from error
