"""Under which name an engine hands over: its id, and which life of its data folder this is."""

import uuid
from typing import Final

from payhub_engines.consensus.disk import Disk

ORIGIN_NAME: Final = "origin"
_BYTES_MAX: Final = 1024


def origin_of(disk: Disk, engine_id: str) -> str:
    """Return the origin, making it at the first start: ``north/6f1c...``.

    Sequences of the hand-over begin at 1 in an empty data folder. Under the engine's id alone its owner
    would take those of a new folder for ones that it has done already, and callbacks would be lost.
    """
    if ORIGIN_NAME not in disk.names():
        disk.replace(ORIGIN_NAME, f"{engine_id}/{uuid.uuid4().hex}".encode())
    return disk.read(ORIGIN_NAME, 0, _BYTES_MAX).decode()
