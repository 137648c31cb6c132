"""Runs Mojaloop's sdk-scheme-adapter and its redis beside a switch, for `payhub bench payments --peer`.

Once it takes payments it prints one line of JSON, ``{"url": "http://127.0.0.1:..."}``; it ends with its
standard input. What is missing is told in one sentence on standard error, with exit status 1.
"""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Final

import click

from payhub_peers.environments import npm_folder
from payhub_peers.processes import PeerError, Processes, free_port

NAME: Final = "sdk-scheme-adapter"
MAIN: Final = "node_modules/@mojaloop/sdk-scheme-adapter/src/index.js"
START_S_MAX: Final = 60.0
POLL_S: Final = 0.1
LOG_CHARACTERS_MAX: Final = 1_000


@click.command()
@click.option("--work-dir", type=click.Path(path_type=Path), required=True, help="For the environment.")
@click.option("--data", type=click.Path(path_type=Path), required=True, help="For its log.")
@click.option("--switch", required=True, help="HOST:PORT of the switch.")
@click.option("--port", type=int, required=True, help="Where it takes the switch's callbacks.")
@click.option("--fsp", required=True, help="Its FSP id.")
@click.option("--key", type=click.Path(path_type=Path), help="PEM file to sign with; without it nothing is.")
@click.option("--keys", type=click.Path(path_type=Path), help="Folder of FSP.pem files to verify with.")
def main(
    *, work_dir: Path, data: Path, switch: str, port: int, fsp: str, key: Path | None, keys: Path | None
) -> None:
    """Start both, tell where payments are taken, and stop when standard input ends."""
    processes = Processes(data / f"{NAME}.log")
    try:
        modules = _install(work_dir)
        outbound = asyncio.run(_start(processes, modules, switch, port, fsp, _jws(key, keys)))
        click.echo(json.dumps({"url": f"http://127.0.0.1:{outbound}"}))
        sys.stdout.flush()
        sys.stdin.read()
    except PeerError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    finally:
        processes.stop()


def _install(work_dir: Path) -> Path:
    for program in ("node", "redis-server"):
        if shutil.which(program) is None:
            raise PeerError(f"{program} is not on this machine.")
    return npm_folder(work_dir, NAME)


async def _start(
    processes: Processes, modules: Path, switch: str, port: int, fsp: str, jws: dict[str, str]
) -> int:
    redis, outbound = free_port(), free_port()
    memory_only = ["--save", "", "--appendonly", "no"]
    processes.spawn("redis", ["redis-server", "--port", str(redis), "--bind", "127.0.0.1", *memory_only], {})
    await _until_open(processes, "redis", redis)
    settings = {
        "PEER_ENDPOINT": switch,
        "BACKEND_ENDPOINT": switch,  # an outbound transfer never asks it
        "DFSP_ID": fsp,
        "CACHE_URL": f"redis://127.0.0.1:{redis}",
        "INBOUND_LISTEN_PORT": str(port),
        "OUTBOUND_LISTEN_PORT": str(outbound),
        "TEST_LISTEN_PORT": str(free_port()),
        "METRICS_SERVER_LISTEN_PORT": str(free_port()),
        "ILP_SECRET": "peer",
        "CHECK_ILP": "true",
        "AUTO_ACCEPT_QUOTES": "true",
        "AUTO_ACCEPT_PARTY": "true",
        "EXPIRY_SECONDS": "60",
        "REQUEST_PROCESSING_TIMEOUT_SECONDS": "30",
        "ENABLE_TEST_FEATURES": "false",  # with them it stops for good under load
        "RESOURCE_VERSIONS": "parties=1.1,quotes=1.1,transfers=1.1",
        **jws,
    }
    processes.spawn("sdk", ["node", modules.parent / MAIN], settings)
    for each in (outbound, port):
        await _until_open(processes, "sdk", each)
    return outbound


def _jws(key: Path | None, keys: Path | None) -> dict[str, str]:
    if key is None or keys is None:
        return {"JWS_SIGN": "false", "VALIDATE_INBOUND_JWS": "false"}
    return {
        "JWS_SIGN": "true",
        "JWS_SIGNING_KEY_PATH": str(key),
        "VALIDATE_INBOUND_JWS": "true",
        "VALIDATE_INBOUND_PUT_PARTIES_JWS": "true",
        "JWS_VERIFICATION_KEYS_DIRECTORY": str(keys),
    }


async def _until_open(processes: Processes, name: str, port: int) -> None:
    for _ in range(int(START_S_MAX / POLL_S)):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if not processes.is_running(name):
                break
            await asyncio.sleep(POLL_S)
        else:
            writer.close()
            return
    said = processes.log.read_text(errors="replace")[-LOG_CHARACTERS_MAX:]
    raise PeerError(f"{name} does not take connections. {said}")


if __name__ == "__main__":
    main()
