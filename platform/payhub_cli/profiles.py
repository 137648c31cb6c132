"""What each profile runs, and with which settings. Pure: folders, ports and secrets are given."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from payhub_cli.local import certificates
from payhub_cli.process import ProcessSpec, answers_ready

Profile = Literal["barebone", "full"]
HOST: Final = "127.0.0.1"
CERTIFICATES: Final = "certificates"  # folder, where engines have several replicas
ENGINES: Final[dict[Profile, tuple[str, ...]]] = {"barebone": ("north",), "full": ("north", "south")}


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of one installation; made once, kept in its folder."""

    internal_token: str
    secrets_key: str
    aggregator_token: str
    operator_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where an installation's processes find their folder, ports, servers and secrets."""

    folder: Path
    ports: dict[str, int]
    nats_url: str
    database_url: str
    secrets: Secrets
    login_code: str = ""
    replicas: int = 1

    def url(self, name: str) -> str:
        """Return the base URL of a service."""
        return f"http://{HOST}:{self.ports[name]}"

    def replica_urls(self, engine: str) -> dict[str, str]:
        """Return the base URL of each replica of an engine."""
        return {replica: self.url(name) for replica, name in replica_names(engine, self.replicas).items()}

    def engine_address(self, engine: str) -> str:
        """Return an engine's address as ``PAYHUB_ENGINES`` has it: of one replica, or of each."""
        urls = self.replica_urls(engine)
        return urls["1"] if self.replicas == 1 else _pairs(urls)


def replica_names(engine: str, replicas: int) -> dict[str, str]:
    """Return the name of each replica's process by replica id."""
    if replicas == 1:
        return {"1": f"engine-{engine}"}
    return {str(number): f"engine-{engine}-{number}" for number in range(1, replicas + 1)}


def members(profile: Profile, replicas: int) -> list[tuple[str, str]]:
    """Return engine id and replica id of each replica of a profile."""
    return [(engine, replica) for engine in ENGINES[profile] for replica in replica_names(engine, replicas)]


def service_names(profile: Profile, *, sandbox: bool, replicas: int = 1) -> list[str]:
    """Return the names of a profile's services, in the order of starting."""
    engines = [name for engine in ENGINES[profile] for name in replica_names(engine, replicas).values()]
    return [*(["sandbox"] if sandbox else []), *engines, "tenants", "operations", "gateway"]


def port_names(profile: Profile, *, sandbox: bool, replicas: int = 1) -> list[str]:
    """Return what needs a port: each service, and each replica of a group for its peers."""
    engines = [name for engine in ENGINES[profile] for name in replica_names(engine, replicas).values()]
    peers = [_raft(name) for name in engines] if replicas > 1 else []
    return [*service_names(profile, sandbox=sandbox, replicas=replicas), *peers]


def services(profile: Profile, around: Surroundings, *, sandbox: bool) -> list[ProcessSpec]:
    """Return how each service of a profile is run, in the order of starting."""
    secrets = around.secrets
    bus = {"PAYHUB_NATS_URL": around.nats_url, "PAYHUB_INTERNAL_TOKEN": secrets.internal_token}
    database = {"PAYHUB_DATABASE_URL": around.database_url}
    sealed = {"PAYHUB_SECRETS_KEY": secrets.secrets_key}
    addresses = {engine: around.engine_address(engine) for engine in ENGINES[profile]}
    engines = {"PAYHUB_ENGINES": msgspec.json.encode(addresses).decode()}
    login = {"PAYHUB_LOGIN_CODE": around.login_code} if around.login_code else {}
    # The demonstration, which has the full profile, compares the books of its four banks alone.
    certifies = {"PAYHUB_RESIDENTS": "true", "PAYHUB_FORCED_CASES": "true"} if profile == "barebone" else {}
    specs = [_service("sandbox", "payhub_sandbox", around, certifies)] if sandbox else []
    for engine in ENGINES[profile]:
        place = {"PAYHUB_ENGINE_ID": engine, "PAYHUB_SITE": engine}
        for replica, name in replica_names(engine, around.replicas).items():
            group = _group(engine, replica, around)
            specs.append(_service(name, "payhub_engines", around, {**bus, **sealed, **place, **group}))
    aggregator = {"PAYHUB_AGGREGATOR_TOKEN": secrets.aggregator_token}
    operator = {"PAYHUB_OPERATOR_TOKEN": secrets.operator_token, **login}
    vault = {**sealed, "PAYHUB_KEYS_FOLDER": str(around.folder / "tenant-keys")}
    # Whoever tries webhooks out receives them on this machine.
    local = {"PAYHUB_PRIVATE_ENDPOINTS": "true"}
    suite = {"PAYHUB_SANDBOX_URL": around.url("sandbox")} if sandbox else {}
    plane = {**bus, **database, **vault, **engines, **aggregator, **suite, **local}
    return [
        *specs,
        _service("tenants", "payhub_tenants", around, plane),
        _service(
            "operations", "payhub_operations", around, {**bus, **database, **sealed, **operator, **local}
        ),
        # The demo's channel is on this machine and proves no key with its requests.
        _service("gateway", "payhub_gateway", around, {**bus, **engines, "PAYHUB_BEARER_TOKENS": "true"}),
    ]


def _group(engine: str, replica: str, around: Surroundings) -> dict[str, str]:
    """Return what a replica is told of its group; nothing where it is alone."""
    if around.replicas == 1:
        return {}
    names = replica_names(engine, around.replicas)
    kept = certificates.files_of(around.folder / CERTIFICATES, engine, replica)
    return {
        "PAYHUB_REPLICA": replica,
        "PAYHUB_PEERS": _pairs(
            {other: f"{HOST}:{around.ports[_raft(name)]}" for other, name in names.items()}
        ),
        "PAYHUB_REPLICA_URLS": _pairs(around.replica_urls(engine)),
        "PAYHUB_RAFT_CERT": str(kept.certificate),
        "PAYHUB_RAFT_KEY": str(kept.key),
        "PAYHUB_RAFT_CA": str(kept.authority),
    }


def _pairs(addresses: dict[str, str]) -> str:
    return ",".join(f"{replica}={address}" for replica, address in addresses.items())


def _raft(name: str) -> str:
    return f"{name}-raft"


def _service(name: str, module: str, around: Surroundings, settings: dict[str, str]) -> ProcessSpec:
    url = around.url(name)
    common = {
        "PAYHUB_HOST": HOST,
        "PAYHUB_PORT": str(around.ports[name]),
        "PAYHUB_DATA_DIR": str(around.folder / name),
        "PAYHUB_TRACE_FILE": str(around.folder / "traces" / f"{name}.jsonl"),
        # One arena less a thread: glibc otherwise keeps tens of megabytes that nobody uses.
        "MALLOC_ARENA_MAX": "2",
    }
    return ProcessSpec(
        name=name,
        command=(sys.executable, "-m", module),
        folder=around.folder / name,
        url=url,
        is_ready=lambda _pid: answers_ready(url),
        environment={**common, **settings},
        stops_with=module,
    )
