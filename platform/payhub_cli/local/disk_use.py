"""What a disk was given to write, as the device under a folder counts it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SECTORS_WRITTEN: Final = 6  # which figure of a block device, from 0
FLUSHES: Final = 15
SECTOR_BYTES: Final = 512  # the kernel's unit, whatever the device's


@dataclass(frozen=True, slots=True)
class DiskUse:
    """What a disk was given to write, and how often it was told to make that durable."""

    written_bytes: int
    flushes: int

    def since(self, earlier: "DiskUse") -> "DiskUse":
        """Return what was added since."""
        return DiskUse(self.written_bytes - earlier.written_bytes, self.flushes - earlier.flushes)


def disk_use(folder: Path) -> DiskUse | None:
    """Return what the device under a folder has done since the machine started.

    All that waits to be written is written first. It is the whole machine's, for what Linux counts for one
    process (``write_bytes``) can be wrong by orders of magnitude: a page changed in a large folio counts as
    the whole folio.

    Returns:
        None where the folder's device tells no figures, as in memory and on some overlays.
    """
    number = folder.stat().st_dev
    path = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat")
    if not path.exists():
        return None
    os.sync()
    figures = [int(word) for word in path.read_text().split()]
    return DiskUse(figures[SECTORS_WRITTEN] * SECTOR_BYTES, figures[FLUSHES])
