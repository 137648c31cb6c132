import pytest

from payhub_platform.errors import InvalidInputError
from payhub_platform.security.jws import public_pem
from payhub_sandbox.switch.conversations import Conversations
from payhub_sandbox.switch.courier import ATTEMPTS_MAX, backoff_ms, is_final
from payhub_sandbox.switch.participants import Registration

QUOTE_ID = "11111111-1111-4111-8111-111111111111"


def trace(number):
    return f"00-{number:032x}-{1:016x}-01"


def test_every_second_payment_goes_to_the_other_callback_url(hub, buffalo, rhino):
    seen = []
    for number in range(4):
        quote_id = QUOTE_ID[:-1] + str(number)
        [asked] = hub.receive(buffalo.quote(quote_id=quote_id, trace=trace(number + 1)))
        [answered] = hub.receive(rhino.quoted(quote_id=quote_id, trace=trace(number + 1)))
        urls = [
            hub.context.participants.get(one.destination).callback_url(one.lane) for one in (asked, answered)
        ]
        seen.append(urls)
    assert seen == [
        ["http://rhino-own", "http://buffalo-own"],
        ["http://rhino-other", "http://buffalo-other"],
        ["http://rhino-own", "http://buffalo-own"],
        ["http://rhino-other", "http://buffalo-other"],
    ]
    assert hub.context.conversations.per_lane() == {0: 2, 1: 2}


def test_a_callback_url_of_several_addresses_is_tried_like_a_load_balancers(hub, key_pems):
    registration = Registration(
        fsp_id="group",
        currency="KES",
        callback_urls=["http://one/fspiop/ http://two/fspiop", "http://three/fspiop"],
        public_key_pem=public_pem(key_pems["buffalo"]),
        net_debit_cap="10.00",
    )
    group = hub.context.participants.register(registration)
    assert [group.callback_url(0, attempt) for attempt in (1, 2, 3)] == [
        "http://one/fspiop",
        "http://two/fspiop",
        "http://one/fspiop",
    ]
    assert group.callback_url(1, 2) == "http://three/fspiop"


def test_one_trace_is_one_conversation_whatever_it_is_about():
    conversations = Conversations()
    lanes = [
        conversations.lane_of(trace(1), "party", 2, opens=True),
        conversations.lane_of(trace(2), "party", 2, opens=True),
        conversations.lane_of(trace(2), "quote", 2, opens=True),
        conversations.lane_of(trace(1), "transfer", 2, opens=True),
    ]
    assert lanes == [0, 1, 1, 0]
    assert conversations.total == 2


def test_an_answer_without_its_trace_stays_in_the_conversation():
    conversations = Conversations()
    conversations.lane_of(trace(1), "first", 2, opens=True)
    assert conversations.lane_of(trace(2), "quote", 2, opens=True) == 1
    assert conversations.lane_of("", "quote", 2, opens=False) == 1
    assert conversations.lane_of(trace(9), "quote", 2, opens=False) == 1
    assert conversations.total == 2


def test_without_traces_the_resource_is_the_conversation():
    conversations = Conversations()
    assert [conversations.lane_of("", key, 2, opens=True) for key in "abab"] == [0, 1, 0, 1]


def test_the_oldest_conversations_are_forgotten():
    conversations = Conversations(capacity=2)
    for key in "abc":
        conversations.lane_of("", key, 2, opens=True)
    conversations.lane_of("", "a", 2, opens=True)
    assert conversations.total == 4
    assert len(conversations._lanes) == 2


def test_backoff_is_bounded_and_outlives_a_short_outage():
    waits = [backoff_ms(attempt) for attempt in range(1, ATTEMPTS_MAX + 1)]
    assert waits[:6] == [100, 200, 400, 800, 1_600, 2_000]
    assert max(waits) == 2_000
    assert 60_000 < sum(waits) < 120_000


@pytest.mark.parametrize(
    ("status", "final"),
    [(200, True), (202, True), (400, True), (404, True), (429, False), (503, False), (302, False)],
)
def test_what_ends_a_delivery(status, final):
    assert is_final(status) is final


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"callback_urls": []}, "invalid-callback-urls"),
        ({"callback_urls": ["ftp://x"]}, "invalid-callback-urls"),
        ({"public_key_pem": "x"}, "unsuitable-key"),
        ({"net_debit_cap": "-1"}, "invalid-amount"),
        ({"fsp_id": ""}, "invalid-fsp-id"),
    ],
)
def test_registrations_that_are_refused(hub, key_pems, change, code):
    fields = {
        "fsp_id": "rhino",
        "currency": "KES",
        "callback_urls": ["http://new/"],
        "public_key_pem": public_pem(key_pems["rhino"]),
        "net_debit_cap": "5.00",
    }
    with pytest.raises(InvalidInputError) as refused:
        hub.context.participants.register(Registration(**fields | change))
    assert refused.value.code == code
    position = hub.context.participants.position("rhino", "KES")
    assert position.net_debit_cap == 100_000
    position.position = 7
    again = hub.context.participants.register(Registration(**fields))
    assert (again.callback_urls, position.net_debit_cap, position.position) == (["http://new"], 500, 7)
