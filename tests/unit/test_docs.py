"""What the documentation names exists: files, commands, settings; and it keeps to its own form."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import msgspec
import pytest

from payhub_cli.main import cli
from payhub_engines.server.settings import EngineSettings
from payhub_gateway.settings import GatewaySettings
from payhub_operations.settings import Settings as OperationsSettings
from payhub_sandbox.settings import SandboxSettings
from payhub_tenants.settings import Settings as TenantsSettings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
SETTINGS = {
    "engine": EngineSettings,
    "gateway": GatewaySettings,
    "tenants": TenantsSettings,
    "operations": OperationsSettings,
    "sandbox": SandboxSettings,
}
TOP_FOLDERS = tuple("platform tenants gateway engines loadtests tests docs requirements .ci".split())
ABSENT = {"platform/__init__.py"}  # a decision says why it must not be there
FOREIGN = re.compile(
    # Who wrote it is no matter of the project; agent-cash-out is a payment's use case.
    r"\b(AI|LLMs?|agents?(?!-cash-out)|assistant|prompts?)\b"
    r"|(?<![\w}])/(work|root|home|tmp)/"  # paths of one machine
    r"|pypi\.org|pythonhosted|npmjs|docker\.io|ghcr\.io|quay\.io"
)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _spoken(page: Path) -> Iterator[str]:
    """Return what a page shows as code: each span, and each line of a block without its comment."""
    text = page.read_text()
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            yield line.partition(" #")[0].strip()
    without_blocks = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", without_blocks)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path):
    broken = [
        target
        for target in re.findall(r"\]\(([^)#]+)", page.read_text())
        if "://" not in target and not (page.parent / unquote(target)).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_paths_exist(page: Path):
    named = [text for text in _spoken(page) if re.fullmatch(r"[\w.*/-]+", text) and "/" in text]
    ours = [text for text in named if text.split("/")[0] in TOP_FOLDERS]
    assert [text for text in ours if text not in ABSENT and not list(ROOT.glob(text.rstrip("/")))] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_exist(page: Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in _spoken(page):
        words = shlex.split(text) if re.match(r"(\.venv/bin/)?(payhub|make) ", text) else []
        if words[:1] == ["make"]:
            assert words[1] in targets, text
        elif words:
            command = cli.commands.get(words[1])
            if isinstance(command, click.Group) and len(words) > 2:
                command = command.commands.get(words[2])
            assert command is not None, text
            options = {name for option in command.params for name in option.opts}
            assert {word for word in words if word.startswith("--")} <= options, text


def test_every_command_is_told():
    spoken = " ".join(text for page in PAGES for text in _spoken(page))
    told = set(re.findall(r"payhub ([a-z]+)", spoken))
    assert {name for name, command in cli.commands.items() if isinstance(command, click.Command)} - told <= {
        "version"
    }


def test_settings_are_told_with_who_reads_them():
    page = (ROOT / "docs" / "operating.md").read_text()
    rows = re.findall(r"^\| (`PAYHUB_.*?) \| (.*?) \|", page, re.MULTILINE)
    told: dict[str, set[str]] = {}
    for names, who in rows:
        for name in re.findall(r"`(PAYHUB_\w+)`", names):
            told[name] = set(SETTINGS) if who == "all" else set(who.split(", "))
    read: dict[str, set[str]] = {}
    for process, settings in SETTINGS.items():
        for field in msgspec.structs.fields(settings):
            read.setdefault(f"PAYHUB_{field.name.upper()}", set()).add(process)
    assert told == read


@pytest.mark.parametrize("page", DECISIONS, ids=_name)
def test_a_decision_has_its_four_sections_on_one_page(page: Path):
    text = page.read_text()
    assert text.startswith(f"# {int(page.name[:4])}. ")
    sections = re.findall(r"^\*\*(\w+)\.\*\*", text, re.MULTILINE)
    assert sections == ["Context", "Decision", "Consequences", "Alternatives"]
    assert len(text.splitlines()) <= 40


def test_decisions_are_numbered_without_gap():
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("page", [*PAGES, ROOT / "Makefile", ROOT / "pyproject.toml"], ids=_name)
def test_nothing_foreign_is_named(page: Path):
    assert [found.group() for found in FOREIGN.finditer(page.read_text())] == []


def test_the_readme_says_what_amounts_are():
    assert "integers in minor units" in (ROOT / "README.md").read_text()
