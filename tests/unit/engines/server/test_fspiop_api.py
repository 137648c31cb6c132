"""The scheme ingress over HTTP, before a real log: what is acknowledged is committed, nothing else is."""

import json
from types import SimpleNamespace

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.di import Provide
from unit.engines.connectors.connector_kit import NOW_MS, TRACE, make_tenant

from payhub_engines.connectors.mojaloop import ilp
from payhub_engines.connectors.mojaloop.headers import format_date
from payhub_engines.connectors.mojaloop.keys import PublicKeys
from payhub_engines.core.commands import StartInstance
from payhub_engines.core.events import InstanceStarted
from payhub_engines.handover.placing import Placing
from payhub_engines.server.engine import Engine
from payhub_engines.server.fspiop_api import fspiop
from payhub_platform.clock import iso
from payhub_platform.money import Money
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox
from payhub_platform.telemetry.tracing import Tracing

ID = "11111111-1111-4111-8111-111111111111"
SWITCH, LION, STRANGER = (jws.new_private_key_pem() for _ in range(3))
STATE = b'{"transferState":"COMMITTED"}'


class BareEngine(Engine):
    """An engine of which only what the ingress needs is there."""

    def __init__(self, **parts):
        vars(self).update(parts)


async def asks_nobody(engine, _request):
    raise AssertionError(engine)


@pytest.fixture
async def house(replica_on, request):
    """An engine with two tenants, and a client that speaks to it as the switch would."""
    secrets = SecretBox(SecretBox.new_key())
    tenants = {}
    for fsp, pem in (("buffalo", jws.new_private_key_pem()), ("lion", LION)):
        tenant = make_tenant(secrets, fsp, pem)
        scheme = msgspec.structs.replace(tenant.scheme, switch_public_key_pem=jws.public_pem(SWITCH))
        tenants[fsp] = msgspec.structs.replace(tenant, scheme=scheme)
    replica = await replica_on(**({"xmls": request.param} if hasattr(request, "param") else {}))
    engine = BareEngine(
        stream=replica.stream,
        settings=SimpleNamespace(engine_id="north"),
        directory=SimpleNamespace(by_fsp=tenants.get),
        _keys=PublicKeys(tenants.get),
        tracing=Tracing("test"),
        clock=lambda: NOW_MS,
        placing=Placing("north", lambda: replica.state, asks_nobody),
    )
    app = Litestar([fspiop], dependencies={"engine": Provide(lambda: engine, sync_to_thread=False)})
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://engine") as client:
        yield SimpleNamespace(client=client, replica=replica, tenants=tenants)


def headers(resource, method, path, body, *, key=SWITCH, source="switch", destination="buffalo", **changed):
    sent = {
        "Content-Type": f"application/vnd.interoperability.{resource}+json;version=1.1",
        "Date": format_date(NOW_MS),
        "FSPIOP-Source": source,
        "traceparent": TRACE,
    }
    sent |= {"FSPIOP-Destination": destination} if destination else {}
    if body and key:
        sent |= jws.sign(body, sent, path, method, jws.load_private_key(key))
    return sent | changed


async def send(house, method, path, body=b"", prefix="/fspiop", sent_body=None, **how):
    resource = path.split("/")[1]
    sent = headers(resource, method, path, body, **how)
    content = body if sent_body is None else sent_body
    return await house.client.request(method, prefix + path, content=content or None, headers=sent)


def code_of(response):
    return response.json()["errorInformation"]["errorCode"]


async def test_an_answer_is_acknowledged_without_a_body_once_it_is_committed(house):
    before = len(house.replica.entries)
    response = await send(house, "PUT", f"/transfers/{ID}", STATE)
    assert (response.status_code, response.content) == (200, b"")
    assert len(house.replica.entries) == before + 1


@pytest.mark.parametrize("prefix", ["/fspiop", "/fspiop/buffalo"])
async def test_the_path_may_begin_with_the_institution_and_is_signed_without_it(house, prefix):
    assert (await send(house, "PUT", f"/transfers/{ID}", STATE, prefix)).status_code == 200


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"key": None}, "missing"),
        ({"key": STRANGER}, "of nobody"),
        ({"key": LION}, "of another institution"),
        ({"key": SWITCH, "source": "lion"}, "the switch's, in the name of another"),
        ({"source": "rhino", "key": STRANGER}, "of an institution that is not known"),
        ({"sent_body": b'{"transferState": "COMMITTED"}'}, "the same JSON in other bytes"),
        ({"sent_body": b'{"transferState":"ABORTED"}'}, "another body"),
        ({"FSPIOP-URI": "/transfers/other"}, "another path"),
        ({"FSPIOP-HTTP-Method": "PATCH"}, "another method"),
        ({"Date": format_date(NOW_MS + 1_000)}, "another date"),
        ({"FSPIOP-Signature": '{"signature":"AA","protectedHeader":"WzFd"}'}, "no protected header"),
    ],
)
async def test_a_signature_that_does_not_hold_is_3105_and_nothing_happens(house, how, why):
    before = len(house.replica.entries)
    response = await send(house, "PUT", f"/transfers/{ID}", STATE, **how)
    assert (response.status_code, code_of(response)) == (400, "3105"), why
    assert len(house.replica.entries) == before


async def test_a_message_for_one_tenant_does_nothing_at_another(house):
    path = f"/transfers/{ID}"
    sent = headers("transfers", "PUT", path, STATE, destination="buffalo") | {"FSPIOP-Destination": "lion"}
    response = await house.client.put(f"/fspiop{path}", content=STATE, headers=sent)
    assert code_of(response) == "3105"
    response = await send(house, "PUT", path, STATE, prefix="/fspiop/lion", destination="buffalo")
    assert code_of(response) == "3101"


async def test_versions_are_negotiated_and_the_refusal_says_which(house):
    accept = {"Accept": "application/vnd.interoperability.parties+json;version=2.0"}
    response = await send(house, "GET", "/parties/MSISDN/1", **accept)
    assert (response.status_code, code_of(response)) == (406, "3001")
    assert response.json()["errorInformation"]["extensionList"]["extension"][0] == {"key": "1", "value": "1"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/quotes/x", 400, "3101"),
        ("GET", "/nowhere/1", 404, "3002"),
        ("DELETE", "/participants/MSISDN/1", 501, "2002"),
        ("DELETE", f"/quotes/{ID}", 405, "3000"),
        ("GET", "/parties/MSISDN/1", 501, "2002"),  # no process for it is deployed here
    ],
)
async def test_what_cannot_be_served_is_said_at_once(house, method, path, status, code):
    response = await send(house, method, path)
    assert (response.status_code, code_of(response)) == (status, code)


async def test_an_institution_that_may_be_on_its_way_here_is_asked_to_come_again(house):
    response = await send(house, "PUT", f"/transfers/{ID}", STATE, destination="rhino")
    assert (response.status_code, code_of(response)) == (503, "2003")
    assert int(response.headers["retry-after"]) > 0
    response = await send(house, "GET", "/parties/MSISDN/1", destination="")
    assert (response.status_code, code_of(response)) == (400, "3102")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"{", b"\xff\xfe", b"null", json.dumps({"a": "x"}).encode()]
)
async def test_signed_rubbish_is_refused_and_nothing_happens(house, body):
    before = len(house.replica.entries)
    response = await send(house, "PUT", f"/transfers/{ID}", body)
    assert (response.status_code, code_of(response) in ("3101", "3102")) == (400, True)
    assert len(house.replica.entries) == before


async def test_a_bulk_of_a_thousand_fits_and_what_one_command_cannot_hold_is_3104(house):
    item = {"transferId": ID, "fulfilment": "A" * 43}
    body = {"bulkTransferState": "COMPLETED", "individualTransferResults": [item] * 1_000}
    response = await send(house, "PUT", f"/bulkTransfers/{ID}", json.dumps(body).encode())
    assert response.status_code == 200
    response = await send(house, "PUT", f"/bulkTransfers/{ID}", b" " * (1024 * 1024 + 1))
    assert (response.status_code, code_of(response)) == (400, "3104")


def process(name, *steps):
    """Return a process that runs its service tasks one after the other, each named by its job type."""
    flow, last = "", "start"
    for step in (*steps, "end"):
        flow += f'<sequenceFlow id="to-{step}" sourceRef="{last}" targetRef="{step}"/>'
        if step != "end":
            flow += (
                f'<serviceTask id="{step}"><extensionElements>'
                f'<zeebe:taskDefinition type="{step}"/></extensionElements></serviceTask>'
            )
        last = step
    return (
        '<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" '
        'xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="t">'
        f'<process id="{name}" isExecutable="true"><startEvent id="start"/>{flow}<endEvent id="end"/>'
        "</process></definitions>"
    ).encode()


def prepare(expires_at_ms=NOW_MS + 10_000):
    data = json.dumps({"quoteId": ID, "transactionId": ID}).encode()
    body = {
        "transferId": "22222222-2222-4222-8222-222222222222",
        "payerFsp": "lion",
        "payeeFsp": "buffalo",
        "amount": {"amount": "100.5", "currency": "KES"},
        "ilpPacket": ilp.build_packet_of(data, Money(10050, "KES"), "g.buffalo.msisdn.1"),
        "condition": "A" * 43,
        "expiration": iso(expires_at_ms),
    }
    return json.dumps(body).encode()


def started(house, name):
    found = [event for entry in house.replica.entries for event in entry.events]
    return [event for event in found if isinstance(event, InstanceStarted) and event.process == name]


XMLS = (process("answer-again", "answer"), process("payee-quote-transfer", "quote"))


@pytest.mark.parametrize("house", [XMLS], indirect=True)
async def test_a_transfer_without_a_quote_is_refused_once(house):
    body = prepare()
    for _ in range(2):
        response = await send(house, "POST", "/transfers", body, key=LION, source="lion")
        assert response.status_code == 202
    (refused,) = started(house, "answer-again")
    assert refused.variables["subject"] is None
    assert refused.variables["query"] == {
        "resource": "transfers",
        "path": ["22222222-2222-4222-8222-222222222222"],
    }
    assert (refused.variables["queriedBy"], refused.variables["queryRefusal"]["code"]) == ("lion", "3205")


@pytest.mark.parametrize("house", [XMLS], indirect=True)
async def test_a_transfer_that_has_expired_or_whose_quote_is_being_answered_is_not_refused(house):
    expired = await send(house, "POST", "/transfers", prepare(NOW_MS - 1), key=LION, source="lion")
    assert expired.status_code == 202
    quoting = StartInstance(
        process="payee-quote-transfer", tenant="buffalo", payment=ID, fingerprint="f", variables={}
    )
    await house.replica.stream.submit(quoting, "buffalo")
    early = await send(house, "POST", "/transfers", prepare(), key=LION, source="lion")
    assert early.status_code == 202
    assert started(house, "answer-again") == []


async def test_a_message_that_names_two_sources_is_of_nobody(house):
    before = len(house.replica.entries)
    path = f"/transfers/{ID}"
    sent = headers("transfers", "PUT", path, STATE)
    for doubled in ([("FSPIOP-Source", "lion"), *sent.items()], [*sent.items(), ("fspiop-source", "switch")]):
        response = await house.client.request("PUT", f"/fspiop{path}", content=STATE, headers=doubled)
        assert (response.status_code, code_of(response)) == (400, "3101")
    assert len(house.replica.entries) == before
