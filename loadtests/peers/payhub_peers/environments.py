"""Each peer's own environment: a virtual environment or an npm folder, made once under the work folder."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from payhub_peers.processes import PeerError

PEERS: Final = Path(__file__).parents[1]
ROOT: Final = PEERS.parents[1]
REQUIREMENTS: Final = PEERS / "requirements"
INSTALL_S_MAX: Final = 900.0
ERROR_CHARACTERS_MAX: Final = 2_000


def python_environment(work: Path, name: str) -> Path:
    """Make a virtual environment with the pinned ``requirements/<name>.txt``; return its Python.

    Raises:
        PeerError: it cannot be made; the message ends with what the installer said.
    """
    folder, requirements = work / "environments" / name, REQUIREMENTS / f"{name}.txt"
    python = folder / "bin" / "python"
    if _is_made(folder, requirements):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _install([sys.executable, "-m", "venv", folder], work)
    _install([python, "-m", "pip", "install", "--quiet", "--no-deps", "-r", requirements], work)
    _mark(folder, requirements)
    return python


def npm_folder(work: Path, name: str) -> Path:
    """Make an npm folder with the pinned ``requirements/<name>.package.json``; return its node_modules.

    No package's install script is run.

    Raises:
        PeerError: it cannot be made, or there is no npm.
    """
    folder, package = work / "environments" / f"{name}-npm", REQUIREMENTS / f"{name}.package.json"
    if _is_made(folder, package):
        return folder / "node_modules"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(package, folder / "package.json")
    _install(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"], folder)
    _mark(folder, package)
    return folder / "node_modules"


def pinned(name: str, package: str) -> str:
    """Return the version that a requirements file pins a package to."""
    lines = (REQUIREMENTS / f"{name}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))


def _install(command: Sequence[str | Path], folder: Path) -> None:
    try:
        subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
            timeout=INSTALL_S_MAX,
        )
    except FileNotFoundError as error:
        raise PeerError(f"{command[0]} is not on this machine.") from error
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", None) or str(error)
        raise PeerError(f"{command[0]} failed: {said[-ERROR_CHARACTERS_MAX:]}") from error


def _is_made(folder: Path, source: Path) -> bool:
    stamp = folder / "installed"
    return stamp.exists() and stamp.read_text() == _digest(source)


def _mark(folder: Path, source: Path) -> None:
    (folder / "installed").write_text(_digest(source))


def _digest(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()
