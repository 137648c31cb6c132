"""``python -m payhub_tenants.proof TENANT`` tries to read every secret of a tenant, and says what it could.

The answer is JSON. It runs with the settings of the service, on its database or on a restored backup of
it. It exits 0 where nothing can be read, 1 where something can, and 2 where it could not try.
"""

import asyncio
import sys
from typing import Any, Final

import msgspec

from payhub_platform.errors import PayhubError
from payhub_platform.security.secrets import SecretBox
from payhub_platform.settings import load
from payhub_tenants.database import Database
from payhub_tenants.endpoints.model import ENDPOINTS_DOCUMENT, SECRET_PURPOSE
from payhub_tenants.key_providers import key_provider
from payhub_tenants.settings import Settings
from payhub_tenants.store import Store
from payhub_tenants.tenants.login import sealed_secrets
from payhub_tenants.vault import Vault

_DOCUMENTS: Final = (
    ("authority", "private_key_sealed", "authority"),
    ("identifier-file", "content_sealed", "identifier-file"),
    ("certification", "member_sealed", "certification"),
    ("identifier-key", "key_sealed", "identifiers"),  # opens all party identifiers
)


class Proof(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was tried, and what could still be read."""

    tenant_id: str
    tried: int
    readable: list[str]


async def prove(store: Store, vault: Vault, tenant_id: str) -> Proof:
    """Try every sealed secret of a tenant."""
    async with store.transaction(tenant_id) as transaction:
        tenant = await transaction.tenants.get(tenant_id)
        keys = await transaction.keys.all(tenant_id)
        documents: dict[str, Any] = await transaction.documents.all(tenant_id)
    sealed = [(f"key {key.key_id}", key.private_key_sealed, "jws") for key in keys]
    if tenant is not None:
        sealed += [("core bank", tenant.ams_password_sealed, "ams")]
        sealed += [("signing key", tenant.private_key_sealed, "jws")]
        sealed += [("ILP secret", each, "ilp") for each in tenant.ilp_secrets_sealed]
        for side, settings in (("scheme", tenant.scheme_settings), ("ams", tenant.ams_settings)):
            tls_key, secret = sealed_secrets(settings)
            sealed += [(f"{side} TLS", tls_key, f"{side}-tls"), (f"{side} OAuth2", secret, f"{side}-oauth")]
    for kind, field, purpose in _DOCUMENTS:
        sealed.append((kind, documents.get(kind, {}).get(field, ""), purpose))
    for endpoint in documents.get(ENDPOINTS_DOCUMENT, {}).get("endpoints", []):
        secrets = endpoint.get("secrets", [])
        sealed += [("webhook secret", each["secret_sealed"], SECRET_PURPOSE) for each in secrets]
    tried = [each for each in sealed if each[1]]
    readable = [name for name, text, purpose in tried if await vault.is_readable(tenant_id, text, purpose)]
    return Proof(tenant_id=tenant_id, tried=len(tried), readable=readable)


async def _run(settings: Settings, tenant_id: str) -> Proof:
    installation = SecretBox(settings.secrets_key)
    database = Database(settings.database_url)
    try:
        await database.is_current()
        async with key_provider(settings, installation) as keys:
            return await prove(database, Vault(keys, installation), tenant_id)
    finally:
        await database.close()


def main() -> None:
    """Prove that a tenant's secrets can no longer be read."""
    try:
        [tenant_id] = sys.argv[1:]
        proof = asyncio.run(_run(load(Settings), tenant_id))
    except (PayhubError, ValueError) as error:
        sys.stderr.write(f"payhub_tenants.proof: {error}\n")
        sys.exit(2)
    sys.stdout.write(msgspec.json.encode(proof).decode() + "\n")
    sys.exit(1 if proof.readable else 0)


if __name__ == "__main__":
    main()
