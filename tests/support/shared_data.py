"""The official specifications and golden vectors lie beside the checkout and are never copied into it."""

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"


def shared_file(*parts: str) -> Path:
    """Return a file of the shared data; a checkout without it says so."""
    path = SHARED_DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{'/'.join(parts)} is not beside this checkout")
    return path
