"""What the connectors' tests share: a time, a payment, tenants with keys, and jobs."""

from typing import Any
from uuid import UUID

from payhub_engines.connectors.job import Job
from payhub_platform.contracts.tenant import AmsConnection, SchemeConnection, SigningKey, TenantConfig
from payhub_platform.security import jws
from payhub_platform.security.secrets import SecretBox

NOW_MS = 1_760_000_000_000
PAYMENT = "4e35e8a4-7d4d-5d3b-9a55-0f6f3f1a2b3c"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


def make_tenant(secrets: SecretBox, fsp: str, key_pem: str) -> TenantConfig:
    return TenantConfig(
        tenant_id=fsp,
        fsp_id=fsp,
        name=fsp.title(),
        currency="KES",
        status="active",
        version=1,
        epoch=1,
        placement=["north"],
        scheme=SchemeConnection(
            base_url="http://switch.test/switch", switch_fsp_id="switch", switch_public_key_pem=""
        ),
        ams=AmsConnection(
            base_url=f"http://{fsp}.test/fineract-provider/api/v1",
            platform_tenant=fsp,
            username="payhub",
            password_sealed=secrets.seal("secret-of-the-bank", f"ams:{fsp}"),
        ),
        signing_key=SigningKey(
            key_id="1",
            public_key_pem=jws.public_pem(key_pem),
            private_key_sealed=secrets.seal(key_pem, f"jws:{fsp}"),
        ),
        clients=[],
    )


def job(kind: str, variables: dict[str, Any], tenant: str = "buffalo", attempt: int = 1) -> Job:
    return Job(
        key=1,
        type=kind,
        tenant=tenant,
        process="p",
        instance=1,
        payment=PAYMENT,
        element="e",
        variables=variables,
        headers={},
        attempt=attempt,
        trace=TRACE,
    )


def with_transfer_id(prepared: dict[str, Any], number: int) -> dict[str, Any]:
    """Return the variables of a payee's process with another transfer id."""
    transfer_id = str(UUID(int=number, version=4))
    transfer = {**prepared["transfer"], "transferId": transfer_id}
    return {**prepared, "transferId": transfer_id, "transfer": transfer}
