"""Writes the state to disk now and then and forgets the log behind it: a replica's folder stays bounded."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from payhub_engines.consensus.errors import LogStoppedError, NotLeaderError
from payhub_engines.consensus.log import ReplicatedLog
from payhub_engines.server.machine import Machine
from payhub_engines.storage.errors import StateError

_logger = logging.getLogger(__name__)

MAINTAIN_EVERY_S: Final = 5.0
ENTRIES_KEPT: Final = 4_096  # for followers that are a little behind: a whole state costs them more

Forgettable = Callable[[int], int]
"""Given what the log takes on disk, in bytes, the index below which nobody outside the engine needs it."""


class Maintenance:
    """Every replica does it for itself, leader or not."""

    def __init__(
        self,
        machine: Machine,
        log: ReplicatedLog,
        journal: Path,
        forgettable: Forgettable,
        *,
        entries_kept: int = ENTRIES_KEPT,
        every_s: float = MAINTAIN_EVERY_S,
    ) -> None:
        """Prepare.

        Args:
            machine: the state.
            log: what is replayed into it, and trimmed.
            journal: the folder that the log is in.
            forgettable: what the audit still needs.
            entries_kept: how many entries that the state holds are kept all the same.
            every_s: seconds between two looks.
        """
        self._machine = machine
        self._log = log
        self._journal = journal
        self._forgettable = forgettable
        self._entries_kept = entries_kept
        self._every_s = every_s

    async def run(self) -> None:
        """Look after the disk until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            await self.once()

    async def once(self) -> None:
        """Make the state durable, then trim the log below it."""
        self._machine.flush()
        try:
            durable_index = await asyncio.to_thread(self._machine.sync)
            below_index = min(
                durable_index + 1 - self._entries_kept, self._forgettable(folder_bytes(self._journal))
            )
            if below_index > self._log.first_index:
                self._log.trim(below_index)
        except (NotLeaderError, LogStoppedError):
            # It has not joined its group yet, or stops; who serves the log hears of the latter.
            return
        except StateError as error:
            # Another replica's state has just taken the place of the one that was being synced.
            if error.code != "state-closed":
                raise
            _logger.info("the state was replaced meanwhile")


def folder_bytes(folder: Path) -> int:
    """Return how many bytes the files of a folder have, those that vanish meanwhile left out."""
    total = 0
    for file in folder.iterdir():
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue
    return total
