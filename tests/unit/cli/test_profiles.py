"""Profiles: which processes run, and that each is told only what it needs."""

from pathlib import Path

import msgspec
import pytest

from payhub_cli.profiles import Profile, Secrets, Surroundings, service_names, services

SECRETS = Secrets(
    internal_token="internal", secrets_key="key", aggregator_token="aggregator", operator_token="operator"
)


def _services(profile: Profile, *, sandbox: bool = False, login_code: str = ""):
    names = service_names(profile, sandbox=sandbox)
    around = Surroundings(
        folder=Path("/data"),
        ports={name: 4000 + index for index, name in enumerate(names)},
        nats_url="nats://payhub:pw@127.0.0.1:1",
        database_url="postgresql://payhub:pw@127.0.0.1:2/payhub",
        secrets=SECRETS,
        login_code=login_code,
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


def test_secrets_are_not_in_the_text_of_a_spec():
    for spec in _services("full").values():
        assert "operator" not in repr(spec).replace("operations", "")
        assert "pw@" not in repr(spec)
