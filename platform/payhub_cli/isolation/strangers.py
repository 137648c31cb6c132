"""Whom the suite speaks for, and whose things it asks for: two institutions of a running installation."""

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from payhub_cli.demo import story
from payhub_cli.demo.channel import FINAL_WAIT_S, POLL_S, Channel
from payhub_cli.demo.client import Api
from payhub_platform.money import Money

OTHER: Final = story.PAYER_FSP  # whose things are asked for
STRANGER: Final = "rhino"  # who asks
SCOPES: Final = ["payments:write", "payments:read", "accounts:read", "parties:write"]
LIMITS: Final = {
    "perPaymentMinor": 1_000_000,
    "perDayMinor": 100_000_000,
    "perMemberDayMinor": 10_000_000,
    "velocity": {"payments": 100, "windowMs": 60_000},
}
# Nobody listens there; nothing happens to the other institution any more once it has this.
ENDPOINT: Final = {
    "url": "http://127.0.0.1:9/webhooks",
    "purpose": "callback",
    "events": ["payment.completed"],
}
NOBODYS_NUMBER: Final = "254799000000"
KINDS: Final = {"type_": "MSISDN", "kind": "MSISDN", "id_name": "MSISDN"}  # they name nothing by themselves
_CLIENT: Final = "rhino-stranger"
_OTHER_CLIENT: Final = "buffalo-isolation"
_OPERATOR: Final = "rhino-back-office"
_KEY: Final = "isolation-1"

Names = Mapping[str, str]
"""Values of path parameters, by their names in the documents."""


class Strangers(msgspec.Struct, frozen=True):
    """Credentials of one institution, and the names of another's things."""

    channel: Channel  # with its token
    operator: dict[str, str]  # headers
    theirs: Names
    nobodys: Names
    gateway: Api  # without a token

    async def register(self, key: str, *, withdraw: bool) -> str:
        """Have the other institution's member registered, or withdrawn; return the state it ends in.

        Raises:
            DemoError: it was refused.
        """
        api = self.gateway.with_headers({**self.channel.headers, "Idempotency-Key": key})
        wanted = {"party": _party(self.theirs["value"]), "withdraw": withdraw}
        begun = await api.post("/v1/party-registrations", wanted)
        deadline = time.monotonic() + FINAL_WAIT_S
        while True:
            told = await api.get(f"/v1/party-registrations/{begun['transactionId']}")
            if told["state"] != "PENDING" or time.monotonic() > deadline:
                return str(told["state"])
            await asyncio.sleep(POLL_S)


async def strangers(gateway: Api, tenants: Api) -> Strangers:
    """Give one institution credentials, and the other something to be asked for.

    Args:
        gateway: the gateway's interface.
        tenants: the tenants API with the installation's token.

    Raises:
        DemoError: something was refused.
    """
    operator = {
        "operatorId": _OPERATOR,
        "name": "Back office",
        "roles": ["operator"],
        "institution": STRANGER,
    }
    made = await tenants.post("/v1/operators", operator)
    return Strangers(
        channel=await _channel(gateway, tenants, STRANGER, _CLIENT),
        operator={"Authorization": f"Bearer {made['token']}"},
        theirs=await _theirs(gateway, tenants),
        nobodys=_nobodys(),
        gateway=gateway,
    )


async def _channel(gateway: Api, tenants: Api, tenant_id: str, client_id: str) -> Channel:
    channel = Channel(gateway, client_id)
    client = {"clientId": client_id, "name": "Isolation", "jwks": channel.public_keys(), "scopes": SCOPES}
    await tenants.post(f"/v1/tenants/{tenant_id}/clients", client)
    await channel.authenticate(SCOPES)
    return channel


async def _theirs(gateway: Api, tenants: Api) -> Names:
    """Return what the other institution has, one of each kind."""
    other = await _channel(gateway, tenants, OTHER, _OTHER_CLIENT)
    channel = gateway.with_headers({**other.headers, "Idempotency-Key": _KEY})

    async def begun(path: str, body: Mapping[str, Any]) -> str:
        return str((await channel.post(path, body))["transactionId"])

    member, partner = _party(story.msisdn(OTHER, 1)), _party(story.msisdn("lion", 1))
    (paid,) = await other.pay_all([payment(_KEY)], on_final=lambda: None)
    key = await tenants.post(f"/v1/tenants/{OTHER}/keys", {})
    waiting = await tenants.put(f"/v1/tenants/{OTHER}/limits", LIMITS)
    told = await tenants.put(f"/v1/tenants/{OTHER}/endpoints", {"endpoints": [ENDPOINT]})
    asked = {
        "payee": {"partyIdInfo": member},
        "payer": {"partyIdInfo": partner},
        "amount": {"amount": "1.00", "currency": story.CURRENCY},
    }
    bulk = {
        "payer": {"partyIdInfo": member},
        "payments": [{"payee": {"partyIdInfo": _party(NOBODYS_NUMBER)}, "amount": asked["amount"]}],
    }
    return {
        "tenant_id": OTHER,
        "payment_id": paid.transaction_id,
        "transaction_id": paid.transaction_id,
        "bulk_id": (await channel.post("/v1/bulk-payments", bulk))["bulkPaymentId"],
        "request_id": await begun("/v1/transaction-requests", asked),
        "lookup_id": await begun("/v1/account-lookups", {"party": member}),
        "party_lookup_id": await begun("/v1/party-lookups", {"party": partner}),
        "registration_id": await begun("/v1/party-registrations", {"party": member}),
        "correlation_id": _KEY,
        "key": _KEY,
        "approval_id": waiting["approvalId"],
        "key_id": key["keyId"],
        "endpoint_id": told["endpoints"][0]["endpointId"],
        "operator_id": "aggregator",
        **KINDS,
        "value": story.msisdn(OTHER, 1),
        "identifier": story.msisdn(OTHER, 1),
        "id_value": story.msisdn(OTHER, 1),
    }


def _nobodys() -> Names:
    """Return names as well formed as theirs, of what is not there."""
    nobody = uuid.UUID("7ebab0de-7eba-4eba-8eba-7ebab0de7eba")
    return {
        "tenant_id": "zebra",
        "payment_id": str(nobody),
        "transaction_id": str(nobody),
        "bulk_id": str(nobody),
        "request_id": str(nobody),
        "lookup_id": str(nobody),
        "party_lookup_id": str(nobody),
        "registration_id": str(nobody),
        "correlation_id": "isolation-0",
        "key": "isolation-0",
        "approval_id": nobody.hex,
        "key_id": nobody.hex,
        "endpoint_id": nobody.hex,
        "operator_id": "nobody",
        **KINDS,
        "value": NOBODYS_NUMBER,
        "identifier": NOBODYS_NUMBER,
        "id_value": NOBODYS_NUMBER,
    }


def _party(number: str) -> dict[str, str]:
    return {"partyIdType": "MSISDN", "partyIdentifier": number}


def payment(key: str) -> story.PlannedPayment:
    """Return a payment out of the account of one of the other institution's members."""
    return story.PlannedPayment(
        key=key,
        payer=story.msisdn(OTHER, 1),
        payee=story.msisdn("lion", 1),
        payee_fsp="lion",
        amount=Money.parse("1.00", story.CURRENCY),
    )
