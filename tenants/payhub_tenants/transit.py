"""Tenants' keys in the Transit engine of HashiCorp Vault or OpenBao, which never gives a key out.

One Transit key for each tenant. What a payhub that runs may do there, as a policy::

    path "transit/keys/payhub-*"         { capabilities = ["create", "read", "update", "delete"] }
    path "transit/encrypt/payhub-*"      { capabilities = ["update"] }  # no "create": it would make keys
    path "transit/decrypt/payhub-*"      { capabilities = ["update"] }
"""

import base64
import binascii
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from payhub_platform.errors import UnavailableError
from payhub_platform.security.secrets import SealError
from payhub_platform.tls import client_context
from payhub_tenants.calls import bounded
from payhub_tenants.vault import KeyDestroyedError

CALL_TIMEOUT_S: Final = 5.0
CONNECTIONS_MAX: Final = 16
PREFIX: Final = "vault:"  # how what Transit has wrapped begins
RETRY_AFTER_S: Final = 5
_KEY_TYPE: Final = "aes256-gcm96"
_BUSY: Final = (HTTPStatus.TOO_MANY_REQUESTS, 472, 473)  # a standby that does not serve


class KeyServiceUnavailableError(UnavailableError):
    """The key service does not answer, is sealed, or does not let payhub do it."""

    def __init__(self, detail: str) -> None:
        super().__init__("key-service-unavailable", detail, retry_after_s=RETRY_AFTER_S)


class _Answer(msgspec.Struct):
    data: dict[str, Any] | None = None
    errors: list[str] = []


class TransitKeyProvider:
    """Makes, uses and destroys keys over HTTP.

    A destroyed key leaves a mark, a key of its own whose name says so: a tenant's key must not come back
    as another key. The mark is made before the key is deleted.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        token_file: Path,
        mount: str = "transit",
        ca_pem: str = "",
    ) -> None:
        self._http = http
        self._url = f"{url.rstrip('/')}/v1/{mount.strip('/')}"
        self._token_file = token_file
        self._tls = client_context(ca_pem) if ca_pem else True

    async def create(self, tenant_id: str) -> None:
        """POST /keys/{name}; one that is there stays."""
        if await self._is_there(_mark(tenant_id)):
            raise KeyDestroyedError
        await self._make(_name(tenant_id))

    async def wrap(self, tenant_id: str, data_key: str) -> str:
        """POST /encrypt/{name}. Looked for first: Transit may make a key that is not there."""
        if await self._is_there(_mark(tenant_id)) or not await self._is_there(_name(tenant_id)):
            raise KeyDestroyedError
        plaintext = base64.b64encode(data_key.encode()).decode()
        status, answer = await self._call("POST", f"encrypt/{_name(tenant_id)}", {"plaintext": plaintext})
        wrapped = (answer.data or {}).get("ciphertext")
        if status != HTTPStatus.OK or not isinstance(wrapped, str) or not wrapped.startswith(PREFIX):
            raise _unexpected("encrypt", status)
        return wrapped

    async def unwrap(self, tenant_id: str, wrapped: str) -> str:
        """POST /decrypt/{name}; where it is refused, tell a destroyed key from another one's secret."""
        status, answer = await self._call("POST", f"decrypt/{_name(tenant_id)}", {"ciphertext": wrapped})
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
            if not await self._is_there(_name(tenant_id)):
                raise KeyDestroyedError
            raise SealError("sealed-secret", "The key service cannot open this data key.")
        try:
            plaintext = str((answer.data or {})["plaintext"])
            return base64.b64decode(plaintext, validate=True).decode()
        except (KeyError, binascii.Error, ValueError) as error:
            raise _unexpected("decrypt", status) from error

    async def destroy(self, tenant_id: str) -> None:
        """Make the mark, allow the deletion, DELETE, and look whether the key is gone."""
        name = _name(tenant_id)
        await self._make(_mark(tenant_id))
        if not await self._is_there(name):
            return
        status, _ = await self._call("POST", f"keys/{name}/config", {"deletion_allowed": True})
        if status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
            raise _unexpected("config", status)
        status, _ = await self._call("DELETE", f"keys/{name}")
        if status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
            raise _unexpected("delete", status)
        if await self._is_there(name):
            raise KeyServiceUnavailableError("The key service has not deleted the key yet.")

    async def _make(self, name: str) -> None:
        status, _ = await self._call("POST", f"keys/{name}", {"type": _KEY_TYPE, "exportable": False})
        if status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
            raise _unexpected("keys", status)

    async def _is_there(self, name: str) -> bool:
        """Tell whether a key is there; a 404 with a reason is about the address, and says nothing of keys."""
        status, answer = await self._call("GET", f"keys/{name}")
        if status == HTTPStatus.NOT_FOUND and not answer.errors:
            return False
        if status != HTTPStatus.OK:
            raise _unexpected("keys", status)
        return True

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, _Answer]:
        try:
            # Read each time, as it is renewed by others. A redirect would carry it elsewhere.
            headers = {"X-Vault-Token": self._token_file.read_text(encoding="ascii").strip()}
            async with self._http.request(
                method,
                f"{self._url}/{path}",
                data=None if body is None else msgspec.json.encode(body),
                headers=headers,
                allow_redirects=False,
                ssl=self._tls,
            ) as response:
                content = await bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise KeyServiceUnavailableError(
                f"The key service does not answer ({type(error).__name__})."
            ) from error
        if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise KeyServiceUnavailableError("The key service does not let payhub do it: check its token.")
        if response.status in _BUSY or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise KeyServiceUnavailableError(f"The key service answers HTTP {response.status}.")
        try:
            return response.status, msgspec.json.decode(content, type=_Answer) if content else _Answer()
        except msgspec.MsgspecError as error:
            raise _unexpected(path.partition("/")[0], response.status) from error


def transit_session() -> aiohttp.ClientSession:
    """Open the client: bounded in time and connections, without proxies or cookies."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S),
        connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def _name(tenant_id: str) -> str:
    return f"payhub-{tenant_id}"


def _mark(tenant_id: str) -> str:
    return f"payhub-{tenant_id}.destroyed"


def _unexpected(what: str, status: int) -> KeyServiceUnavailableError:
    return KeyServiceUnavailableError(
        f"The key service answers {what} with HTTP {status}, which is not expected."
    )
