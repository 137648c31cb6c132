"""Foreign Python software, in an environment of its own outside git."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".interop"
INSTALL_TIMEOUT_S = 600


def python_environment(requirements: Path) -> Path:
    """Install locked requirements, once for each lock file, and return the folder of their commands."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    made = CACHE / f"{requirements.stem}-{digest}"
    if not (made / ".installed").exists():
        shutil.rmtree(made, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(made))
        python = str(made / "bin" / "python")
        _run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(requirements))
        (made / ".installed").touch()
    return made / "bin"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_TIMEOUT_S)
    if done.returncode:
        pytest.fail(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
