"""Foreign software to test against: each topic is a folder with its own npm lock, installed outside git."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CACHE = Path(__file__).parents[2] / ".interop"
INSTALL_TIMEOUT_S = 600
ABSENT = "npm is not installed: `make interop` as root installs it, else install Node.js 20 or newer with npm"


@pytest.fixture(scope="session")
def node_modules() -> Callable[[Path], Path]:
    """Return a function that installs a topic's locked packages and returns the folder they are in."""
    return install


def install(folder: Path) -> Path:
    """Run ``npm ci`` for a topic, once for each lock file; scripts of packages are not run.

    Args:
        folder: has package.json and package-lock.json.

    Returns:
        A folder outside git with the same two files and ``node_modules``.
    """
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail(ABSENT)
    digest = hashlib.sha256()
    for name in ("package.json", "package-lock.json"):
        digest.update((folder / name).read_bytes())
    made = CACHE / f"{folder.name}-{digest.hexdigest()[:16]}"
    if (made / ".installed").exists():
        return made
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        if (folder / name).exists():
            shutil.copy(folder / name, made)
    options = ["--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        [npm, "ci", *options],
        cwd=made,
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_TIMEOUT_S,
    )
    if done.returncode:
        pytest.fail(f"npm ci for {folder.name} failed:\n{done.stderr[-2000:]}")
    (made / ".installed").touch()
    return made


def ask_driver(driver: Path, modules: Path, questions: list[dict[str, Any]]) -> list[Any]:
    """Run a topic's Node driver once: questions as JSON on its input, answers as JSON on its output.

    Args:
        driver: the script; it requires packages through ``NODE_PATH``.
        modules: what ``node_modules`` returned.
        questions: one answer is expected for each.
    """
    node = shutil.which("node")
    if node is None:
        pytest.fail(ABSENT)
    done = subprocess.run(
        [node, str(driver)],
        input=json.dumps(questions),
        env={**os.environ, "NODE_PATH": str(modules / "node_modules"), "LOG_LEVEL": "error"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers: list[Any] = json.loads(done.stdout)
    assert len(answers) == len(questions)
    return answers


@pytest.fixture(scope="session")
def driver() -> Callable[[Path, Path, list[dict[str, Any]]], list[Any]]:
    """Return the function that asks a topic's Node driver."""
    return ask_driver
