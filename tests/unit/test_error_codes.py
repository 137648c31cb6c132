"""docs/errors.md lists every stable error code of the project with its status, and no other code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "errors.md"
FOLDERS = ("platform", "tenants", "gateway", "engines")
# What carries a code to people, and the status of what is no exception itself: the core's refusals are
# answered 422, a failed registration of an identifier is a line of an answer, and a problem of a process
# file is raised as a DefinitionError.
ROOTS = {
    "payhub_platform.PayhubError": 500,
    "payhub_engines.Rejected": 422,
    "payhub_engines.Problem": 400,
    "payhub_tenants.RegistrationError": 0,
}
# An engine's own problem, passed on: its code is listed where the engine raises it.
PASSED_ON = "payhub_gateway.EngineRefusalError"
# Places that pass the code of a ``Rejected`` or ``Problem`` on, and FSPIOP's own four digits.
COMPUTED = {
    "engines/payhub_engines/core/bpmn/check.py",
    "engines/payhub_engines/core/bpmn/parse.py",
    "engines/payhub_engines/server/requests.py",
    "engines/payhub_engines/server/operator_api.py",
    "engines/payhub_engines/core/fencing.py",
    "engines/payhub_engines/handover/recall.py",
    "engines/payhub_engines/server/stream.py",
    "engines/payhub_engines/core/deployment.py",
    "engines/payhub_engines/server/neighbours.py",
    "engines/payhub_engines/testkit.py",
    "platform/payhub_sandbox/switch/refusal.py",
}
ROW = re.compile(r"\| `([a-z0-9-]+)` \| ([0-9, ]+|-) \| ([^|]+) \| ([^|]+) \|")
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Kind(msgspec.Struct):
    """A class that carries codes; ``bases`` are names as the class's package knows them."""

    package: str
    bases: list[str]
    status: int | None
    init: ast.FunctionDef | None


class Module(msgspec.Struct):
    """One source file."""

    path: str
    package: str
    tree: ast.Module
    constants: dict[str, str]

    def texts(self, node: ast.expr | None) -> list[str]:
        """Return the texts that an expression is written to have; empty where it is computed."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return [node.value]
        if isinstance(node, ast.Name) and node.id in self.constants:
            return [self.constants[node.id]]
        if isinstance(node, ast.IfExp):
            return self.texts(node.body) + self.texts(node.orelse)
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[-1], ast.Constant):
            # f"{whom}-unreachable", for each of the two systems that are called.
            return [f"{whom}{node.values[-1].value}" for whom in ("ams", "scheme")]
        return []


class Scan:
    """All codes in the sources, with their statuses."""

    def __init__(self) -> None:
        self.codes: dict[str, set[int]] = {}
        self.computed: set[str] = set()
        self._modules = list(modules())
        self._kinds: dict[str, Kind] = {}
        self._find_kinds()
        for module in self._modules:
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ClassDef):
                    self._take_class(module, f"{module.package}.{node.name}")
                elif isinstance(node, ast.Call):
                    self._take_call(module, node)
            if module.path.endswith("payhub_platform/http.py"):
                self._take_framework(module)

    def _find_kinds(self) -> None:
        found = {
            f"{module.package}.{node.name}": kind_of(module.package, node)
            for module in self._modules
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef)
        }
        self._kinds = {root: found[root] for root in ROOTS}
        while more := {
            name: kind for name, kind in found.items() if name not in self._kinds and self._base(kind)
        }:
            self._kinds.update(more)

    def _known(self, package: str, name: str) -> str | None:
        """Return a class that carries codes by the name that a package knows it by."""
        names = (f"{package}.{name}", f"payhub_platform.{name}")
        return next((known for known in names if known in self._kinds), None)

    def _base(self, kind: Kind) -> str | None:
        known = (self._known(kind.package, base) for base in kind.bases)
        return next((base for base in known if base is not None), None)

    def _status(self, name: str) -> int:
        kind = self._kinds[name]
        if name in ROOTS or kind.status is not None:
            return ROOTS.get(name, kind.status or 0)
        return self._status(self._base(kind) or "")

    def _code_index(self, name: str) -> int | None:
        """Return which positional argument of a class is the code; None where it fixes the code itself."""
        kind = self._kinds[name]
        if kind.init is None:
            base = self._base(kind)
            return self._code_index(base) if base else 0
        names = [argument.arg for argument in kind.init.args.args[1:]]
        return names.index("code") if "code" in names else None

    def _take_call(self, module: Module, call: ast.Call) -> None:
        name = self._known(module.package, name_of(call.func))
        if name is None or name == PASSED_ON:
            return
        index = self._code_index(name)
        if index is None:
            return
        code = call.args[index] if index < len(call.args) else None
        code = next((keyword.value for keyword in call.keywords if keyword.arg == "code"), code)
        if code is not None:  # else it is the class's default
            self._add(module, code, name)

    def _take_class(self, module: Module, name: str) -> None:
        init = self._kinds[name].init if name in self._kinds else None
        if init is None or name in (*ROOTS, PASSED_ON):
            return
        names = [argument.arg for argument in init.args.args]
        defaults = dict(zip(reversed(names), reversed(init.args.defaults), strict=False))
        if "code" in defaults:
            self._add(module, defaults["code"], name)
        index = self._code_index(self._base(self._kinds[name]) or "")
        for call in (node for node in ast.walk(init) if isinstance(node, ast.Call)):
            if not isinstance(call.func, ast.Attribute) or call.func.attr != "__init__":
                continue
            code = call.args[index] if index is not None and index < len(call.args) else None
            if code is not None and name_of(code) != "code":
                self._add(module, code, name)

    def _take_framework(self, module: Module) -> None:
        """Take the codes of what Litestar itself refuses."""
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
                for key, value in zip(node.keys, node.values, strict=True):
                    for code in module.texts(value):
                        self.codes.setdefault(code, set()).add(int(key.value))  # type: ignore[union-attr, arg-type]
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "code":
                for code in module.texts(node.value):
                    self.codes.setdefault(code, set())

    def _add(self, module: Module, node: ast.expr, name: str) -> None:
        told = module.texts(node)
        if not told:
            self.computed.add(module.path)
        for code in told:
            self.codes.setdefault(code, set()).add(self._status(name))


def modules() -> Iterator[Module]:
    for path in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {}
        package = next(part for part in path.relative_to(ROOT).parts if part.startswith("payhub_"))
        for node in tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            value = getattr(node, "value", None)
            if (
                isinstance(target, ast.Name)
                and isinstance(value, ast.Constant)
                and isinstance(value.value, str)
            ):
                constants[target.id] = value.value
        yield Module(str(path.relative_to(ROOT)), package, tree, constants)


def kind_of(package: str, node: ast.ClassDef) -> Kind:
    kind = Kind(package, [name_of(base) for base in node.bases], None, None)
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            kind.init = part
        target = part.targets[0] if isinstance(part, ast.Assign) else getattr(part, "target", None)
        value = getattr(part, "value", None)
        if getattr(target, "id", "") == "status" and isinstance(value, ast.Constant):
            kind.status = value.value if isinstance(value.value, int) else None
    return kind


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan()


@pytest.fixture(scope="module")
def page() -> dict[str, str]:
    rows = [
        match.groups()
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if (match := ROW.fullmatch(line))
    ]
    codes = [code for code, *_ in rows]
    assert codes == sorted(set(codes)), "codes stand in order, once each"
    return {code: statuses for code, statuses, *_ in rows}


def test_the_page_lists_every_code_and_no_other(scan: Scan, page: dict[str, str]):
    assert sorted(set(scan.codes) - set(page)) == []
    assert sorted(set(page) - set(scan.codes)) == []


def test_the_page_tells_the_status_of_each(scan: Scan, page: dict[str, str]):
    told = {code: {int(status) for status in re.findall(r"[0-9]+", text)} for code, text in page.items()}
    # A dash stands for what never becomes an answer, or for an answer with any status.
    wrong = {
        code: (told[code], found) for code, found in scan.codes.items() if told[code] not in (set(), found)
    }
    assert wrong == {}


def test_every_code_is_kebab_case_and_written_in_the_source(scan: Scan):
    assert [code for code in scan.codes if not KEBAB.fullmatch(code)] == []
    assert scan.computed == COMPUTED


def test_the_scan_finds_codes_however_they_are_passed(scan: Scan):
    assert scan.codes["invalid-amount"] == {400}  # as an argument
    assert scan.codes["token-expired"] == {401}  # by a class to its base, which takes it second
    assert scan.codes["invalid-token"] == {401}  # as a default
    assert scan.codes["tenant-suspended"] == {403}  # by a constant too
    assert scan.codes["key-reused"] == {422}  # by the core's refusal
    assert scan.codes["body-too-large"] == {413}  # for the framework
