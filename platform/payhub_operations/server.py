"""The process: HTTP, the schema's migrations and the audit consumer in one event loop."""

import asyncio
import contextlib
import logging
import sys
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
from payhub_platform.bus import connection
from payhub_platform.clock import system_clock
from payhub_platform.serving import Server, server, start
from payhub_platform.telemetry.tracing import Tracing

_logger = logging.getLogger(__name__)

MIGRATION_RETRY_S: Final = 0.5


def main() -> None:
    """Run operations until SIGTERM; exit 1 when the consumer can no longer go on."""
    sys.exit(asyncio.run(serve(start("operations", Settings))))


async def serve(settings: Settings) -> int:
    """Serve until told to stop; return the exit status."""
    identify = identifier_hasher(derived_key(settings.secrets_key, "identifiers"))
    database, readiness = Database(settings.database_url), Readiness()
    sessions = SessionService(
        settings.operator_token, settings.login_code, settings.secrets_key, system_clock
    )
    tracing = Tracing("operations", Path(settings.trace_file) if settings.trace_file else None)
    bus = await connection.connect(settings.nats_url, "operations")
    store = AuditStore(database, identify, system_clock, BusReplay(bus))
    app = create_app(settings, database, PaymentService(database, identify), sessions, readiness)
    http = server(app, settings.host, settings.port)
    consuming = asyncio.create_task(
        _consume(database, readiness, AuditConsumer(bus, store, tracing), ConfirmedService(bus, database)),
        name="audit-consumer",
    )
    try:
        return await _serve_while(http, consuming)
    finally:
        await bus.close()
        await database.close()
        tracing.shutdown()


async def _serve_while(http: Server, consuming: asyncio.Task[None]) -> int:
    serving = asyncio.create_task(http.serve(), name="http")
    await asyncio.wait((serving, consuming), return_when=asyncio.FIRST_COMPLETED)
    if consuming.done():
        # It ends only by an error that nobody foresaw; a fresh start is safer than a silent half.
        _logger.critical("the audit consumer stopped", exc_info=consuming.exception())
        http.should_exit = True
        await serving
        return 1
    consuming.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await consuming
    return 0 if http.started else 1


async def _consume(
    database: Database, readiness: Readiness, consumer: AuditConsumer, confirmed: ConfirmedService
) -> None:
    while not readiness.migrated:
        try:
            await migrate(database)
            readiness.migrated = True
        except DatabaseError as error:
            _logger.warning("migrations wait for the database: %s", error.detail)
            await asyncio.sleep(MIGRATION_RETRY_S)
    await confirmed.start()
    await consumer.run()
