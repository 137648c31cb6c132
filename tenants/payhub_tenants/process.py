"""The process: settings, start-up in the background, serving, and a clean stop."""

import asyncio
import contextlib
import logging
import sys
from typing import Final

from payhub_platform.bus.connection import connect
from payhub_platform.clock import system_clock
from payhub_platform.errors import InvalidInputError, PayhubError, UnavailableError
from payhub_platform.security.addresses import SystemResolver
from payhub_platform.security.secrets import SecretBox
from payhub_platform.serving import server, start
from payhub_tenants.app import Services, create_app
from payhub_tenants.calls import Calls, http_session
from payhub_tenants.certification.remote import HttpPaymentEngines, HttpSandbox
from payhub_tenants.database import Database
from payhub_tenants.fingerprint import Fingerprints
from payhub_tenants.identifiers.book import IdentifierBook, seal_identifiers
from payhub_tenants.identifiers.remote import FspiopParticipants, PartiesByKind
from payhub_tenants.key_providers import key_provider
from payhub_tenants.placement.engines import HttpEngines
from payhub_tenants.placement.model import CAPACITY_PER_S
from payhub_tenants.publisher import NatsConfigBus, Publisher
from payhub_tenants.settings import Settings
from payhub_tenants.vault import Vault
from payhub_tenants.wiring import Outside, give_keys, services_of

_logger = logging.getLogger(__name__)

MIGRATIONS: Final = "payhub_tenants.migrations"
MIGRATE_TIMEOUT_S: Final = 60.0
MIGRATE_WAIT_MIN_S: Final = 0.25
MIGRATE_WAIT_MAX_S: Final = 5.0


def main() -> None:
    """Run the control plane until SIGTERM."""
    settings = start("tenants", Settings)
    try:
        secrets = SecretBox(settings.secrets_key)
    except PayhubError as error:
        sys.exit(f"payhub tenants: {error}")
    try:
        asyncio.run(_run(settings, secrets))
    except InvalidInputError as error:
        sys.exit(f"payhub tenants: {error}")


async def _run(settings: Settings, secrets: SecretBox) -> None:
    fingerprints = Fingerprints(settings.secrets_key)
    clock = system_clock
    async with contextlib.AsyncExitStack() as stack:
        database = Database(settings.database_url)
        stack.push_async_callback(database.close)
        bus = await connect(settings.nats_url, "tenants")
        stack.push_async_callback(bus.close)
        http = await stack.enter_async_context(http_session())
        calls = Calls(http)
        vault = Vault(await stack.enter_async_context(key_provider(settings, secrets)), secrets)
        publisher = Publisher(database, NatsConfigBus(bus), vault)
        outside = Outside(
            engines=HttpEngines(http, settings.engines, settings.internal_token),
            ams=PartiesByKind(calls),
            scheme=FspiopParticipants(calls, clock),
            resolver=SystemResolver(),
            paying=HttpPaymentEngines(http, settings.engines, settings.internal_token),
            sandbox=HttpSandbox(http, settings.sandbox_url),
            capacities={
                engine: settings.engine_capacity_per_s.get(engine, CAPACITY_PER_S)
                for engine in settings.engines
            },
            private_endpoints=settings.private_endpoints,
        )
        services = services_of(database, vault, fingerprints, outside, clock, publisher.wake)
        app = create_app(services, settings.aggregator_token)
        http_server = server(app, settings.host, settings.port, lifespan="off")
        # An unexpected failure in the background ends the process; whoever supervises it starts it anew.
        async with asyncio.TaskGroup() as tasks:
            background = tasks.create_task(_work(database, vault, publisher, services), name="background")
            await http_server.serve()
            background.cancel()


async def _work(database: Database, vault: Vault, publisher: Publisher, services: Services) -> None:
    wait_s = MIGRATE_WAIT_MIN_S
    while not await _is_migrated(database, vault):
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 2, MIGRATE_WAIT_MAX_S)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_seal(database, vault), name="sealing")
        tasks.create_task(publisher.run(), name="publisher")
        tasks.create_task(services.lifecycle.keep_running(), name="lifecycle")
        tasks.create_task(services.placements.keep_running(), name="placements")
        tasks.create_task(services.files.keep_running(), name="identifier-files")
        tasks.create_task(services.certification.keep_running(), name="certification")


async def _seal(database: Database, vault: Vault) -> None:
    """Seal what earlier releases left in clear, while all else goes on."""
    while True:
        try:
            await seal_identifiers(database, IdentifierBook(vault, system_clock))
        except UnavailableError as error:
            _logger.warning("identifiers wait to be sealed: %s", error)
            await asyncio.sleep(MIGRATE_WAIT_MAX_S)
        else:
            return


async def _is_migrated(database: Database, vault: Vault) -> bool:
    try:
        if not await database.is_current():
            await _migrate()
            if not await database.is_current():
                return False
        await give_keys(database, vault)
    except (UnavailableError, TimeoutError) as error:
        _logger.warning("waiting for the database: %s", error or type(error).__name__)
        return False
    return True


async def _migrate() -> None:
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", MIGRATIONS)
    try:
        async with asyncio.timeout(MIGRATE_TIMEOUT_S):
            await child.wait()
    finally:
        # One transaction does it all, so a migration that is cut off has not happened.
        if child.returncode is None:
            child.kill()
            await child.wait()
