"""The calls that bring an institution from its request to a first payment, in order, each with its time."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

import msgspec

from payhub_cli.demo.channel import Channel
from payhub_cli.demo.client import Api
from payhub_cli.onboard.errors import OnboardError

NET_DEBIT_CAP: Final = "1000000.00"
AMOUNT: Final = "1.00"
WAIT_S: Final = 30.0
POLL_S: Final = 0.02
CERTIFIED_WAIT_S: Final = 900.0  # the suite ends by itself before
CERTIFIED_POLL_S: Final = 0.5


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call: what it was for, and how long it took with its repetitions."""

    call: str
    what: str
    ms: int


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """The APIs that are called."""

    tenants: Api  # with the aggregator's token
    gateway: Api
    sandbox: Api
    engine: str
    callback_urls: list[str]  # of the engine's replicas, for the switch


class Onboarding:
    """Makes the calls; ``steps`` holds what was done."""

    def __init__(self, places: Places) -> None:
        self._at = places
        self.steps: list[Step] = []

    async def run(self, bank_id: str) -> str:
        """Onboard a bank of the sandbox, and have its first member pay the test DFSP's; return how it ended.

        Raises:
            PayhubError: something was refused.
        """
        at, tenants = self._at, self._at.tenants
        guide = await at.sandbox.get("/sandbox")
        bank = next((each for each in guide["banks"] if each["fspId"] == bank_id), None)
        dfsp = next((each for each in guide.get("counterparties", []) if each["role"] == "DFSP"), None)
        if bank is None or dfsp is None:
            names = ", ".join(each["fspId"] for each in guide["banks"])
            raise OnboardError(f"The sandbox needs a test DFSP (PAYHUB_RESIDENTS); its banks are {names}.")
        path = f"/v1/tenants/{bank_id}"
        channel = Channel(at.gateway, f"{bank_id}-onboarded-{uuid4().hex[:8]}")
        request = _tenant(bank, guide["switch"], at.engine)
        created = await self._post(tenants, "/v1/tenants", request, "the institution's request")
        participant = self._participant(bank, created)
        await self._post(at.sandbox, "/switch/admin/participants", participant, "a participant of the scheme")
        started = time.monotonic()
        await tenants.put(f"{path}/scheme", _scheme(guide["switch"], dfsp))
        self._note(f"PUT {path}/scheme", "whose signatures are believed", started)
        await self._post(tenants, f"{path}/clients", _client(channel), "a channel's public key")
        await self._until(tenants, path, "published", "the configuration reaches gateways and engines")
        check = await self._post(tenants, f"{path}/ams/check", {}, "the core bank answers")
        if not check["answered"]:
            raise OnboardError(f"The core bank does not answer: {check['reason']}")
        for row in await self._post(tenants, f"{path}/party-identifiers", _members(bank), "its members"):
            if row["state"] != "registered":
                raise OnboardError(f"A member was not registered: {row.get('reason')}")
        started = time.monotonic()
        await channel.authenticate()
        self._note("POST /oauth2/token", "an access token (private_key_jwt)", started)
        gateway = at.gateway.with_headers({**channel.headers, "Idempotency-Key": str(uuid4())})
        payment = _payment(bank["members"][0]["msisdn"], dfsp["parties"][0]["party"], bank["currency"])
        sent = await self._post(gateway, "/v1/transfers", payment, "the first payment")
        return await self._ended(gateway, f"/v1/transfers/{sent['transactionId']}")

    async def certify(self, bank_id: str, msisdn: str) -> dict[str, Any]:
        """Run the payment suite with a member's account, and return its report."""
        path, started = f"/v1/tenants/{bank_id}", time.monotonic()
        member = {"type": "MSISDN", "value": msisdn}
        report: dict[str, Any] = await self._at.tenants.post(f"{path}/certify", member)
        while report["state"] == "running":
            if time.monotonic() - started > CERTIFIED_WAIT_S:
                raise OnboardError("The payment suite did not end.")
            await asyncio.sleep(CERTIFIED_POLL_S)
            report = await self._at.tenants.get(f"{path}/certification")
        self._note(f"POST {path}/certify", "the payment suite", started)
        return report

    async def _ended(self, gateway: Api, path: str) -> str:
        started = time.monotonic()
        while (status := await gateway.get(path))["state"] == "PENDING":
            if time.monotonic() - started > WAIT_S:
                raise OnboardError(f"{path} did not end in {WAIT_S:.0f} s.")
            await asyncio.sleep(POLL_S)
        self._note("GET /v1/transfers/{id}", "until it has ended", started)
        error = status.get("error")
        return str(status["state"]) if error is None else f"{status['state']} with {error['code']}"

    async def _until(self, api: Api, path: str, name: str, what: str) -> None:
        started = time.monotonic()
        while not (await api.get(path))[name]:
            if time.monotonic() - started > WAIT_S:
                raise OnboardError(f"Not done in {WAIT_S:.0f} s: {what}.")
            await asyncio.sleep(POLL_S)
        self._note(f"GET {path}", what, started)

    async def _post(self, api: Api, path: str, body: Mapping[str, Any], what: str) -> Any:
        started = time.monotonic()
        answer = await api.post(path, body)
        self._note(f"POST {path}", what, started)
        return answer

    def _note(self, call: str, what: str, started: float) -> None:
        self.steps.append(Step(call=call, what=what, ms=round((time.monotonic() - started) * 1000)))

    def _participant(self, bank: dict[str, Any], created: dict[str, Any]) -> dict[str, Any]:
        return {
            "fspId": bank["fspId"],
            "currency": bank["currency"],
            "callbackUrls": [" ".join(self._at.callback_urls)],
            "publicKeyPem": created["publicKeyPem"],
            "netDebitCap": NET_DEBIT_CAP,
        }


def _tenant(bank: dict[str, Any], switch: dict[str, Any], engine: str) -> dict[str, Any]:
    return {
        "tenantId": bank["fspId"],
        "fspId": bank["fspId"],
        "name": f"{bank['fspId'].title()} SACCO",
        "currency": bank["currency"],
        "scheme": {
            "baseUrl": switch["baseUrl"],
            "switchFspId": switch["fspId"],
            "switchPublicKeyPem": switch["publicKeyPem"],
        },
        "ams": {
            "baseUrl": bank["amsBaseUrl"],
            "platformTenant": bank["platformTenant"],
            "username": bank["username"],
            "password": bank["password"],
        },
        "placement": [engine],
    }


def _scheme(switch: dict[str, Any], dfsp: dict[str, Any]) -> dict[str, Any]:
    return {
        "baseUrl": switch["baseUrl"],
        "switchFspId": switch["fspId"],
        "switchPublicKeyPem": switch["publicKeyPem"],
        "peerKeys": [{"fspId": dfsp["fspId"], "publicKeyPem": dfsp["publicKeyPem"]}],
    }


def _client(channel: Channel) -> dict[str, Any]:
    return {
        "clientId": channel.client_id,
        "name": "Mobile channel",
        "jwks": channel.public_keys(),
        "scopes": ["payments:write", "payments:read"],
    }


def _members(bank: dict[str, Any]) -> dict[str, Any]:
    rows = [("MSISDN", member["msisdn"], member["accountId"]) for member in bank["members"]]
    return {"identifiers": [{"type": kind, "value": value, "accountId": at} for kind, value, at in rows]}


def _payment(payer: str, payee: str, currency: str) -> dict[str, Any]:
    kind, _, identifier = payee.partition("/")
    return {
        "payer": {"partyIdInfo": {"partyIdType": "MSISDN", "partyIdentifier": payer}},
        "payee": {"partyIdInfo": {"partyIdType": kind, "partyIdentifier": identifier}},
        "amount": {"amount": AMOUNT, "currency": currency},
    }
