"""What payments run through: NATS, one engine, the gateway and the light scheme, on free ports."""

import asyncio
import contextlib
import functools
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
from nats.errors import Error as NatsError

from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.gateway_process import WIDE_LIMITS
from payhub_cli.bench.group import cpu_s
from payhub_cli.bench.payments.bank import CURRENCY
from payhub_cli.bench.payments.scheme import BANK_PATH, SchemeSettings
from payhub_cli.bench.payments.switch import SWITCH_FSP, Keys
from payhub_cli.local import certificates, files, nats, ports
from payhub_cli.local.server import tail
from payhub_cli.process import ProcessSpec, answers_ready, of_server
from payhub_cli.profiles import (
    CERTIFICATES,
    ENGINES,
    Profile,
    Secrets,
    Surroundings,
    members,
    port_names,
    services,
)
from payhub_cli.supervisor import Supervisor
from payhub_platform.bus.connection import connect
from payhub_platform.bus.directory import publish
from payhub_platform.contracts.tenant import (
    AmsConnection,
    OAuthClient,
    SchemeConnection,
    SigningKey,
    TenantConfig,
    VerificationKey,
)
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox

PROFILE: Final[Profile] = "barebone"
ENGINE: Final = ENGINES[PROFILE][0]
GATEWAY: Final = "gateway"
NATS: Final = "nats"
SCHEME: Final = "scheme"
PAYER_FSP: Final = "lion"
PAYEE_FSP: Final = "buffalo"
PEER_FSP: Final = "peer"
PUBLISH_S_MAX: Final = 20.0
PUBLISH_EACH_S_MAX: Final = 0.1
PUBLISH_POLL_S: Final = 0.1
PUBLISHED_AT_ONCE: Final = 32

_public_pem: Final = functools.cache(jws.public_pem)  # reading an RSA key checks it, which takes long


@dataclass(frozen=True, slots=True)
class Shape:
    """What is built.

    Attributes:
        replicas: of the engine.
        is_signed: every message is signed with RS256, and every signature verified.
        is_payee_played: the switch answers as the payee's institution; otherwise that is a tenant too.
        payers: the institutions that pay, by FSP id.
    """

    replicas: int
    is_signed: bool
    is_payee_played: bool
    payers: tuple[str, ...] = (PAYER_FSP,)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time of each part so far, in seconds."""

    engine_s: float
    gateway_s: float
    scheme_s: float
    nats_s: float


@dataclass(slots=True)
class Site:
    """All processes; start them with ``supervisor.start``.

    Attributes:
        peer_port: where the peer takes the switch's callbacks.
        private_pems: signing keys by FSP id.
    """

    shape: Shape
    around: Surroundings
    supervisor: Supervisor
    peer_port: int
    private_pems: dict[str, str] = field(repr=False)

    @property
    def scheme_url(self) -> str:
        """Where switch and bank are."""
        return self.around.url(SCHEME)

    def cost(self) -> Cost:
        """Return what all processes have used so far."""
        used = {child.spec.name: cpu_s(child.pid) for child in self.supervisor.children}
        engine_s = sum(seconds for name, seconds in used.items() if name.startswith("engine-"))
        return Cost(engine_s, used[GATEWAY], used[SCHEME], used[NATS])

    def check(self) -> None:
        """See that nothing has ended by itself.

        Raises:
            BenchError: a process crashed, though it was started again.
        """
        for child in self.supervisor.children:
            if child.restarts:
                raise BenchError(f"{child.spec.name} crashed. {tail(child.log_file)}")

    async def publish(self, client_id: str, jwks: dict[str, Any]) -> None:
        """Make the institutions known, as the tenants service would.

        Args:
            client_id: OAuth2 client id of the payer's channel.
            jwks: its public keys.

        Raises:
            BenchError: NATS does not take them.
        """
        scopes = ["payments:write", "payments:read"]
        client = OAuthClient(client_id=client_id, name="Bench", jwks=jwks, scopes=scopes)
        configs = [self.tenant(PAYER_FSP, [client])]
        if not self.shape.is_payee_played:
            configs.append(self.tenant(PAYEE_FSP, []))
        await self.publish_all(configs)

    async def publish_all(self, configs: list[TenantConfig]) -> None:
        """Make institutions known.

        Raises:
            BenchError: NATS does not take them.
        """
        bus = await connect(self.around.nats_url, "bench")
        deadline = time.monotonic() + PUBLISH_S_MAX + len(configs) * PUBLISH_EACH_S_MAX
        try:
            while configs:
                try:
                    await asyncio.gather(*(publish(bus, config) for config in configs[:PUBLISHED_AT_ONCE]))
                    configs = configs[PUBLISHED_AT_ONCE:]
                except (NatsError, TimeoutError, OSError) as error:
                    if time.monotonic() > deadline:
                        raise BenchError(f"NATS does not take the tenants: {error}.") from error
                    await asyncio.sleep(PUBLISH_POLL_S)
        finally:
            await bus.close()

    def tenant(self, fsp: str, clients: list[OAuthClient]) -> TenantConfig:
        """Return the configuration of an institution."""
        box, pem = SecretBox(self.around.secrets.secrets_key), self.private_pems[fsp]
        signed, payee_pem = self.shape.is_signed, _public_pem(self.private_pems[PAYEE_FSP])
        played = VerificationKey(fsp_id=PAYEE_FSP, public_key_pem=payee_pem)
        return TenantConfig(
            tenant_id=fsp,
            fsp_id=fsp,
            name=fsp.title(),
            currency=CURRENCY,
            status="active",
            version=1,
            epoch=1,
            placement=[ENGINE],
            scheme=SchemeConnection(
                base_url=self.scheme_url,
                switch_fsp_id=SWITCH_FSP,
                switch_public_key_pem=_public_pem(self.private_pems[SWITCH_FSP]),
                signs=signed,
                verifies=signed,
                peer_keys=[played] if self.shape.is_payee_played else [],
            ),
            ams=AmsConnection(
                base_url=f"{self.scheme_url}/{BANK_PATH}",
                username="bench",
                password_sealed=box.seal("bench", f"ams:{fsp}"),
                kind="contract",
            ),
            signing_key=SigningKey(
                key_id=fsp, public_key_pem=_public_pem(pem), private_key_sealed=box.seal(pem, f"jws:{fsp}")
            ),
            clients=clients,
        )


@contextlib.asynccontextmanager
async def built(folder: Path, shape: Shape, say: Callable[[str], None]) -> AsyncIterator[Site]:
    """Build and start everything for the length of a block.

    Raises:
        StartError: a process did not become ready.
    """
    site = await asyncio.to_thread(_prepare, folder, shape)
    try:
        say("start " + ", ".join(child.spec.name for child in site.supervisor.children))
        await site.supervisor.start()
        yield site
    finally:
        await site.supervisor.stop()


def _prepare(folder: Path, shape: Shape) -> Site:
    if shape.replicas > 1:
        certificates.prepare(folder / CERTIFICATES, members(PROFILE, shape.replicas))
    server = nats.prepare(folder / NATS)
    names = port_names(PROFILE, sandbox=False, replicas=shape.replicas)
    around = Surroundings(
        folder=folder,
        ports=ports.choose_ports(folder / "ports.json", [*names, SCHEME, PEER_FSP]),
        nats_url=server.url,
        database_url="",
        secrets=Secrets(
            internal_token=files.new_password(),
            secrets_key=SecretBox.new_key(),
            aggregator_token=files.new_password(),
            operator_token=files.new_password(),
        ),
        replicas=shape.replicas,
    )
    pems = {fsp: jws.new_private_key_pem("RS256") for fsp in (SWITCH_FSP, PAYER_FSP, PAYEE_FSP, PEER_FSP)}
    # Of many, each has a key of its own; RSA would take a minute to make.
    pems |= {fsp: jws.new_private_key_pem() for fsp in shape.payers if fsp not in pems}
    specs = [_measured(spec) for spec in services(PROFILE, around, sandbox=False) if _is_needed(spec)]
    scheme = _scheme(around, shape, pems)
    supervisor = Supervisor([of_server(server), scheme, *specs], folder / "logs")
    return Site(shape, around, supervisor, around.ports[PEER_FSP], pems)


def _scheme(around: Surroundings, shape: Shape, pems: dict[str, str]) -> ProcessSpec:
    callbacks = [f"{url}/fspiop" for url in around.replica_urls(ENGINE).values()]
    mine = (SWITCH_FSP, PAYEE_FSP) if shape.is_payee_played else (SWITCH_FSP,)
    keys = Keys(
        private_pems={fsp: pems[fsp] for fsp in mine},
        public_pems={fsp: _public_pem(pem) for fsp, pem in pems.items()},
    )
    settings = SchemeSettings(
        port=around.ports[SCHEME],
        callbacks={
            **dict.fromkeys(shape.payers, callbacks),
            PAYEE_FSP: callbacks,
            PEER_FSP: [f"http://{ports.LOOPBACK}:{around.ports[PEER_FSP]}"],
        },
        payee_fsp=PAYEE_FSP,
        is_payee=shape.is_payee_played,
        keys=keys if shape.is_signed else Keys(),
    )
    folder, url = around.folder / SCHEME, around.url(SCHEME)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "settings.json"
    files.write_private(file, msgspec.json.encode(settings))
    return ProcessSpec(
        name=SCHEME,
        command=(sys.executable, "-m", "payhub_cli.bench.payments.scheme", str(file)),
        folder=folder,
        url=url,
        is_ready=lambda _pid: answers_ready(url),
    )


def _is_needed(spec: ProcessSpec) -> bool:
    return spec.name == GATEWAY or spec.name.startswith("engine-")


def _measured(spec: ProcessSpec) -> ProcessSpec:
    """Leave out the trace of every span, and lift the limits of a channel, which a bench would be over."""
    environment = {name: value for name, value in spec.environment.items() if name != "PAYHUB_TRACE_FILE"}
    return replace(spec, environment={**environment, **(WIDE_LIMITS if spec.name == GATEWAY else {})})
