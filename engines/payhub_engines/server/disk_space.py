"""Watches the data folder's free space: new payments stop first, running ones finish, no journal tears."""

import asyncio
import contextlib
import enum
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from payhub_platform.errors import PayhubError

_logger = logging.getLogger(__name__)

CHECK_EVERY_S: Final = 2.0
LEAVE_S_MAX: Final = 5.0
LOW_BYTES: Final = 2 * 1024**3  # what 20,000 running payments may still write, twice over
LOW_SHARE: Final = 0.05
CRITICAL_BYTES: Final = 256 * 1024**2  # some seconds at full speed
CRITICAL_SHARE: Final = 0.01
RECOVERED: Final = 1.25  # so many times a bound must be free again


class Space(Protocol):
    """What ``os.statvfs`` tells of a file system."""

    @property
    def f_frsize(self) -> int:
        """Bytes of a block."""

    @property
    def f_blocks(self) -> int:
        """Blocks in all."""

    @property
    def f_bavail(self) -> int:
        """Blocks that this process may still use."""


StatVfs = Callable[[Path], Space]


class Level(enum.StrEnum):
    """How much room is left."""

    ENOUGH = "enough"
    LOW = "low"
    CRITICAL = "critical"


class DiskFullError(PayhubError):
    """There is hardly any room left; the replica stops before a write fails half-way."""

    title = "The disk is full"

    def __init__(self, folder: Path, free_bytes: int) -> None:
        detail = (
            f"{free_bytes // 1024**2} MiB are free for {folder}: the replica stops so that its journal stays "
            "whole. Make room and start it again; nothing that was acknowledged is lost."
        )
        super().__init__("disk-full", detail)


class DiskSpace:
    """How much room a folder's file system has, with hysteresis.

    Attributes:
        level: as of the last check.
        free_bytes: likewise; 0 before the first.
    """

    def __init__(self, folder: Path, statvfs: StatVfs = os.statvfs) -> None:
        self._folder = folder
        self._statvfs = statvfs
        self.level = Level.ENOUGH
        self.free_bytes = 0

    def check(self) -> Level:
        """Look, tell the log of a change, and return the level; where nothing can be told, it stays."""
        try:
            found = self._statvfs(self._folder)
        except OSError as error:
            _logger.error("the free space of %s cannot be told: %s", self._folder, error)  # noqa: TRY400
            return self.level
        self.free_bytes = found.f_bavail * found.f_frsize
        before, self.level = self.level, self._level_of(found.f_blocks * found.f_frsize)
        if self.level is not before:
            loudness = logging.WARNING if self.level is Level.ENOUGH else logging.CRITICAL
            _logger.log(
                loudness,
                "disk space of %s is %s (was %s): %d MiB free%s",
                self._folder,
                self.level,
                before,
                self.free_bytes // 1024**2,
                _CONSEQUENCES[self.level],
            )
        return self.level

    async def watch(self, on_level: Callable[[Level], None], leave: Callable[[], Awaitable[object]]) -> None:
        """Check every few seconds, for ever.

        Args:
            on_level: told what each check found.
            leave: hands what this replica does to another, when hardly any room is left.

        Raises:
            DiskFullError: hardly any room is left; ``leave`` is over, or has taken too long.
        """
        while True:
            level = self.check()
            on_level(level)
            if level is Level.CRITICAL:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LEAVE_S_MAX):
                        await leave()
                raise DiskFullError(self._folder, self.free_bytes)
            await asyncio.sleep(CHECK_EVERY_S)

    def _level_of(self, total_bytes: int) -> Level:
        # A large disk has room long before a share of it is left, a small one needs less.
        low_bytes = min(LOW_BYTES, int(total_bytes * LOW_SHARE))
        critical_bytes = min(CRITICAL_BYTES, int(total_bytes * CRITICAL_SHARE))
        if self.free_bytes < critical_bytes * (RECOVERED if self.level is Level.CRITICAL else 1):
            return Level.CRITICAL
        if self.free_bytes < low_bytes * (1 if self.level is Level.ENOUGH else RECOVERED):
            return Level.LOW
        return Level.ENOUGH


_CONSEQUENCES: Final = {
    Level.ENOUGH: "; new payments are taken again",
    Level.LOW: "; new payments are refused, running ones go on",
    Level.CRITICAL: "; the replica hands over and stops",
}
