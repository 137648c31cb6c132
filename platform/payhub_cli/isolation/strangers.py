"""Whom the suite speaks for, and whose things it asks for: two institutions of a running installation."""

import uuid
from collections.abc import Mapping
from typing import Final

import msgspec

from payhub_cli.demo import story
from payhub_cli.demo.channel import Channel
from payhub_cli.demo.client import Api
from payhub_platform.money import Money

OTHER: Final = story.PAYER_FSP  # whose things are asked for
STRANGER: Final = "rhino"  # who asks
SCOPES: Final = ["payments:write", "payments:read"]
LIMITS: Final = {
    "perPaymentMinor": 1_000_000,
    "perDayMinor": 100_000_000,
    "perMemberDayMinor": 10_000_000,
    "velocity": {"payments": 100, "windowMs": 60_000},
}
_CLIENT: Final = "rhino-stranger"
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


async def strangers(gateway: Api, tenants: Api, other: Channel) -> Strangers:
    """Give one institution credentials, and the other something to be asked for.

    Args:
        gateway: the gateway's interface.
        tenants: the tenants API with the installation's token.
        other: a channel of the other institution, with its token.

    Raises:
        DemoError: something was refused.
    """
    channel = Channel(gateway, _CLIENT)
    client = {"clientId": _CLIENT, "name": "Stranger", "jwks": channel.public_keys(), "scopes": SCOPES}
    await tenants.post(f"/v1/tenants/{STRANGER}/clients", client)
    operator = {
        "operatorId": _OPERATOR,
        "name": "Back office",
        "roles": ["operator"],
        "institution": STRANGER,
    }
    made = await tenants.post("/v1/operators", operator)
    await channel.authenticate()
    return Strangers(
        channel=channel,
        operator={"Authorization": f"Bearer {made['token']}"},
        theirs=await _theirs(tenants, other),
        nobodys=_nobodys(),
    )


async def _theirs(tenants: Api, other: Channel) -> Names:
    """Return what the other institution has, one of each kind."""
    (paid,) = await other.pay_all([payment(_KEY)], on_final=lambda: None)
    key = await tenants.post(f"/v1/tenants/{OTHER}/keys", {})
    waiting = await tenants.put(f"/v1/tenants/{OTHER}/limits", LIMITS)
    return {
        "tenant_id": OTHER,
        "payment_id": paid.transaction_id,
        "correlation_id": _KEY,
        "approval_id": waiting["approvalId"],
        "key_id": key["keyId"],
        "operator_id": "aggregator",
        "type_": "MSISDN",
        "value": story.msisdn(OTHER, 1),
    }


def _nobodys() -> Names:
    """Return names as well formed as theirs, of what is not there."""
    nobody = uuid.UUID("7ebab0de-7eba-4eba-8eba-7ebab0de7eba")
    return {
        "tenant_id": "zebra",
        "payment_id": str(nobody),
        "correlation_id": "isolation-0",
        "approval_id": nobody.hex,
        "key_id": nobody.hex,
        "operator_id": "nobody",
        "type_": "MSISDN",
        "value": "254799000000",
    }


def payment(key: str) -> story.PlannedPayment:
    """Return a payment out of the account of one of the other institution's members."""
    return story.PlannedPayment(
        key=key,
        payer=story.msisdn(OTHER, 1),
        payee=story.msisdn("lion", 1),
        payee_fsp="lion",
        amount=Money.parse("1.00", story.CURRENCY),
    )
