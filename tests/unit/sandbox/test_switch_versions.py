import json

import pytest

from payhub_sandbox.switch.refusal import FspiopRefusalError
from payhub_sandbox.switch.versions import spoken
from payhub_sandbox.switch.voice import Manner

TRANSFER_ID = "11111111-1111-4111-8111-111111111111"
ULID = "01J9ZQX3M5T7V9B1C3D5F7G9HJ"
UUID7 = "0192f5a0-0000-7000-8000-000000000001"


def media(resource, version):
    return f"application/vnd.interoperability.{resource}+json;version={version}"


def answered_in(hub, message):
    [answer] = hub.receive(message)
    return answer.headers["Content-Type"].partition("version=")[2]


@pytest.mark.parametrize(
    ("accept", "version"),
    [("1.0", "1.0"), ("1.1", "1.1"), ("2.0", "2.0"), ("1", "1.1"), ("2", "2.0")],
)
def test_the_switch_answers_in_the_version_that_is_accepted(hub, buffalo, accept, version):
    message = buffalo.message("GET", "/parties/MSISDN/1", Accept=media("parties", accept))
    assert answered_in(hub, message) == version


def test_of_several_versions_the_latest_is_answered(hub, buffalo):
    accept = f"{media('parties', '1.0')}, {media('parties', '3')},{media('parties', '1')}"
    assert answered_in(hub, buffalo.message("GET", "/parties/MSISDN/1", Accept=accept)) == "1.1"
    anything = "application/vnd.interoperability.parties+json"
    assert answered_in(hub, buffalo.message("GET", "/parties/MSISDN/1", Accept=anything)) == "2.0"


@pytest.mark.parametrize("header", ["Accept", "Content_Type"])
@pytest.mark.parametrize("version", ["1.2", "3.0", "0.9"])
def test_other_versions_are_406_and_the_ones_spoken_are_named(hub, buffalo, header, version):
    with pytest.raises(FspiopRefusalError) as refused:
        hub.receive(buffalo.message("GET", "/parties/MSISDN/1", **{header: media("parties", version)}))
    assert (refused.value.http_status, refused.value.error_code) == (406, "3001")
    named = json.loads(refused.value.body())["errorInformation"]["extensionList"]["extension"]
    majors, minors = named[::2], named[1::2]
    assert [f"{a['value']}.{b['value']}" for a, b in zip(majors, minors, strict=True)] == [
        "1.0",
        "1.1",
        "2.0",
    ]


def test_two_spaces_round_the_semicolon_are_refused_as_real_hubs_do(hub, buffalo):
    for spaces, fits in ((" ; version", True), ("  ;version", False)):
        accept = media("parties", "1").replace(";version", spaces)
        message = buffalo.message("GET", "/parties/MSISDN/1", Accept=accept)
        if fits:
            assert hub.receive(message)
        else:
            with pytest.raises(FspiopRefusalError, match="3101"):
                hub.receive(message)


def test_currency_conversion_is_of_version_2_only(hub, buffalo):
    assert spoken("fxQuotes") == ("2.0",)
    with pytest.raises(FspiopRefusalError, match="3001"):
        hub.receive(buffalo.message("GET", "/services/FXP", version="1.1"))
    assert answered_in(hub, buffalo.message("GET", "/services/FXP", version="2.0")) == "2.0"


@pytest.mark.parametrize(("key", "version", "fits"), [(UUID7, "1.1", False), (UUID7, "2.0", True)])
def test_newer_uuids_and_ulids_come_with_version_2(hub, buffalo, key, version, fits):
    for transfer_id in (key, ULID):
        prepare = buffalo.prepare(transfer_id=transfer_id)
        body = json.loads(prepare.body)
        message = buffalo.message("POST", "/transfers", body, to="rhino", version=version)
        if fits:
            [forwarded] = hub.receive(message)
            assert forwarded.destination == "rhino"
        else:
            with pytest.raises(FspiopRefusalError, match="3100"):
                hub.receive(message)


def test_each_side_is_told_in_its_own_version(hub, buffalo, rhino):
    body = json.loads(buffalo.prepare().body)
    hub.receive(buffalo.message("POST", "/transfers", body, to="rhino", version="2.0"))
    fulfil = json.loads(rhino.fulfil("RESERVED").body)
    path = f"/transfers/{TRANSFER_ID}"
    to_payer, to_payee = hub.receive(rhino.message("PUT", path, fulfil, to="buffalo", version="1.0"))
    assert to_payer.headers["Content-Type"] == media("transfers", "2.0")
    assert to_payee.headers["Content-Type"] == media("transfers", "1.1")  # PATCH came with 1.1
    [told] = hub.receive(rhino.message("GET", path, version="1.0", Accept=media("transfers", "1.0")))
    assert told.headers["Content-Type"] == media("transfers", "1.0")


def test_a_hub_may_speak_another_version_and_add_properties(hub, buffalo):
    hub.context.voice.manner = Manner(extra_properties=True, always_version="2.0")
    [message] = hub.receive(buffalo.message("GET", "/parties/MSISDN/1"))
    assert message.headers["Content-Type"] == media("parties", "2.0")
    body = json.loads(message.body)
    assert body["hubReference"] == "sandbox"
    assert body["errorInformation"]["errorCode"] == "3204"


def test_a_commit_that_fails_may_be_told_by_patch_error(hub, buffalo, rhino, clock):
    hub.context.voice.manner = Manner(commit_error_notification=True)
    hub.receive(buffalo.prepare())
    clock.now_ms += 31_000
    to_payer, to_payee = hub.receive(rhino.fulfil("COMMITTED"))
    assert (to_payer.method, to_payer.path) == ("PUT", f"/transfers/{TRANSFER_ID}/error")
    assert (to_payee.method, to_payee.path) == ("PATCH", f"/transfers/{TRANSFER_ID}/error")


@pytest.mark.parametrize(
    "accept", ["*/*", "text/html", "application/vnd.interoperability.transfers+json;version=9"]
)
def test_on_a_callback_accept_means_nothing(hub, buffalo, rhino, accept):
    hub.receive(buffalo.prepare())
    body = json.loads(rhino.fulfil("RESERVED").body)
    path = f"/transfers/{TRANSFER_ID}"
    _, told = hub.receive(rhino.message("PUT", path, body, to="buffalo", Accept=accept))
    assert told.headers["Content-Type"] == media("transfers", "1.1")
