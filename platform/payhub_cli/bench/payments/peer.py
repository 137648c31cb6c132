"""Mojaloop's sdk-scheme-adapter as the payer, at the same switch: started by ``loadtests/peers``."""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
import psutil

from payhub_cli.bench.load import Load
from payhub_cli.bench.payments.bank import CURRENCY
from payhub_cli.bench.payments.channel import AMOUNT, PAYER, payee_of
from payhub_cli.bench.payments.installation import PAYEE_FSP, PEER_FSP, Site
from payhub_cli.bench.payments.switch import SWITCH_FSP
from payhub_cli.local import files
from payhub_cli.local.ports import LOOPBACK
from payhub_platform.security import jws

SCRIPT: Final = Path(__file__).parents[4] / "loadtests" / "peers" / "sdk_scheme_adapter.py"
START_S_MAX: Final = 900.0  # npm may have to fetch it
STOP_S: Final = 30.0
_OK: Final = 200
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)


class PeerMissingError(Exception):
    """The peer cannot be run here; the text says why."""


class _Started(msgspec.Struct, frozen=True):
    url: str


class _Transfer(msgspec.Struct, rename="camel"):
    current_state: str = ""


@dataclass(slots=True)
class Peer:
    """Pays through a running peer.

    Attributes:
        failed: what it answered, by payment, to those it did not complete.
    """

    session: aiohttp.ClientSession
    url: str
    pid: int
    load: Load
    failed: dict[str, str] = field(default_factory=dict)

    async def pay(self, payment: str) -> None:
        """Have one payment made; the peer answers when it has ended."""
        answered = ""
        try:
            async with self.session.post(
                f"{self.url}/transfers", json=_transfer(payment), timeout=_TIMEOUT
            ) as answer:
                told = await answer.read()
                answered = f"{answer.status} {told[:200].decode(errors='replace')}"
                if answer.status == _OK:
                    state = msgspec.json.decode(told, type=_Transfer).current_state
                    answered = "" if state == "COMPLETED" else state
        except (aiohttp.ClientError, TimeoutError) as error:
            answered = type(error).__name__
        if answered:
            self.failed[payment] = answered
            self.load.due_at.pop(payment, None)
        else:
            self.load.complete(payment, time.perf_counter())

    def cpu_s(self) -> float:
        """Return what the adapter and its redis have used so far."""
        times = [each.cpu_times() for each in psutil.Process(self.pid).children(recursive=True)]
        return float(sum(each.user + each.system for each in times))


@contextlib.asynccontextmanager
async def started(site: Site) -> AsyncIterator[tuple[str, int]]:
    """Run the peer for the length of a block; give its address and the id of its parent process.

    Raises:
        PeerMissingError: it cannot be run here.
    """
    if not SCRIPT.is_file():
        raise PeerMissingError("loadtests/peers is not part of an installed payhub.")
    folder = site.around.folder / PEER_FSP
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, str(SCRIPT), *_options(site, folder)],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - both are pipes
        async with asyncio.timeout(START_S_MAX):
            line = await process.stdout.readline()
        if not line:
            said = (await process.stderr.read()).decode(errors="replace").strip()
            raise PeerMissingError(said or "it ended without a word")
        yield msgspec.json.decode(line, type=_Started).url, process.pid
    finally:
        assert process.stdin is not None  # noqa: S101 - a pipe
        process.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _options(site: Site, folder: Path) -> list[str]:
    keys = folder / "keys"
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = {
        "--work-dir": str(Path(tempfile.gettempdir()) / "payhub-peers"),
        "--data": str(folder),
        "--switch": f"{LOOPBACK}:{site.around.ports['scheme']}",
        "--port": str(site.peer_port),
        "--fsp": PEER_FSP,
    }
    if site.shape.is_signed:
        for fsp in (SWITCH_FSP, PAYEE_FSP):
            files.write_private(keys / f"{fsp}.pem", jws.public_pem(site.private_pems[fsp]).encode())
        files.write_private(folder / "key.pem", site.private_pems[PEER_FSP].encode())
        options |= {"--key": str(folder / "key.pem"), "--keys": str(keys)}
    return [word for pair in options.items() for word in pair]


def _transfer(payment: str) -> dict[str, Any]:
    return {
        "homeTransactionId": payment,
        "from": {"displayName": "Payer", "idType": "MSISDN", "idValue": PAYER},
        "to": {"idType": "MSISDN", "idValue": payee_of(payment)},
        "amountType": "SEND",
        "currency": CURRENCY,
        "amount": AMOUNT,
        "transactionType": "TRANSFER",
    }
