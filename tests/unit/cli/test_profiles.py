"""Profiles: which processes run, and that each is told only what it needs."""

from pathlib import Path

import msgspec
import pytest

from payhub_cli.profiles import (
    Profile,
    Secrets,
    Surroundings,
    members,
    port_names,
    service_names,
    services,
)
from payhub_engines.server.settings import Address, EngineSettings
from payhub_platform.replicas import ENGINES_VARIABLE, engine_addresses
from payhub_platform.settings import load

SECRETS = Secrets(
    internal_token="internal", secrets_key="key", aggregator_token="aggregator", operator_token="operator"
)


def _services(profile: Profile, *, sandbox: bool = False, login_code: str = "", replicas: int = 1):
    names = port_names(profile, sandbox=sandbox, replicas=replicas)
    around = Surroundings(
        folder=Path("/data"),
        ports={name: 4000 + index for index, name in enumerate(names)},
        nats_url="nats://payhub:pw@127.0.0.1:1",
        database_url="postgresql://payhub:pw@127.0.0.1:2/payhub",
        secrets=SECRETS,
        login_code=login_code,
        replicas=replicas,
    )
    return {spec.name: spec for spec in services(profile, around, sandbox=sandbox)}


@pytest.mark.parametrize(
    ("profile", "sandbox", "expected"),
    [
        ("barebone", False, ["engine-north", "tenants", "operations", "gateway"]),
        ("barebone", True, ["sandbox", "engine-north", "tenants", "operations", "gateway"]),
        ("full", True, ["sandbox", "engine-north", "engine-south", "tenants", "operations", "gateway"]),
    ],
)
def test_the_services_of_a_profile(profile: Profile, sandbox: bool, expected: list[str]):
    assert list(_services(profile, sandbox=sandbox)) == expected == service_names(profile, sandbox=sandbox)


def test_every_service_has_an_address_and_a_folder_of_its_own():
    specs = _services("full", sandbox=True).values()
    assert len({spec.url for spec in specs}) == len({spec.folder for spec in specs}) == 6
    for spec in specs:
        assert spec.environment["PAYHUB_DATA_DIR"] == str(spec.folder)
        assert spec.url == f"http://127.0.0.1:{spec.environment['PAYHUB_PORT']}"


def test_gateway_and_tenants_know_all_engines():
    specs = _services("full")
    urls = {name: specs[f"engine-{name}"].url for name in ("north", "south")}
    for name in ("gateway", "tenants"):
        assert msgspec.json.decode(specs[name].environment["PAYHUB_ENGINES"]) == urls


@pytest.mark.parametrize(
    ("secret", "holders"),
    [
        ("PAYHUB_DATABASE_URL", {"tenants", "operations"}),
        ("PAYHUB_AGGREGATOR_TOKEN", {"tenants"}),
        ("PAYHUB_OPERATOR_TOKEN", {"operations"}),
        ("PAYHUB_SECRETS_KEY", {"engine-north", "engine-south", "tenants", "operations"}),
        ("PAYHUB_NATS_URL", {"engine-north", "engine-south", "tenants", "operations", "gateway"}),
        ("PAYHUB_LOGIN_CODE", {"operations"}),
    ],
)
def test_a_secret_reaches_only_who_needs_it(secret: str, holders: set[str]):
    specs = _services("full", sandbox=True, login_code="once")
    assert {name for name, spec in specs.items() if secret in spec.environment} == holders


def test_institutions_can_be_certified_where_the_sandbox_runs():
    barebone, full = _services("barebone", sandbox=True), _services("full", sandbox=True)
    for specs in (barebone, full):
        assert specs["tenants"].environment["PAYHUB_SANDBOX_URL"] == specs["sandbox"].url
    assert "PAYHUB_SANDBOX_URL" not in _services("barebone")["tenants"].environment
    told = {"PAYHUB_RESIDENTS", "PAYHUB_FORCED_CASES"}
    assert told <= set(barebone["sandbox"].environment)
    # The demonstration compares the books of its four banks alone.
    assert not told & set(full["sandbox"].environment)


def test_secrets_are_not_in_the_text_of_a_spec():
    for spec in _services("full").values():
        assert "operator" not in repr(spec).replace("operations", "")
        assert "pw@" not in repr(spec)


def test_engines_of_three_replicas():
    names = [f"engine-{engine}-{replica}" for engine in ("north", "south") for replica in "123"]
    specs = _services("full", replicas=3)
    assert list(specs) == [*names, "tenants", "operations", "gateway"]
    assert list(specs) == service_names("full", sandbox=False, replicas=3)
    assert len({spec.url for spec in specs.values()}) == len({spec.folder for spec in specs.values()}) == 9
    assert members("full", 3) == [(name.split("-")[1], name[-1]) for name in names]
    told = msgspec.json.decode(specs["gateway"].environment["PAYHUB_ENGINES"])
    for engine in ("north", "south"):
        assert engine_addresses(told[engine], ENGINES_VARIABLE) == {
            r: specs[f"engine-{engine}-{r}"].url for r in "123"
        }


def test_the_replicas_of_a_group_agree_on_it_and_are_proved_by_certificates(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(Path, "is_file", lambda _path: True)
    specs = _services("full", replicas=3)
    told = {r: load(EngineSettings, specs[f"engine-south-{r}"].environment) for r in "123"}
    ports = {name: 4000 + index for index, name in enumerate(port_names("full", sandbox=False, replicas=3))}
    for replica, settings in told.items():
        group = settings.group()
        assert (group.cluster, group.replica) == ("south", replica)
        assert settings.urls() == {r: specs[f"engine-south-{r}"].url for r in "123"}
        assert group.addresses == {r: Address("127.0.0.1", ports[f"engine-south-{r}-raft"]) for r in "123"}
        assert group.certificates is not None
        assert group.certificates.key == Path(f"/data/certificates/south-{replica}.key")


def test_an_engine_of_one_replica_is_told_of_no_group():
    environment = _services("barebone")["engine-north"].environment
    assert not {"PAYHUB_PEERS", "PAYHUB_REPLICA_URLS", "PAYHUB_RAFT_KEY"} & set(environment)
