"""Onboards the institutions as an aggregator would: tenants API first, then the scheme's operator."""

import asyncio
from typing import Any, Final

from payhub_cli.demo import story
from payhub_cli.demo.client import Api
from payhub_cli.demo.errors import DemoError

NET_DEBIT_CAP: Final = "1000000.00"
PUBLISHED_POLLS_MAX: Final = 200
PUBLISHED_POLL_S: Final = 0.05


class Onboarding:
    """Creates tenants, registers them and their members at the switch.

    Args:
        tenants: the tenants API, with the aggregator's token.
        sandbox: the sandbox, which plays the scheme's operator and the core banks.
        engine_urls: engine id to the base URLs of its replicas.
    """

    def __init__(self, tenants: Api, sandbox: Api, engine_urls: dict[str, list[str]]) -> None:
        self._tenants = tenants
        self._sandbox = sandbox
        self._engine_urls = engine_urls

    async def run(self, client_id: str, client_jwks: dict[str, Any]) -> None:
        """Onboard all institutions, and a channel of the paying one.

        Args:
            client_id: OAuth2 client id of the channel.
            client_jwks: its public keys.

        Raises:
            DemoError: something was refused.
        """
        guide = await self._sandbox.get("/sandbox")
        await asyncio.gather(*(self._institution(bank, guide["switch"]) for bank in guide["banks"]))
        client = {
            "clientId": client_id,
            "name": "Mobile channel",
            "jwks": client_jwks,
            "scopes": ["payments:write", "payments:read"],
        }
        await self._tenants.post(f"/v1/tenants/{story.PAYER_FSP}/clients", client)
        rule = {"payeeIdentifier": story.DELAYED_QUOTE_PAYEE, "delayQuoteMs": story.QUOTE_DELAY_MS}
        await self._sandbox.post("/switch/admin/rules", rule)
        await self._until_published(story.PAYER_FSP)

    async def _institution(self, bank: dict[str, Any], switch: dict[str, Any]) -> None:
        fsp = bank["fspId"]
        created = await self._tenants.post("/v1/tenants", _tenant(bank, switch))
        participant = {
            "fspId": fsp,
            "currency": bank["currency"],
            "callbackUrls": [
                " ".join(f"{url}/fspiop" for url in self._engine_urls[engine])
                for engine in story.PLACEMENTS[fsp]
            ],
            "publicKeyPem": created["publicKeyPem"],
            "netDebitCap": NET_DEBIT_CAP,
        }
        await self._sandbox.post("/switch/admin/participants", participant)
        # The switch answers a registration at the tenant's engines, which must know the tenant by then.
        await self._until_published(fsp)
        members = {
            "identifiers": [
                {"type": "MSISDN", "value": member["msisdn"], "accountId": member["accountId"]}
                for member in bank["members"]
            ]
        }
        for row in await self._tenants.post(f"/v1/tenants/{fsp}/party-identifiers", members):
            if row["state"] != "registered":
                raise DemoError(f"A member of {fsp} was not registered: {row.get('reason')}")

    async def _until_published(self, fsp: str) -> None:
        for _ in range(PUBLISHED_POLLS_MAX):
            if (await self._tenants.get(f"/v1/tenants/{fsp}"))["published"]:
                return
            await asyncio.sleep(PUBLISHED_POLL_S)
        raise DemoError(f"The configuration of {fsp} did not reach NATS.")


def _tenant(bank: dict[str, Any], switch: dict[str, Any]) -> dict[str, Any]:
    fsp = bank["fspId"]
    tenant = {
        "tenantId": fsp,
        "fspId": fsp,
        "name": story.NAMES[fsp],
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
        "placement": story.PLACEMENTS[fsp],
    }
    if fsp == story.SHORT_QUOTE_FSP:
        tenant["quoteValidityMs"] = story.SHORT_QUOTE_VALIDITY_MS
    return tenant
