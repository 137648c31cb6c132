"""The layout of the repository, and the measures of tidy code, are kept by tests."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "platform/payhub_platform",
    "platform/payhub_operations",
    "platform/payhub_sandbox",
    "platform/payhub_cli",
    "tenants/payhub_tenants",
    "gateway/payhub_gateway",
    "engines/payhub_engines",
    "loadtests/peers/payhub_peers",
)
FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 400


def _modules() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def test_platform_folder_is_not_a_package():
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert not list((ROOT / "platform").rglob("test_*.py")), "tests live under tests/"


def test_the_standard_library_platform_wins_from_the_repository_root():
    code = "import platform; print(platform.python_implementation())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip(), done.stderr


def test_tests_are_no_package():
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_typed_and_says_what_it_is(package: str):
    assert (ROOT / package / "py.typed").exists()
    source = (ROOT / package / "__init__.py").read_text()
    assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("package", PACKAGES)
def test_each_folder_with_modules_is_a_package(package: str):
    folders = {module.parent for module in (ROOT / package).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_test_files_have_names_of_their_own():
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_modules_are_short():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in _modules()}
    assert {name: length for name, length in lengths.items() if length > MODULE_LINES_MAX} == {}


def test_functions_are_short():
    too_long = {}
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    too_long[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = length
    assert too_long == {}


def test_nothing_is_left_for_later():
    mark = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    found = [str(path.relative_to(ROOT)) for path in _modules() if mark.search(path.read_text())]
    assert found == []


def test_locks_name_no_download_host_and_hash_everything():
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text, f"{lock.name} names a host"
        assert "--index-url" not in text
        pins = re.findall(r"^[a-z0-9][^\n]*==", text, re.MULTILINE)
        assert pins, f"{lock.name} locks nothing"
        assert len(pins) <= text.count("--hash=sha256:"), f"{lock.name} has pins without hashes"


def test_locks_hold_what_each_process_needs_and_no_more():
    engine = (ROOT / "requirements" / "engine.txt").read_text()
    assert re.search(r"^pysyncobj==0\.3\.17 ", engine, re.MULTILINE)
    for foreign in ("sqlalchemy", "asyncpg", "authlib", "alembic", "pytest"):
        assert not re.search(rf"^{foreign}==", engine, re.MULTILINE), f"an engine does not need {foreign}"


def test_the_ci_script_can_be_run():
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111
