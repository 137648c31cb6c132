"""Bad weather and bad neighbours for a whole house: no money is created, lost, doubled or left held."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from support.house import House, running_house

from payhub_cli.demo import story
from payhub_cli.demo.story import PlannedPayment
from payhub_engines.connectors.mojaloop import headers as fspiop_headers
from payhub_platform import ids
from payhub_platform.clock import iso, system_clock
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.money import Money
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

AMOUNT = {"amount": "1", "currency": "KES"}
WRONG_FULFILMENT = "A" * 43
UNDER_WAY_S = 20.0
KEPT_WAIT_S = 20.0


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(server_folder: Path) -> AsyncIterator[House]:
    async with running_house(server_folder / "weather-house") as running:
        async with asyncio.timeout(KEPT_WAIT_S):
            while configs(running).keys() != story.PLACEMENTS.keys():
                await asyncio.sleep(0.1)  # an engine writes down what it has heard once a second
        yield running


async def rule(house: House, payee: str, **weather: Any) -> None:
    await house.sandbox.post("/switch/admin/rules", {"payeeIdentifier": payee, **weather})


async def faults(house: House, bank: str, **what: int) -> None:
    await house.sandbox.post(f"/banks/{bank}/admin/faults", what)


@contextlib.asynccontextmanager
async def stopped(house: House, name: str) -> AsyncIterator[None]:
    """Hold a process as a swapped-out or migrating machine would; it goes on where it was."""
    pid = house.child(name).pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


# What peers send.


def configs(house: House) -> dict[str, TenantConfig]:
    """Return institutions' configurations as an engine keeps them."""
    cache = house.installation.around.folder / "engine-north" / "tenants.cache"
    kept = msgspec.msgpack.decode(cache.read_bytes(), type=list[TenantConfig]) if cache.exists() else []
    return {one.fsp_id: one for one in kept}


def config(house: House, fsp: str) -> TenantConfig:
    """Return an institution's configuration."""
    return configs(house)[fsp]


def private_key(house: House, fsp: str) -> jws.PrivateKey:
    """Open an institution's own signing key, as only its engines can."""
    secrets = SecretBox(house.installation.around.secrets.secrets_key)
    return jws.load_private_key(secrets.open(config(house, fsp).signing_key.private_key_sealed, f"jws:{fsp}"))


def signed(key: jws.PrivateKey, source: str, to: str, method: str, path: str, body: bytes) -> dict[str, str]:
    headers = {
        "Content-Type": f"application/vnd.interoperability.{path.split('/')[1]}+json;version=1.1",
        "Date": fspiop_headers.format_date(system_clock()),
        "FSPIOP-Source": source,
        "FSPIOP-Destination": to,
    }
    return headers | jws.sign(body, headers, path, method, key)


async def post(
    house: House, engine: str, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    """Send a message to an engine's scheme interface, past the switch."""
    url = house.installation.url(f"engine-{engine}") + "/fspiop" + path
    async with house.session.request(method, url, data=body, headers=headers) as answer:
        return answer.status, msgspec.json.decode(await answer.read() or b"{}")


async def tell(house: House, engine: str, source: str, to: str, method: str, path: str, body: Any) -> None:
    """Send what is signed well, by somebody who may not decide it."""
    content = msgspec.json.encode(body)
    headers = signed(private_key(house, source), source, to, method, path, content)
    status, _ = await post(house, engine, method, path, content, headers)
    assert status == 200


def error(code: str) -> dict[str, Any]:
    return {"errorInformation": {"errorCode": code, "errorDescription": "no"}}


async def under_way(house: House, planned: PlannedPayment, element: str) -> str:
    """Start a payment and, for ``transfer``, wait until the switch has that; return the payment's id."""
    request = {
        "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": planned.payer}},
        "payee": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": planned.payee}},
        "amount": {"amount": planned.amount.decimal_text(), "currency": planned.amount.currency},
    }
    key = {**house.channel.headers, "X-CorrelationID": planned.key}
    accepted = await house.gateway.post("/channel/transfer", request, key)
    payment = str(accepted["transactionId"])
    transfer = ids.derive(payment, "transfer")
    deadline = time.monotonic() + UNDER_WAY_S
    while element == "transfer":
        rows = await house.sandbox.get("/switch/admin/transfers")
        if any(row["transferId"] == transfer for row in rows):
            return payment
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    return payment  # what is said of a quote before the process waits for it is kept


# Neighbours that lie.


async def test_what_others_say_of_a_transfer_neither_commits_nor_releases(house: House) -> None:
    before = await house.books()
    [planned] = house.plan(1, "lion")
    await rule(house, planned.payee, delayTransferMs=2_000)
    transfer = "/transfers/" + ids.derive(await under_way(house, planned, "transfer"), "transfer")
    committed = {"transferState": "COMMITTED", "fulfilment": WRONG_FULFILMENT}
    for liar in ("rhino", "lion"):
        await tell(house, "north", liar, "buffalo", "PUT", transfer, committed)
    await tell(house, "north", "rhino", "buffalo", "PUT", f"{transfer}/error", error("5104"))
    await tell(house, "south", "lion", "buffalo", "PUT", f"{transfer}/error", error("5104"))
    await tell(house, "north", "rhino", "buffalo", "PUT", f"{transfer}/error", error("3208"))
    await tell(house, "north", "rhino", "buffalo", "PUT", transfer, {"transferState": "ABORTED"})
    # They are kept for the payee's process, which waits for the switch's word only later.
    await tell(house, "north", "rhino", "lion", "PATCH", transfer, {"transferState": "ABORTED"})
    await tell(house, "north", "rhino", "lion", "PUT", transfer, {"transferState": "ABORTED"})
    held = await house.books()
    assert sum(account.held for account in held.ledgers["buffalo"].accounts) == planned.amount.minor
    statuses = await house.pay([planned])
    await rule(house, planned.payee)
    assert statuses[0].state == "COMPLETED"
    await house.assert_books(before, [planned], statuses)


async def test_quotes_of_others_are_not_heard(house: House) -> None:
    before = await house.books()
    [planned] = house.plan(1, "lion")
    await rule(house, planned.payee, delayQuoteMs=2_000)
    quote = "/quotes/" + ids.derive(await under_way(house, planned, "quote"), "quote")
    changed = {
        "transferAmount": {"amount": "1000", "currency": "KES"},
        "expiration": iso(system_clock() + 20_000),
        "ilpPacket": "AQ",
        "condition": WRONG_FULFILMENT,
    }
    await tell(house, "north", "rhino", "buffalo", "PUT", quote, changed)
    await tell(house, "south", "rhino", "buffalo", "PUT", f"{quote}/error", error("5103"))
    statuses = await house.pay([planned])
    await rule(house, planned.payee)
    assert statuses[0].state == "COMPLETED"
    await house.assert_books(before, [planned], statuses)


async def test_a_payee_that_changes_the_amount_is_not_paid(house: House) -> None:
    before = await house.books()
    [planned] = house.plan(1, "lion")
    await rule(house, planned.payee, delayQuoteMs=2_000)
    quote = "/quotes/" + ids.derive(await under_way(house, planned, "quote"), "quote")
    changed = {
        "transferAmount": {"amount": "1000", "currency": "KES"},
        "expiration": iso(system_clock() + 20_000),
        "ilpPacket": "AQ",
        "condition": WRONG_FULFILMENT,
    }
    await tell(house, "north", "lion", "buffalo", "PUT", quote, changed)
    statuses = await house.pay([planned])
    await rule(house, planned.payee)
    assert statuses[0].error is not None
    assert statuses[0].error.code == "4100"
    await house.assert_books(before, [planned], statuses)


async def test_what_is_not_signed_or_not_fspiop_is_refused_and_changes_nothing(house: House) -> None:
    lion, rhino = private_key(house, "lion"), private_key(house, "rhino")
    path = "/transfers/" + ids.derive("nobody's", "transfer")
    body = msgspec.json.encode({"transferState": "ABORTED"})
    good = signed(lion, "lion", "buffalo", "PUT", path, body)

    def content(raw: bytes, where: str = path) -> tuple[str, bytes, dict[str, str]]:
        return where, raw, signed(lion, "lion", "buffalo", "PUT", where, raw)

    cases: dict[str, tuple[tuple[str, bytes, dict[str, str]], str]] = {
        "another body": ((path, body.replace(b"ABORTED", b"RECEIVED"), good), "3105"),
        "another path": ((path[:-1] + ("0" if path[-1] != "0" else "1"), body, good), "3105"),
        "another key": ((path, body, signed(rhino, "lion", "buffalo", "PUT", path, body)), "3105"),
        "a foreign source": ((path, body, {**good, "FSPIOP-Source": "rhino"}), "3105"),
        "an unknown source": ((path, body, {**good, "FSPIOP-Source": "nobody"}), "3105"),
        "another destination": ((path, body, {**good, "FSPIOP-Destination": "rhino"}), "3105"),
        "upper case": (content(body, path.upper().replace("/TRANSFERS", "/transfers")), "3101"),
        "no JSON": (content(b"{"), "3101"),
        "a list": (content(b"[]"), "3101"),
        "no state": (content(b"{}"), "3102"),
        "a state of nobody": (content(b'{"transferState":"LOST"}'), "3101"),
        "a short fulfilment": (content(b'{"transferState":"COMMITTED","fulfilment":"A"}'), "3101"),
        "an error of five digits": (content(msgspec.json.encode(error("51040")), f"{path}/error"), "3101"),
    }
    for name in ("FSPIOP-Signature", "FSPIOP-URI", "FSPIOP-HTTP-Method"):
        cases[f"without {name}"] = ((path, body, {k: v for k, v in good.items() if k != name}), "3105")
    for name in ("Content-Type", "FSPIOP-Source"):
        left = {k: v for k, v in good.items() if k != name}
        cases[f"without {name}"] = ((path, body, left), "3105" if name == "FSPIOP-Source" else "3101")
    before = [await engine.get("/engine/v1/overview") for engine in house.engines]
    for engine in ("north", "south"):
        for case, (message, code) in cases.items():
            status, told = await post(house, engine, "PUT", *message)
            assert (status, told.get("errorInformation", {}).get("errorCode")) == (400, code), case
    after = [await engine.get("/engine/v1/overview") for engine in house.engines]
    assert [now["nextPosition"] for now in after] == [was["nextPosition"] for was in before]


# Weather.


async def test_kill_9_of_both_engines_at_once(house: House) -> None:
    before = await house.books()
    planned = house.plan(15, "rhino") + house.plan(15, "lion")
    paying = asyncio.create_task(house.pay(planned))
    for _ in range(2):
        await asyncio.sleep(0.25)
        house.kill("engine-north")
        house.kill("engine-south")
        await asyncio.sleep(0.3)
        await asyncio.gather(house.until_ready("engine-north"), house.until_ready("engine-south"))
    statuses = await paying
    assert {status.state for status in statuses} <= {"COMPLETED", "FAILED"}
    await house.assert_books(before, planned, statuses)


@pytest.mark.parametrize(("name", "seconds"), [("engine-south", 11.0), ("sandbox", 3.0)])
async def test_a_process_that_stands_still_for_a_while(house: House, name: str, seconds: float) -> None:
    before = await house.books()
    planned = house.plan(6, "rhino") + house.plan(4, "lion")
    paying = asyncio.create_task(house.pay(planned))
    await asyncio.sleep(0.1)
    async with stopped(house, name):
        await asyncio.sleep(seconds)
    statuses = await paying
    assert {status.state for status in statuses} <= {"COMPLETED", "FAILED"}
    await house.assert_books(before, planned, statuses)


async def test_a_transfer_that_reaches_the_payee_after_its_expiry(house: House) -> None:
    before = await house.books()
    [planned] = house.plan(1, "elephant")  # whose quotes hold for five seconds
    await rule(house, planned.payee, delayTransferMs=7_000)
    statuses = await house.pay([planned])
    await rule(house, planned.payee)
    assert statuses[0].error is not None
    assert statuses[0].error.code == "3303"
    await house.assert_books(before, [planned], statuses)


async def test_a_bank_that_crashes_after_prepare_and_release(house: House) -> None:
    before = await house.books()
    planned = PlannedPayment(
        key="nobody-there",
        payer=story.msisdn("buffalo", 1),
        payee="254799999998",
        payee_fsp="",
        amount=Money.parse("3.00", story.CURRENCY),
    )
    await faults(house, "buffalo", crashAfterCommitNext=2)
    statuses = await house.pay([planned])
    assert statuses[0].state == "FAILED"
    await house.assert_books(before, [planned], statuses)


async def test_payments_that_race_for_the_last_funds(house: House) -> None:
    before = await house.books()
    planned = [
        PlannedPayment(
            key=f"poor-{number}",
            payer=story.msisdn("buffalo", 5),  # who has 5.00
            payee=story.msisdn("lion", 1),
            payee_fsp="lion",
            amount=Money.parse("2.00", story.CURRENCY),
        )
        for number in range(8)
    ]
    await faults(house, "buffalo", delayMs=50)
    statuses = await house.pay(planned)
    await faults(house, "buffalo")
    assert sum(status.state == "COMPLETED" for status in statuses) == 2
    assert {status.error.code for status in statuses if status.error} == {"4001"}
    await house.assert_books(before, planned, statuses)


async def test_the_net_debit_cap_gives_the_funds_back(house: House) -> None:
    before = await house.books()
    participant = {
        "fspId": "buffalo",
        "currency": story.CURRENCY,
        "callbackUrls": [house.installation.url(f"engine-{one}") + "/fspiop" for one in ("north", "south")],
        "publicKeyPem": config(house, "buffalo").signing_key.public_key_pem,
    }
    cap = Money(before.positions["buffalo"].position + 350, story.CURRENCY).decimal_text()
    await house.sandbox.post("/switch/admin/participants", {**participant, "netDebitCap": cap})
    planned = house.plan(6, "rhino")
    statuses = await house.pay(planned)
    await house.sandbox.post("/switch/admin/participants", {**participant, "netDebitCap": "1000000.00"})
    assert sum(status.state == "COMPLETED" for status in statuses) == 3
    assert {status.error.code for status in statuses if status.error} == {"4001"}
    await house.assert_books(before, planned, statuses)


async def test_an_account_blocked_after_its_quote_is_not_paid_and_the_funds_are_given_back(
    house: House,
) -> None:
    before = await house.books()
    [planned] = house.plan(1, "lion")
    account = f"LION-{int(planned.payee[-5:]):06d}"
    path = f"/banks/lion/admin/accounts/{account}/state"
    await rule(house, planned.payee, delayTransferMs=1_500)
    await under_way(house, planned, "transfer")
    await house.sandbox.post(path, {"subStatus": "BLOCK_CREDIT"})
    statuses = await house.pay([planned])
    assert statuses[0].error is not None
    assert statuses[0].error.code == "5400"
    await rule(house, planned.payee)
    await house.sandbox.post(path, {})
    await house.assert_books(before, [planned], statuses)


async def test_a_payment_to_a_member_of_the_same_institution(house: House) -> None:
    before = await house.books()
    planned = PlannedPayment(
        key="at-home",
        payer=story.msisdn("buffalo", 1),
        payee=story.msisdn("buffalo", 2),
        payee_fsp="buffalo",
        amount=Money.parse("3.00", story.CURRENCY),
    )
    statuses = await house.pay([planned])
    assert statuses[0].state == "COMPLETED"
    await house.assert_books(before, [planned], statuses)


async def test_after_all_of_it_every_event_is_in_the_audit(house: House) -> None:
    await house.assert_audit_complete()
    for engine in house.engines:
        assert (await engine.get("/engine/v1/overview"))["incidents"] == []
