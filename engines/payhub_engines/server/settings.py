"""Settings of one engine replica, from environment variables ``PAYHUB_*``."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from payhub_engines.consensus.group import SIZES, Address, Certificates, Group, is_loopback
from payhub_platform.errors import InvalidInputError
from payhub_platform.replicas import base_url, read_replicas


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an engine replica needs to start; it needs nobody else to be up.

    Attributes:
        replica: this replica's id in its group; it is never used for another folder.
        peers: ``1=host:port,2=host:port,3=host:port``, for Raft; empty for a group of one.
        replica_urls: ``1=http://host:port,...``, where each replica serves HTTP.
        raft_cert: PEM file of the replica's certificate; its SAN URI is ``payhub://<engine>/<replica>``.
        raft_key: PEM file of its private key.
        raft_ca: PEM file of the authority that signed the certificates of the group.
        trace_file: where spans are written; none records none.
        trace_ratio: how much of the traces that begin here is written, 0 to 1.
    """

    engine_id: str
    site: str
    data_dir: Path
    port: int
    nats_url: str
    internal_token: str
    secrets_key: str
    host: str = "127.0.0.1"
    replica: str = "1"
    peers: str = ""
    replica_urls: str = ""
    raft_cert: Path | None = None
    raft_key: Path | None = None
    raft_ca: Path | None = None
    trace_file: Path | None = None
    trace_ratio: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0
    log_level: str = "INFO"

    def __post_init__(self) -> None:
        """Refuse a group that does not hold together, before anything is opened."""
        self.group()

    @property
    def is_alone(self) -> bool:
        """Whether the engine has this one replica."""
        return len(self.urls()) <= 1

    def urls(self) -> dict[str, str]:
        """Return the HTTP base URL of each replica, this one included; empty for a replica alone.

        Raises:
            InvalidInputError: code ``invalid-settings``.
        """
        named = read_replicas(self.replica_urls, "PAYHUB_REPLICA_URLS")
        return {replica: base_url(text, "PAYHUB_REPLICA_URLS") for replica, text in named.items()}

    def group(self) -> Group:
        """Return the group that the settings describe.

        Raises:
            InvalidInputError: code ``invalid-settings``; the text says what to set.
        """
        read_replicas(f"{self.replica}=here", "PAYHUB_REPLICA")
        named = read_replicas(self.peers, "PAYHUB_PEERS")
        addresses = {replica: _address(text) for replica, text in named.items()}
        urls = self.urls()
        if addresses or urls:
            self._check_members(set(addresses), set(urls))
        certificates = self._certificates()
        far = [replica for replica, address in addresses.items() if not is_loopback(address)]
        if far and certificates is None:
            raise _invalid(
                "PAYHUB_RAFT_CERT",
                f"Replica {far[0]} is on another machine: set PAYHUB_RAFT_CERT, PAYHUB_RAFT_KEY and "
                "PAYHUB_RAFT_CA. Without certificates a group runs on the loopback interface only.",
            )
        return Group(
            cluster=self.engine_id, replica=self.replica, addresses=addresses, certificates=certificates
        )

    def _check_members(self, peers: set[str], urls: set[str]) -> None:
        if len(peers) not in SIZES:
            raise _invalid(
                "PAYHUB_PEERS",
                f"A group has 1, 3 or 5 replicas, not {len(peers)}: an even number fails more often and "
                "survives no more. Name all of them, this one included; leave it empty for a group of one.",
            )
        if self.replica not in peers:
            raise _invalid(
                "PAYHUB_PEERS",
                f"Replica {self.replica} (PAYHUB_REPLICA) is not among them. Name all replicas of the group, "
                "this one included.",
            )
        if urls != peers:
            odd = ", ".join(sorted(urls ^ peers))
            raise _invalid(
                "PAYHUB_REPLICA_URLS",
                f"It must name the same replicas as PAYHUB_PEERS; only one of the two names {odd}.",
            )

    def _certificates(self) -> Certificates | None:
        files = {
            "PAYHUB_RAFT_CERT": self.raft_cert,
            "PAYHUB_RAFT_KEY": self.raft_key,
            "PAYHUB_RAFT_CA": self.raft_ca,
        }
        missing = [name for name, file in files.items() if file is None]
        if self.raft_cert is None or self.raft_key is None or self.raft_ca is None:
            if len(missing) < len(files):
                raise _invalid(missing[0], f"Set {' and '.join(missing)} as well, or none of the three.")
            return None
        for name, file in files.items():
            if file is None or not file.is_file():
                raise _invalid(name, f"{file} is no file that can be read.")
        return Certificates(self.raft_cert, self.raft_key, self.raft_ca)


def _address(text: str) -> Address:
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        port = None
    if not port or not parts.hostname or parts.netloc != text or parts.username is not None:
        raise _invalid("PAYHUB_PEERS", f"{text!r} is no address such as host:7000.")
    return Address(parts.hostname, port)


def _invalid(variable: str, text: str) -> InvalidInputError:
    return InvalidInputError("invalid-settings", f"{variable}: {text}", variable)
