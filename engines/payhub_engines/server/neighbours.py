"""Callbacks on their way to the engine whose instances they are for: committed here, or to be handed over."""

from typing import Final

from payhub_engines.connectors import refusals
from payhub_engines.connectors.mojaloop.ingress import too_large
from payhub_engines.connectors.mojaloop.refusal import FspiopRefusal, not_served
from payhub_engines.core.commands import Command, CorrelateMessage, QueueHandover
from payhub_engines.core.reply import Rejected
from payhub_engines.server.stream import StreamProcessor
from payhub_platform.bus.directory import TenantDirectory
from payhub_platform.contracts.handover import Callback
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import UnavailableError

_MALFORMED: Final = frozenset(("invalid-key", "invalid-variables"))
_NOT_SERVED: Final = frozenset(("unknown-process", "no-start"))


class EngineNeighbours:
    """What this engine knows of the others; a ``Neighbours``."""

    def __init__(self, engine_id: str, directory: TenantDirectory, stream: StreamProcessor) -> None:
        self._engine_id = engine_id
        self._directory = directory
        self._stream = stream

    @property
    def engine_id(self) -> str:
        """This engine."""
        return self._engine_id

    def by_fsp(self, fsp_id: str) -> TenantConfig | None:
        """Return the institution of this installation with an FSP id."""
        return self._directory.by_fsp(fsp_id)

    async def give(self, engine_id: str, callback: Callback) -> None:
        """Commit a callback for an engine; errors as ``commit``."""
        if engine_id != self._engine_id:
            await commit(self._stream, callback, engine_id)
            return
        tenant = self._directory.get(callback.tenant)
        await commit(self._stream, callback, epoch=None if tenant is None else tenant.epoch)


async def commit(
    stream: StreamProcessor, callback: Callback, owner: str | None = None, epoch: int | None = None
) -> None:
    """Give a callback to who waits for it here, or (``owner``) keep it until that engine has committed it.

    Args:
        stream: this engine's.
        callback: what was received.
        owner: another engine.
        epoch: of the placement that it may begin something under.

    Raises:
        FspiopRefusal: it can never be taken as it is.
        UnavailableError: not now.
    """
    command: Command = CorrelateMessage(callback=callback, epoch=epoch)
    if owner is not None:
        command = QueueHandover(owner=owner, callback=callback)
    reply = await stream.submit(command, callback.tenant)
    if isinstance(reply, Rejected):
        raise _refusal_of(reply)


def _refusal_of(reply: Rejected) -> FspiopRefusal | UnavailableError:
    """Tell the sender whether sending the same message again may help; what is refused is gone for good."""
    if reply.code == "key-reused":
        return FspiopRefusal(400, refusals.MODIFIED_REQUEST, "The same id was used before with another body.")
    if reply.code == "command-too-large":
        return too_large()
    if reply.code in _NOT_SERVED:
        return not_served("Nobody here serves this resource.")
    if reply.code in _MALFORMED:
        return FspiopRefusal(400, refusals.MALFORMED_SYNTAX, reply.detail)
    return UnavailableError(reply.code, reply.detail)
