"""Bulks that are asked for again: the same answer, also after the end, and to nobody else."""

import pytest
from unit.engines.connectors.bulk_flows import FIRST, SECOND, SHUT, bulk_house, pay_bulk, told

from payhub_engines.connectors.mojaloop import ilp
from payhub_platform import ids
from payhub_platform.clock import iso

TWO = ((FIRST, 3000), (SECOND, 2050))
OTHER = "6f1c9d0e-57ab-4f6a-9f56-1c1a5a3a0d11"


@pytest.fixture
def house(tenants, secrets):
    return bulk_house(tenants, secrets)


def sent(house, name):
    return [message for message in house.sent if message.name == name]


def say(house, method, path, body, source="buffalo"):
    """Let lion hear something, and return what it answers."""
    house.engine.advance(1)
    number = len(house.sent)
    house.say(method, path, body, "lion", source=source)
    house.settle()
    return house.sent[number:]


def code_in(message):
    return message.content["errorInformation"]["errorCode"]


def ended(house, *payments):
    pay_bulk(house, *payments)
    house.run_until_all_ended()
    return {name: sent(house, name)[0].content for name in ("POST bulkQuotes", "POST bulkTransfers")}


@pytest.mark.parametrize("days", [0, 60])
@pytest.mark.parametrize("resource", ["bulkQuotes", "bulkTransfers"])
def test_a_request_that_comes_again_after_the_end_is_answered_as_it_was(house, resource, days):
    asked = ended(house, *TWO, (SHUT, 100))
    first = sent(house, f"PUT {resource}")[0]
    house.engine.advance(days * 86_400)
    [again] = say(house, "POST", f"/{resource}", asked[f"POST {resource}"])
    assert (again.name, again.path, again.content) == (f"PUT {resource}", first.path, first.content)


@pytest.mark.parametrize("resource", ["bulkQuotes", "bulkTransfers"])
def test_other_contents_under_the_same_id_are_3106_and_so_is_another_institution(house, resource):
    asked = ended(house, *TWO)
    body = asked[f"POST {resource}"]
    field = "individualQuotes" if resource == "bulkQuotes" else "individualTransfers"
    [refused] = say(house, "POST", f"/{resource}", {**body, field: body[field][:1]})
    assert (refused.name, code_in(refused)) == (f"PUT {resource} error", "3106")


def test_another_institutions_bulk_quote_of_the_same_id_is_3106(house):
    asked = ended(house, *TWO)
    [refused] = say(house, "POST", "/bulkQuotes", asked["POST bulkQuotes"], source="rhino")
    assert (refused.name, code_in(refused)) == ("PUT bulkQuotes error", "3106")
    assert refused.headers["fspiop-destination"] == "rhino"


@pytest.mark.parametrize("source", ["buffalo", "switch"])
def test_a_question_after_the_end_is_told_the_terms_and_what_became_of_each(house, source):
    ended(house, *TWO)
    [quotes] = say(house, "GET", sent(house, "PUT bulkQuotes")[0].path, {}, source)
    assert quotes.content == sent(house, "PUT bulkQuotes")[0].content
    [bulk] = say(house, "GET", sent(house, "PUT bulkTransfers")[0].path, {}, source)
    assert bulk.content["bulkTransferState"] == "COMPLETED"
    conditions = [one["condition"] for one in quotes.content["individualQuoteResults"]]
    fulfilments = [one["fulfilment"] for one in bulk.content["individualTransferResults"]]
    assert all(map(ilp.fulfils, fulfilments, conditions))


@pytest.mark.parametrize(("resource", "code"), [("bulkQuotes", "3209"), ("bulkTransfers", "3210")])
def test_what_is_unknown_or_of_another_institution_is_refused_with_its_own_code(house, resource, code):
    ended(house, *TWO)
    [unknown] = say(house, "GET", f"/{resource}/{OTHER}", {})
    [others] = say(house, "GET", sent(house, f"PUT {resource}")[0].path, {}, "rhino")
    assert code_in(unknown) == code_in(others) == code


def test_a_bulk_that_the_scheme_let_expire_is_told_as_rejected_without_any_fulfilment(house):
    house.weather["PUT bulkTransfers"] = ["drop"] * 99
    house.switch.expires = True
    asked = ended(house, *TWO)
    assert set(told(house)) == {"3303"}
    house.weather.clear()
    path = f"/bulkTransfers/{asked['POST bulkTransfers']['bulkTransferId']}"
    [bulk] = say(house, "GET", path, {})
    assert bulk.content["bulkTransferState"] == "REJECTED"
    assert all("fulfilment" not in one for one in bulk.content["individualTransferResults"])


def test_a_bulk_whose_quotes_nobody_here_gave_is_refused_once(house):
    asked = ended(house, *TWO)
    expires = house.engine.now_ms + 60_000
    body = {
        **asked["POST bulkTransfers"],
        "bulkQuoteId": OTHER,
        "bulkTransferId": ids.derive(OTHER, "transfer"),
        "expiration": iso(expires),
    }
    [refused] = say(house, "POST", "/bulkTransfers", body)
    assert (refused.name, code_in(refused)) == ("PUT bulkTransfers error", "3209")
    late = {**body, "bulkTransferId": OTHER, "expiration": iso(house.engine.now_ms)}
    assert say(house, "POST", "/bulkTransfers", late) == []


def test_quotes_that_expired_unused_are_told_and_take_no_transfer(house):
    house.weather["POST bulkTransfers"] = ["drop"] * 99
    asked = ended(house, *TWO)
    house.weather.clear()
    [quotes] = say(house, "POST", "/bulkQuotes", asked["POST bulkQuotes"])
    assert quotes.name == "PUT bulkQuotes"
    body = {**asked["POST bulkTransfers"], "expiration": iso(house.engine.now_ms + 60_000)}
    [refused] = say(house, "POST", "/bulkTransfers", body)
    assert code_in(refused) == "3209"
