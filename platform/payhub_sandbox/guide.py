"""All that somebody needs to connect to the sandbox, in one document."""

from typing import Any

import msgspec

from payhub_sandbox.bank import cases as bank_cases
from payhub_sandbox.bank.service import BankService
from payhub_sandbox.residents.house import Residents
from payhub_sandbox.seed import BANKS, BankSeed
from payhub_sandbox.switch import forced, rates
from payhub_sandbox.switch.service import SwitchService
from payhub_sandbox.switch.versions import VERSIONS
from payhub_sandbox.switch.voice import SWITCH_FSP_ID


def guide(
    base_url: str,
    switch: SwitchService,
    banks: dict[str, BankService],
    residents: Residents | None,
) -> dict[str, Any]:
    """Return the document of ``GET /sandbox`` and of ``payhub sandbox --json``.

    Args:
        base_url: how the sandbox is reached, without a trailing slash.
        switch: the running switch.
        banks: by FSP id.
        residents: the DFSPs of the sandbox's own, where there are any.
    """
    document: dict[str, Any] = {
        "guideUrl": f"{base_url}/",
        "switch": {
            "fspId": SWITCH_FSP_ID,
            "baseUrl": f"{base_url}/switch",
            "adminUrl": f"{base_url}/switch/admin",
            "publicKeyPem": switch.hub.context.voice.public_key_pem,
            "versions": list(VERSIONS),
        },
        "banks": [_bank(base_url, seed, banks[seed.fsp_id]) for seed in BANKS],
    }
    if residents is not None:
        document["counterparties"] = _counterparties(base_url, residents)
    if switch.hub.context.forced.enabled:
        document["forcedCases"] = msgspec.to_builtins(forced.TABLE)
        document["bankForcedCases"] = msgspec.to_builtins(bank_cases.TABLE)
    return document


def _bank(base_url: str, bank: BankSeed, service: BankService) -> dict[str, Any]:
    return {
        "fspId": bank.fsp_id,
        "amsBaseUrl": f"{base_url}/banks/{bank.fsp_id}/fineract-provider/api/v1",
        "tokenUrl": f"{base_url}/banks/{bank.fsp_id}/oauth2/token",
        "adminUrl": f"{base_url}/banks/{bank.fsp_id}/admin",
        "fineract": service.version,
        "platformTenant": bank.platform_tenant,
        "username": bank.username,
        "password": bank.password,
        "currency": bank.currency,
        "members": [
            {"accountId": member.account_id, "msisdn": member.msisdn, "name": member.name}
            for member in bank.members
        ],
        "businesses": [
            {"accountId": one.account_id, "businessId": one.business_id, "till": one.till, "name": one.name}
            for one in bank.businesses
        ],
        "loans": [{"accountNo": one.account_no, "name": one.name} for one in bank.loans],
    }


def _counterparties(base_url: str, residents: Residents) -> list[dict[str, Any]]:
    dfsp, provider = residents.dfsp, residents.provider
    return [
        {
            "fspId": dfsp.fsp_id,
            "role": "DFSP",
            "adminUrl": f"{base_url}/{dfsp.fsp_id}/admin",
            "publicKeyPem": dfsp.speaker.public_key_pem,
            "parties": [{"party": one.key, "name": one.name} for one in dfsp.members.values()],
        },
        {
            "fspId": provider.fsp_id,
            "role": "FXP",
            "publicKeyPem": provider.speaker.public_key_pem,
            "rates": [
                {"source": source, "target": target, "rate": str(rate)}
                for (source, target), rate in rates.RATES.items()
            ],
        },
    ]
