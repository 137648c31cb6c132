"""Works through files of party identifiers, some lines at a time, and goes on after an interruption."""

import asyncio
import logging
from typing import Final

from payhub_platform.clock import Clock
from payhub_platform.errors import PayhubError, UnavailableError
from payhub_tenants.identifiers.errors import FileOpenError, NoFileError
from payhub_tenants.identifiers.file import (
    FILE_DOCUMENT,
    FIRST_LINE,
    FileView,
    IdentifierFile,
    RefusedLine,
    body_of,
    file_id_of,
    file_view,
    rows_of,
    with_outcomes,
)
from payhub_tenants.identifiers.model import IDENTIFIERS_MAX, IdentifierBody, RegisterIdentifiers
from payhub_tenants.identifiers.service import IdentifierService
from payhub_tenants.store import Store
from payhub_tenants.tenants.errors import TenantLeavingError, TenantNotFoundError
from payhub_tenants.vault import Vault

_logger = logging.getLogger(__name__)

POLL_S: Final = 1.0
PURPOSE: Final = "identifier-file"


class IdentifierFiles:
    """A tenant has one file at a time. Lines are registered as requests are: repeating one is harmless."""

    def __init__(self, store: Store, identifiers: IdentifierService, vault: Vault, clock: Clock) -> None:
        self._store = store
        self._identifiers = identifiers
        self._vault = vault
        self._clock = clock

    async def put(self, tenant_id: str, content: bytes, actor: str) -> FileView:
        """Take a file; the same one again tells how far it is.

        Raises:
            TenantNotFoundError: there is no such tenant.
            FileOpenError: another file is worked on.
            InvalidInputError: see ``rows_of``.
        """
        rows, file_id = rows_of(content), file_id_of(content)
        sealed = await self._vault.seal(tenant_id, content.decode("utf-8-sig"), PURPOSE)
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.lock(tenant_id) is None:
                raise TenantNotFoundError
            known = await transaction.documents.get(tenant_id, FILE_DOCUMENT, IdentifierFile)
            if known is not None and not known.is_done:
                if known.file_id != file_id:
                    raise FileOpenError
                return file_view(known)
            file = IdentifierFile(
                file_id=file_id,
                lines=len(rows),
                next=0,
                registered=0,
                refused_count=0,
                refused=[],
                content_sealed=sealed,
                is_done=False,
            )
            await transaction.documents.put(tenant_id, FILE_DOCUMENT, file, now)
            detail = {"fileId": file_id, "lines": len(rows)}
            await transaction.audit.append(tenant_id, now, actor, "identifiers.file", detail)
        return file_view(file)

    async def get(self, tenant_id: str) -> FileView:
        """Return how far the newest file is.

        Raises:
            TenantNotFoundError: there is no such tenant.
            NoFileError: it never sent one.
        """
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.get(tenant_id) is None:
                raise TenantNotFoundError
            file = await transaction.documents.get(tenant_id, FILE_DOCUMENT, IdentifierFile)
        if file is None:
            raise NoFileError
        return file_view(file)

    async def keep_running(self) -> None:
        """Work on files until cancelled."""
        while True:
            try:
                await self.work()
            except PayhubError as error:
                _logger.warning("files of identifiers wait: %s", error.code)
            await asyncio.sleep(POLL_S)

    async def work(self) -> None:
        """Work on all open files to their end, the tenants in turn."""
        stuck: set[str] = set()
        while True:
            async with self._store.registry() as registry:
                found = await registry.documents.tenants_with_open(FILE_DOCUMENT)
            waiting = [tenant_id for tenant_id in found if tenant_id not in stuck]
            if not waiting:
                return
            for tenant_id in waiting:
                try:
                    await self._some(tenant_id)
                except UnavailableError:
                    raise
                except PayhubError as error:  # one tenant's file must not hold up the others'
                    _logger.warning("tenant %s: its file waits: %s", tenant_id, error.code)
                    stuck.add(tenant_id)

    async def _some(self, tenant_id: str) -> None:
        async with self._store.transaction(tenant_id) as transaction:
            file = await transaction.documents.get(tenant_id, FILE_DOCUMENT, IdentifierFile)
        if file is None or file.is_done:
            return
        content = await self._vault.open(tenant_id, file.content_sealed, PURPOSE)
        rows = rows_of(content.encode())[file.next : file.next + IDENTIFIERS_MAX]
        registered, refused = await self._register(tenant_id, rows, file.next + FIRST_LINE)
        async with self._store.transaction(tenant_id) as transaction:
            await transaction.tenants.lock(tenant_id)
            known = await transaction.documents.get(tenant_id, FILE_DOCUMENT, IdentifierFile)
            # Another copy of the process may have worked on the same lines; they are counted once.
            if known is not None and (known.file_id, known.next) == (file.file_id, file.next):
                after = with_outcomes(file, len(rows), registered, refused)
                await transaction.documents.put(tenant_id, FILE_DOCUMENT, after, self._clock())

    async def _register(
        self, tenant_id: str, rows: list[list[str]], first_line: int
    ) -> tuple[int, list[RefusedLine]]:
        refused: list[RefusedLine] = []
        bodies: dict[tuple[str, str, str], tuple[int, IdentifierBody]] = {}
        for line, row in enumerate(rows, first_line):
            body = body_of(row, line)
            if isinstance(body, RefusedLine):
                refused.append(body)
            elif (key := (body.type, body.value, body.sub_id or "")) in bodies:
                detail = f"The same identifier is in line {bodies[key][0]}."
                refused.append(RefusedLine(line=line, code="duplicate-identifier", detail=detail))
            else:
                bodies[key] = (line, body)
        if not bodies:
            return 0, refused
        request = RegisterIdentifiers(identifiers=[body for _, body in bodies.values()])
        lines = [line for line, _ in bodies.values()]
        try:
            views = await self._identifiers.register(tenant_id, request)
        except TenantLeavingError as error:
            refused += [RefusedLine(line=line, code=error.code, detail=error.detail) for line in lines]
            return 0, sorted(refused, key=lambda each: each.line)
        for line, view in zip(lines, views, strict=True):
            if view.state != "registered":
                code, _, detail = (view.reason or "pending: It is being registered.").partition(": ")
                refused.append(RefusedLine(line=line, code=code, detail=detail))
        refused.sort(key=lambda each: each.line)
        return sum(1 for view in views if view.state == "registered"), refused
