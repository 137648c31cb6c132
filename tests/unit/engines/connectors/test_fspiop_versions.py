"""Which version of FSPIOP is spoken: what is accepted, and what is said where none is."""

import json

import msgspec
import pytest
from unit.engines.connectors.connector_kit import NOW_MS

from payhub_engines.connectors.mojaloop import media_types
from payhub_engines.connectors.mojaloop.headers import format_date
from payhub_engines.connectors.mojaloop.ingress import FspiopRefusal, translate

KINDS = {
    "plain": "application/vnd.interoperability.parties",
    "iso": "application/vnd.interoperability.iso20022.parties",
}


@pytest.fixture
def ask(buffalo):
    def asked(versions, **headers):
        """Ask for a party in a scheme of these versions; ``iso`` stands for 2.0 with ISO 20022 contents."""
        scheme = (
            {"versions": ("2.0",), "iso20022": True}
            if versions == "iso"
            else {"versions": tuple(versions.split())}
        )
        tenant = msgspec.structs.replace(buffalo, scheme=msgspec.structs.replace(buffalo.scheme, **scheme))
        sent = {
            "content-type": media_types.written("parties", tenant.scheme),
            "date": format_date(NOW_MS),
            "fspiop-source": "lion",
            "fspiop-destination": "buffalo",
        }
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return translate("GET", "/parties/MSISDN/1", sent, b"", tenant, NOW_MS).status

    return asked


@pytest.mark.parametrize(
    ("versions", "accept"),
    [
        ("1.1", "plain+json;version=1"),
        ("1.1", "plain+json;version=1.1"),
        ("1.1", "plain+json"),
        ("1.1", "*/*"),
        ("1.1", "plain+json; version=1"),
        ("1.1", "plain+json ;version=1"),
        ("1.1 1.0", "plain+json;version=1.0"),
        ("1.1", "plain+json;version=2.0, plain+json;version=1"),
        ("1.1", "text/html, plain+json;version=1"),
        ("2.0 1.1", "plain+json;version=1.1"),
        ("2.0", "plain+json;version=2"),
        ("iso", "iso+json;version=2.0"),
        ("iso", "iso+json;version=2"),
    ],
)
def test_what_is_acceptable(ask, versions, accept):
    assert ask(versions, accept=written(accept)) == 202


@pytest.mark.parametrize(
    ("versions", "header", "value", "status", "code"),
    [
        ("1.1", "accept", "plain+json;version=2", 406, "3001"),
        ("1.1", "accept", "plain+json;version=1.0", 406, "3001"),
        ("2.0", "accept", "plain+json;version=1.1", 406, "3001"),
        ("iso", "accept", "iso+json;version=1.0", 406, "3001"),
        ("1.1", "accept", "text/html", 400, "3101"),
        ("1.1", "accept", "plain+json;version=x", 400, "3101"),
        ("1.1", "accept", "plain+json;  version=1", 400, "3101"),
        ("1.1", "accept", "application/vnd.interoperability.quotes+json;version=1", 400, "3101"),
        ("1.1", "content_type", "plain+json;version=2.0", 406, "3001"),
        ("2.0", "content_type", "plain+json;version=1.1", 406, "3001"),
        ("1.1", "content_type", "iso+json;version=2.0", 400, "3101"),
        ("2.0", "content_type", "iso+json;version=2.0", 400, "3101"),
        ("1.1", "content_type", "application/json", 400, "3101"),
        ("1.1", "content_type", "", 400, "3102"),
    ],
)
def test_what_is_not(ask, versions, header, value, status, code):
    with pytest.raises(FspiopRefusal) as refusal:
        ask(versions, **{header: written(value)})
    assert (refusal.value.status, refusal.value.error_code) == (status, code)


def test_other_minor_versions_of_a_spoken_major_one_are_taken(ask):
    # Real hubs send other versions than asked for; they differ in optional fields.
    for version in ("1", "1.0", "1.1", "1.2"):
        assert ask("1.1", content_type=written(f"plain+json;version={version}")) == 202


def test_the_refusal_lists_what_is_spoken(ask):
    with pytest.raises(FspiopRefusal) as refusal:
        ask("2.0 1.1 1.0", accept=written("plain+json;version=3"))
    told = json.loads(refusal.value.body())["errorInformation"]
    assert told["extensionList"] == {
        "extension": [{"key": "2", "value": "0"}, {"key": "1", "value": "1"}, {"key": "1", "value": "0"}]
    }
    assert told["errorDescription"] == "header:Accept: Only 2.0, 1.1, 1.0 is spoken here."


def test_headers_that_proxies_add_are_let_pass(ask):
    added = {
        "x_forwarded_for": "10.0.0.1, 10.0.0.2",
        "fspiop_proxy": "hub-2",
        "tracestate": "a=b",
        "accept": "",
    }
    assert ask("1.1", **added) == 202


def written(text):
    for short, kind in KINDS.items():
        text = text.replace(f"{short}+", f"{kind}+")
    return text
