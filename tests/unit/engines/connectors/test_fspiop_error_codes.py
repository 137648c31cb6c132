"""What each of FSPIOP's error codes makes a process do (docs/fspiop.md has the same table)."""

import re
from pathlib import Path

import pytest

from payhub_engines.connectors.mojaloop.error_codes import MONEY_RESOURCES, reaction

DOCS = Path(__file__).parents[4] / "docs" / "fspiop.md"

RETRY = "1000 1001 2000 2001 2003 2004 2005 2006"
IDENTIFIERS = "3200 3208 3210"
UNKNOWN_OUTCOME = f"{RETRY} 2002 3106 6000"
REFUSED = (
    "3000 3001 3002 3003 3040 3100 3101 3102 3103 3104 3105 3107 3201 3202 3203 3204 3205 3206 3207 3209 "
    "3300 3301 3302 3303 4000 4001 4100 4101 4102 4103 4200 4300 4400 5000 5001 5100 5101 5102 5103 5104 "
    "5105 5106 5107 5200 5300 5400"
)
THIRD_PARTY = "7000 7100 7101 7200 7204 7214 7300"
EVERY_CODE = f"{UNKNOWN_OUTCOME} {IDENTIFIERS} {REFUSED} {THIRD_PARTY}".split()
OTHERS = (
    "parties",
    "participants",
    "quotes",
    "transactionRequests",
    "authorizations",
    "bulkQuotes",
    "fxQuotes",
)


@pytest.mark.parametrize("resource", OTHERS)
def test_before_money_moves_an_error_is_tried_again_or_refused(resource):
    found = {code: reaction(code, resource) for code in EVERY_CODE}
    assert {code for code, meaning in found.items() if meaning == "retry"} == set(RETRY.split())
    assert set(found.values()) == {"retry", "refuse"}


@pytest.mark.parametrize("resource", sorted(MONEY_RESOURCES))
def test_only_a_refusal_releases_the_funds_of_a_transfer(resource):
    found = {code: reaction(code, resource) for code in EVERY_CODE}
    asked = {code for code, meaning in found.items() if meaning == "ask"}
    assert asked == set(f"{UNKNOWN_OUTCOME} {THIRD_PARTY}".split())
    assert {code for code, meaning in found.items() if meaning == "retry"} == set(IDENTIFIERS.split())
    assert {code for code, meaning in found.items() if meaning == "release"} == set(REFUSED.split())


@pytest.mark.parametrize("family", [10, 20, 30, 31, 32, 33, 40, 41, 42, 43, 44, 50, 51, 52, 53, 54])
def test_a_schemes_own_code_is_as_its_family(family):
    for resource in ("quotes", "transfers"):
        general = (
            reaction(f"{family}00", resource)
            if family != 32
            else {"quotes": "refuse", "transfers": "release"}[resource]
        )
        assert {reaction(f"{family}{number}", resource) for number in range(40, 100)} == {general}


@pytest.mark.parametrize("code", ["", "0", "x", "0000", "9999", "99999", "\uff18000"])
def test_what_is_no_code_moves_no_money(code):
    assert reaction(code, "transfers") != "release" or code[:1] in ("3", "4", "5")
    assert reaction(code, "quotes") == "refuse"


def test_the_documentation_has_every_family():
    rows = re.findall(r"^\| (\d\d)xx ", DOCS.read_text(), re.MULTILINE)
    assert {code[:2] for code in EVERY_CODE if code[0] in "12345"} == set(rows)
