"""What each profile runs, and with which settings. Pure: folders, ports and secrets are given."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from payhub_cli.process import ProcessSpec, answers_ready

Profile = Literal["barebone", "full"]
HOST: Final = "127.0.0.1"
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

    def url(self, name: str) -> str:
        """Return the base URL of a service."""
        return f"http://{HOST}:{self.ports[name]}"


def engine_name(engine: str) -> str:
    """Return the name of an engine's process."""
    return f"engine-{engine}"


def service_names(profile: Profile, *, sandbox: bool) -> list[str]:
    """Return the names of a profile's services, in the order of starting."""
    engines = [engine_name(engine) for engine in ENGINES[profile]]
    return [*(["sandbox"] if sandbox else []), *engines, "tenants", "operations", "gateway"]


def services(profile: Profile, around: Surroundings, *, sandbox: bool) -> list[ProcessSpec]:
    """Return how each service of a profile is run, in the order of starting."""
    secrets = around.secrets
    bus = {"PAYHUB_NATS_URL": around.nats_url, "PAYHUB_INTERNAL_TOKEN": secrets.internal_token}
    database = {"PAYHUB_DATABASE_URL": around.database_url}
    sealed = {"PAYHUB_SECRETS_KEY": secrets.secrets_key}
    engine_urls = {engine: around.url(engine_name(engine)) for engine in ENGINES[profile]}
    engines = {"PAYHUB_ENGINES": msgspec.json.encode(engine_urls).decode()}
    login = {"PAYHUB_LOGIN_CODE": around.login_code} if around.login_code else {}
    specs = [_service("sandbox", "payhub_sandbox", around, {})] if sandbox else []
    for engine in ENGINES[profile]:
        place = {"PAYHUB_ENGINE_ID": engine, "PAYHUB_SITE": engine}
        specs.append(_service(engine_name(engine), "payhub_engines", around, {**bus, **sealed, **place}))
    aggregator = {"PAYHUB_AGGREGATOR_TOKEN": secrets.aggregator_token}
    operator = {"PAYHUB_OPERATOR_TOKEN": secrets.operator_token, **login}
    return [
        *specs,
        _service("tenants", "payhub_tenants", around, {**bus, **database, **sealed, **engines, **aggregator}),
        _service("operations", "payhub_operations", around, {**bus, **database, **sealed, **operator}),
        _service("gateway", "payhub_gateway", around, {**bus, **engines}),
    ]


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
    )
