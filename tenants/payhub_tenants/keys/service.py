"""Rotates signing keys, and answers certificate requests of channels."""

from collections.abc import Callable

from msgspec import to_builtins
from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_platform.security import jws
from payhub_tenants.keys.errors import (
    KeyInUseError,
    KeyNotFoundError,
    KeyOverError,
    KeyWaitsError,
    TooManyCertificatesError,
)
from payhub_tenants.keys.model import (
    AUTHORITY_DOCUMENT,
    CERTIFICATES_MAX,
    KEY_VALIDITY_MS,
    ActivateKey,
    Authority,
    Certificate,
    CertificateView,
    KeyView,
    PrepareKey,
    RequestCertificate,
    SigningKeyRow,
    asked_for,
    earlier_keys,
    is_asked_for,
    issue,
    key_view,
    new_authority,
)
from payhub_tenants.keys.pem import key_id_of
from payhub_tenants.store import Store, Transaction
from payhub_tenants.tenants.errors import TenantNotFoundError
from payhub_tenants.tenants.model import Tenant, changed
from payhub_tenants.vault import Vault


class KeyService:
    """One key signs, the next one is made known beforehand, the one before is accepted for a while."""

    def __init__(self, store: Store, vault: Vault, clock: Clock, on_change: Callable[[], None]) -> None:
        self._store = store
        self._vault = vault
        self._clock = clock
        self._on_change = on_change

    async def all(self, tenant_id: str) -> list[KeyView]:
        """Return a tenant's keys, the oldest first."""
        async with self._store.transaction(tenant_id) as transaction:
            await _locked(transaction, tenant_id)
            return [key_view(key, self._clock()) for key in await transaction.keys.all(tenant_id)]

    async def prepare(self, tenant_id: str, request: PrepareKey, actor: str) -> KeyView:
        """Make or take the next key, or return it: the scheme learns of it before it signs.

        Raises:
            KeyWaitsError: another key is the next one.
            KeyOverError: the key signs now, or did before.
            InvalidInputError: see ``asked_for``.
        """
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            await _locked(transaction, tenant_id)
            held = await transaction.keys.all(tenant_id)
            waiting = next((key for key in held if key.state == "next"), None)
            if waiting is None:
                waiting = await new_key(self._vault, tenant_id, asked_for(request), now, state="next")
                if any(key.key_id == waiting.key_id for key in held):
                    raise KeyOverError
                await transaction.keys.put(waiting)
                detail = {"keyId": waiting.key_id}
                await transaction.audit.append(tenant_id, now, actor, "key.prepared", detail)
            elif not is_asked_for(waiting, request):
                raise KeyWaitsError
        return key_view(waiting, now)

    async def activate(self, tenant_id: str, key_id: str, request: ActivateKey, actor: str) -> list[KeyView]:
        """Sign with the next key from now on; the one before is believed until its new expiry.

        Raises:
            KeyNotFoundError: there is no such key.
            KeyOverError: it was replaced before, or has expired.
        """
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await _locked(transaction, tenant_id)
            held = await transaction.keys.all(tenant_id)
            key = _of(held, key_id)
            if key.state == "previous" or (key.expires_at_ms or now + 1) <= now:
                raise KeyOverError
            if key.state == "next":
                for current in (each for each in held if each.state == "current"):
                    ends = min(current.expires_at_ms or now + request.overlap_ms, now + request.overlap_ms)
                    await transaction.keys.put(replace(current, state="previous", expires_at_ms=ends))
                await transaction.keys.put(replace(key, state="current"))
                signing = replace(
                    tenant,
                    key_id=key.key_id,
                    public_key_pem=key.public_key_pem,
                    private_key_sealed=key.private_key_sealed,
                )
                await _publish_earlier(transaction, signing, now)
                await transaction.audit.append(tenant_id, now, actor, "key.activated", {"keyId": key_id})
            views = [key_view(each, now) for each in await transaction.keys.all(tenant_id)]
        self._on_change()
        return views

    async def request_certificate(
        self, tenant_id: str, request: RequestCertificate, actor: str
    ) -> CertificateView:
        """Answer a channel's request with a certificate of the institution's own authority.

        Raises:
            UnsuitableRequestError: see ``issue``.
            TooManyCertificatesError: the tenant has ``CERTIFICATES_MAX``.
        """
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await _locked(transaction, tenant_id)
            held = await transaction.keys.certificates(tenant_id)
            if len(held) >= CERTIFICATES_MAX:
                raise TooManyCertificatesError(CERTIFICATES_MAX)
            authority = await self._authority(transaction, tenant, now)
            private_pem = await self._vault.open(tenant_id, authority.private_key_sealed, "authority")
            serial, pem, ends = issue(request, tenant_id, authority.certificate_pem, private_pem, now)
            certificate = Certificate(
                tenant_id=tenant_id,
                serial=serial,
                subject=request.client_id,
                certificate_pem=pem,
                expires_at_ms=ends,
            )
            await transaction.keys.add_certificate(certificate)
            detail = {"serial": serial, "clientId": request.client_id, "expiresAtMs": ends}
            await transaction.audit.append(tenant_id, now, actor, "certificate.issued", detail)
        self._on_change()
        return _certificate_view(certificate, authority.certificate_pem, now)

    async def certificates(self, tenant_id: str) -> list[CertificateView]:
        """Return a tenant's certificates, those that expire first in front."""
        async with self._store.transaction(tenant_id) as transaction:
            await _locked(transaction, tenant_id)
            authority = await transaction.documents.get(tenant_id, AUTHORITY_DOCUMENT, Authority)
            held = await transaction.keys.certificates(tenant_id)
        pem = authority.certificate_pem if authority is not None else ""
        return [_certificate_view(each, pem, self._clock()) for each in held]

    async def _authority(self, transaction: Transaction, tenant: Tenant, now: int) -> Authority:
        """Return the institution's authority; one that is made now is published, and gateways trust it."""
        tenant_id = tenant.tenant_id
        known = await transaction.documents.get(tenant_id, AUTHORITY_DOCUMENT, Authority)
        if known is not None:
            return known
        certificate_pem, private_pem = new_authority(tenant_id, now)
        sealed = await self._vault.seal(tenant_id, private_pem, "authority")
        made = Authority(certificate_pem=certificate_pem, private_key_sealed=sealed)
        await transaction.documents.put(tenant_id, AUTHORITY_DOCUMENT, made, now)
        await transaction.tenants.save(changed(tenant, now))
        return made


async def new_key(
    vault: Vault, tenant_id: str, private_pem: str, now_ms: int, state: str = "current"
) -> SigningKeyRow:
    """Return a signing key whose private half is sealed under the tenant's key."""
    public_pem = jws.public_pem(private_pem)
    return SigningKeyRow(
        tenant_id=tenant_id,
        key_id=key_id_of(public_pem),
        state="next" if state == "next" else "current",
        public_key_pem=public_pem,
        private_key_sealed=await vault.seal(tenant_id, private_pem, "jws"),
        created_at_ms=now_ms,
        expires_at_ms=now_ms + KEY_VALIDITY_MS,
    )


async def delete_key(transaction: Transaction, tenant: Tenant, key_id: str, now_ms: int) -> None:
    """Forget a key that does not sign, and have peers believe it no longer; two people have agreed by then.

    Raises:
        KeyNotFoundError: there is no such key.
        KeyInUseError: it signs messages now.
    """
    key = _of(await transaction.keys.all(tenant.tenant_id), key_id)
    if key.state == "current":
        raise KeyInUseError
    await transaction.keys.remove(tenant.tenant_id, key_id)
    if key.state == "previous":
        await _publish_earlier(transaction, tenant, now_ms)


async def _publish_earlier(transaction: Transaction, tenant: Tenant, now_ms: int) -> None:
    """Keep a tenant's next version, with the previous keys that are believed from now on."""
    believed = earlier_keys(await transaction.keys.all(tenant.tenant_id), tenant.fsp_id, now_ms)
    await transaction.tenants.save(changed(replace(tenant, earlier_keys=to_builtins(believed)), now_ms))


def _of(held: list[SigningKeyRow], key_id: str) -> SigningKeyRow:
    for key in held:
        if key.key_id == key_id:
            return key
    raise KeyNotFoundError


async def _locked(transaction: Transaction, tenant_id: str) -> Tenant:
    tenant = await transaction.tenants.lock(tenant_id)
    if tenant is None:
        raise TenantNotFoundError
    return tenant


def _certificate_view(certificate: Certificate, authority_pem: str, now_ms: int) -> CertificateView:
    return CertificateView(
        serial=certificate.serial,
        subject=certificate.subject,
        certificate_pem=certificate.certificate_pem,
        authority_pem=authority_pem,
        expires_at_ms=certificate.expires_at_ms,
        expired=certificate.expires_at_ms <= now_ms,
    )
