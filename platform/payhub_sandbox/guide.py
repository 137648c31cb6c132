"""All that somebody needs to connect to the sandbox, in one document."""

from typing import Any

from payhub_sandbox.seed import BANKS
from payhub_sandbox.switch.voice import SWITCH_FSP_ID


def guide(base_url: str, switch_public_key_pem: str) -> dict[str, Any]:
    """Return the document of ``GET /sandbox``.

    Args:
        base_url: how the sandbox is reached, without a trailing slash.
        switch_public_key_pem: the key that verifies what the switch itself sends.
    """
    return {
        "switch": {
            "fspId": SWITCH_FSP_ID,
            "baseUrl": f"{base_url}/switch",
            "publicKeyPem": switch_public_key_pem,
        },
        "banks": [
            {
                "fspId": bank.fsp_id,
                "amsBaseUrl": f"{base_url}/banks/{bank.fsp_id}/fineract-provider/api/v1",
                "platformTenant": bank.platform_tenant,
                "username": bank.username,
                "password": bank.password,
                "currency": bank.currency,
                "members": [
                    {"accountId": member.account_id, "msisdn": member.msisdn, "name": member.name}
                    for member in bank.members
                ],
            }
            for bank in BANKS
        ],
    }
