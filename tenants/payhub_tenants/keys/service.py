"""Rotates signing keys, and answers certificate requests of channels."""

from collections.abc import Callable

from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_platform.security import jws
from payhub_tenants.keys.errors import KeyInUseError, KeyNotFoundError, KeyOverError, TooManyCertificatesError
from payhub_tenants.keys.model import (
    AUTHORITY_DOCUMENT,
    CERTIFICATES_MAX,
    KEY_VALIDITY_MS,
    OVERLAP_MS,
    Authority,
    Certificate,
    CertificateView,
    KeyView,
    RequestCertificate,
    SigningKeyRow,
    issue,
    key_view,
    new_authority,
)
from payhub_tenants.store import Store, Transaction
from payhub_tenants.tenants.errors import TenantNotFoundError
from payhub_tenants.tenants.model import Tenant, changed, key_id_of
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

    async def prepare(self, tenant_id: str, actor: str) -> KeyView:
        """Make the next key, or return the one that was made: the scheme learns of it before it signs."""
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            await _locked(transaction, tenant_id)
            held = await transaction.keys.all(tenant_id)
            waiting = next((key for key in held if key.state == "next"), None)
            if waiting is None:
                waiting = await new_key(self._vault, tenant_id, jws.new_private_key_pem(), now, state="next")
                await transaction.keys.put(waiting)
                detail = {"keyId": waiting.key_id}
                await transaction.audit.append(tenant_id, now, actor, "key.prepared", detail)
        return key_view(waiting, now)

    async def activate(self, tenant_id: str, key_id: str, actor: str) -> list[KeyView]:
        """Sign with the next key from now on; the one before is to be accepted until its new expiry.

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
                    ends = min(current.expires_at_ms or now + OVERLAP_MS, now + OVERLAP_MS)
                    await transaction.keys.put(replace(current, state="previous", expires_at_ms=ends))
                await transaction.keys.put(replace(key, state="current"))
                signing = replace(
                    tenant,
                    key_id=key.key_id,
                    public_key_pem=key.public_key_pem,
                    private_key_sealed=key.private_key_sealed,
                )
                await transaction.tenants.save(changed(signing, now))
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
            await _locked(transaction, tenant_id)
            held = await transaction.keys.certificates(tenant_id)
            if len(held) >= CERTIFICATES_MAX:
                raise TooManyCertificatesError(CERTIFICATES_MAX)
            authority = await self._authority(transaction, tenant_id, now)
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
        return _certificate_view(certificate, authority.certificate_pem, now)

    async def certificates(self, tenant_id: str) -> list[CertificateView]:
        """Return a tenant's certificates, those that expire first in front."""
        async with self._store.transaction(tenant_id) as transaction:
            await _locked(transaction, tenant_id)
            authority = await transaction.documents.get(tenant_id, AUTHORITY_DOCUMENT, Authority)
            held = await transaction.keys.certificates(tenant_id)
        pem = authority.certificate_pem if authority is not None else ""
        return [_certificate_view(each, pem, self._clock()) for each in held]

    async def _authority(self, transaction: Transaction, tenant_id: str, now: int) -> Authority:
        known = await transaction.documents.get(tenant_id, AUTHORITY_DOCUMENT, Authority)
        if known is not None:
            return known
        certificate_pem, private_pem = new_authority(tenant_id, now)
        sealed = await self._vault.seal(tenant_id, private_pem, "authority")
        made = Authority(certificate_pem=certificate_pem, private_key_sealed=sealed)
        await transaction.documents.put(tenant_id, AUTHORITY_DOCUMENT, made, now)
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


async def delete_key(transaction: Transaction, tenant_id: str, key_id: str) -> None:
    """Forget a key that does not sign; two people have agreed by then.

    Raises:
        KeyNotFoundError: there is no such key.
        KeyInUseError: it signs messages now.
    """
    key = _of(await transaction.keys.all(tenant_id), key_id)
    if key.state == "current":
        raise KeyInUseError
    await transaction.keys.remove(tenant_id, key_id)


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
