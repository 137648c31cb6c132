"""What a supervised process is, and how one tells whether it serves."""

import http.client
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from payhub_cli.local.server import LocalServer, Probe

PROBE_WAIT_S: Final = 1.0
HEALTH_BYTES_MAX: Final = 4096
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
        stops_with: those beside each other with the same name here stop at the same time.
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
    stops_with: str = ""


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


class Health(msgspec.Struct, frozen=True):
    """What ``/health/ready`` tells; only a replica of an engine names itself, and its leader.

    Attributes:
        is_ready: it answered 200.
    """

    is_ready: bool = False
    replica: str = ""
    leader: str | None = None

    @property
    def role(self) -> str:
        """Return ``leader``, ``follower``, or nothing where there is no leader to speak of."""
        if not self.replica or self.leader is None:
            return ""
        return "leader" if self.leader == self.replica else "follower"


def answers_ready(url: str) -> bool:
    """Tell whether a service of ours answers 200 at ``/health/ready``; blocks for a second at most."""
    return ask_health(url).is_ready


def ask_health(url: str) -> Health:
    """Return what a service of ours tells of its health; blocks for a second at most."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PROBE_WAIT_S)
    try:
        connection.request("GET", READY_PATH)
        answer = connection.getresponse()
        is_ready, body = answer.status == http.client.OK, answer.read(HEALTH_BYTES_MAX)
    except (OSError, http.client.HTTPException):
        return Health()
    finally:
        connection.close()
    try:
        return msgspec.structs.replace(msgspec.json.decode(body, type=Health), is_ready=is_ready)
    except msgspec.MsgspecError:
        return Health(is_ready=is_ready)
