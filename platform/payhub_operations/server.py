"""The process: HTTP, the schema's migrations, the audit consumer and webhooks in one event loop."""

import asyncio
import contextlib
import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from payhub_operations.app import create_app
from payhub_operations.audit.confirmed import ConfirmedService
from payhub_operations.audit.replay import BusReplay
from payhub_operations.audit.service import AuditConsumer
from payhub_operations.audit.store import AuditStore
from payhub_operations.database import Database, DatabaseError
from payhub_operations.health import Readiness
from payhub_operations.keys import derived_key
from payhub_operations.migrations import migrate
from payhub_operations.payments.identifiers import identifier_hasher
from payhub_operations.payments.service import PaymentService
from payhub_operations.sessions.service import SessionService
from payhub_operations.settings import Settings
from payhub_operations.webhooks.deliverer import Deliverer
from payhub_operations.webhooks.sender import Sender
from payhub_operations.webhooks.service import WebhookService
from payhub_operations.webhooks.subscriptions import Subscriptions
from payhub_platform import cancellation
from payhub_platform.bus import connection
from payhub_platform.clock import system_clock
from payhub_platform.security.addresses import SystemResolver
from payhub_platform.security.secrets import SealError, SecretBox
from payhub_platform.serving import Server, server, start
from payhub_platform.telemetry.tracing import Tracing

_logger = logging.getLogger(__name__)

MIGRATION_RETRY_S: Final = 0.5
LOOKUPS_MAX: Final = 64


def main() -> None:
    """Run operations until SIGTERM; exit 1 when what runs beside HTTP can no longer go on."""
    settings = start("operations", Settings)
    try:
        secrets = SecretBox(settings.secrets_key)
    except SealError as error:
        sys.exit(f"payhub operations: {error}")
    sys.exit(asyncio.run(serve(settings, secrets)))


async def serve(settings: Settings, secrets: SecretBox) -> int:
    """Serve until told to stop; return the exit status."""
    # Names of webhooks' hosts are looked up in threads, some of which a slow name service may hold for long.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(LOOKUPS_MAX, "lookup"))
    identify = identifier_hasher(derived_key(settings.secrets_key, "identifiers"))
    database, readiness = Database(settings.database_url), Readiness()
    sessions = SessionService(
        settings.operator_token, settings.login_code, settings.secrets_key, system_clock
    )
    tracing = Tracing("operations", Path(settings.trace_file) if settings.trace_file else None)
    bus = await connection.connect(settings.nats_url, "operations")
    store = AuditStore(database, identify, system_clock, BusReplay(bus))
    payments, webhooks = PaymentService(database, identify), WebhookService(database, system_clock)
    http = server(
        create_app(settings, database, payments, webhooks, sessions, readiness), settings.host, settings.port
    )
    sender = Sender(secrets, SystemResolver(), private_allowed=settings.private_endpoints)
    background = _Background(
        subscriptions=Subscriptions(bus, database),
        deliverer=Deliverer(database, sender, system_clock),
        confirmed=ConfirmedService(bus, database),
        consumer=AuditConsumer(bus, store, tracing),
    )
    working = asyncio.create_task(_work(database, readiness, background), name="background")
    try:
        return await _serve_while(http, working)
    finally:
        await sender.close()
        await bus.close()
        await database.close()
        tracing.shutdown()


async def _serve_while(http: Server, working: asyncio.Task[None]) -> int:
    serving = asyncio.create_task(http.serve(), name="http")
    await asyncio.wait((serving, working), return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        # It ends only by an error that nobody foresaw; a fresh start is safer than a silent half.
        _logger.critical("the audit consumer or webhooks stopped", exc_info=working.exception())
        http.should_exit = True
        await serving
        return 1
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    return 0 if http.started else 1


@dataclass(frozen=True, slots=True)
class _Background:
    """What runs beside HTTP."""

    subscriptions: Subscriptions
    deliverer: Deliverer
    confirmed: ConfirmedService
    consumer: AuditConsumer


async def _work(database: Database, readiness: Readiness, background: _Background) -> None:
    while not readiness.migrated:
        try:
            await migrate(database)
            readiness.migrated = True
        except DatabaseError as error:
            _logger.warning("migrations wait for the database: %s", error.detail)
            await asyncio.sleep(MIGRATION_RETRY_S)
    tasks = [
        asyncio.create_task(background.subscriptions.run(), name="webhook-subscriptions"),
        asyncio.create_task(background.deliverer.run(), name="webhook-deliverer"),
        asyncio.create_task(_audit(background), name="audit-consumer"),
    ]
    try:
        ended, _going_on = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        await cancellation.end(tasks)


async def _audit(background: _Background) -> None:
    await background.confirmed.start()
    # What is stored from now on is told to the endpoints there are now, not to those of an earlier day.
    await background.subscriptions.wait_for_first()
    await background.consumer.run()
