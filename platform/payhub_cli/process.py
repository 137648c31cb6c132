"""What a supervised process is, and how one tells whether it serves."""

import http.client
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from payhub_cli.local.server import LocalServer, Probe

PROBE_WAIT_S: Final = 1.0
READY_PATH: Final = "/health/ready"

ProcessState = Literal["starting", "ready", "restarting", "stopped"]


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """One process of an installation.

    Attributes:
        name: unique in the installation; also the name of its log file.
        command: the program and its arguments.
        folder: its working folder.
        url: where it serves, without credentials.
        is_ready: tells whether it serves.
        is_python: it counts in the total of the Python processes.
        environment: added to ours; the secrets it needs are in it.
        user_id: whom it runs as; None means as we do.
        stop_signal: asks it to stop cleanly.
        death_signal: what the system sends it when the supervisor is killed.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    url: str
    is_ready: Probe
    is_python: bool = True
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    user_id: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL


def of_server(server: LocalServer) -> ProcessSpec:
    """Describe a bundled server as a supervised process."""
    return ProcessSpec(
        name=server.name,
        command=server.command,
        folder=server.folder,
        url=without_credentials(server.url),
        is_ready=server.is_ready,
        is_python=False,
        user_id=server.user_id,
        stop_signal=server.stop_signal,
        death_signal=server.death_signal,
    )


def without_credentials(url: str) -> str:
    """Return a URL that may be shown and logged."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def answers_ready(url: str) -> bool:
    """Tell whether a service of ours answers 200 at ``/health/ready``; blocks for a second at most."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PROBE_WAIT_S)
    try:
        connection.request("GET", READY_PATH)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
