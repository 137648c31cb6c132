"""How others are called in a tenant's name: bounded, with its TLS and OAuth2, and without redirects."""

import ssl
import time
from collections import OrderedDict
from http import HTTPStatus
from typing import Final, TypeVar
from urllib.parse import quote_plus, urlencode

import aiohttp
import msgspec
from yarl import URL

from payhub_platform.tls import client_context
from payhub_tenants.identifiers.errors import RegistrationError

CALL_TIMEOUT_S: Final = 5
CONNECT_TIMEOUT_S: Final = 2
ANSWER_BYTES_MAX: Final = 64 * 1024
CONNECTIONS_MAX: Final = 16
KEPT_MAX: Final = 200  # TLS contexts, and tokens
TOKEN_LIFE_S: Final = 60  # where the server does not say
EARLY_S: Final = 10  # a token is renewed before it ends

K = TypeVar("K")
V = TypeVar("V")


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """How a tenant is let in: TLS, and user and password or OAuth2 (RFC 6749 section 4.4)."""

    username: str = ""
    password: str = ""
    ca_pem: str = ""
    certificate_pem: str = ""
    private_key_pem: str = ""
    token_url: str = ""
    client_id: str = ""
    client_secret: str = ""
    scope: str = ""


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float = TOKEN_LIFE_S


class Calls:
    """One client for all tenants; connections are shared by TLS context, tokens by login."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self._contexts: OrderedDict[tuple[str, str, str], ssl.SSLContext] = OrderedDict()
        self._tokens: OrderedDict[Login, tuple[str, float]] = OrderedDict()

    async def send(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, whom: str, login: Login
    ) -> tuple[int, bytes]:
        """Call, and return status and body.

        Args:
            method: of the request.
            url: encoded already.
            headers: without Authorization.
            body: or None.
            whom: ``ams`` or ``scheme``, for the code of a failure.
            login: how one is let in.

        Raises:
            RegistrationError: there was no answer, or no token.
        """
        status, answer = await self._once(
            method, url, await self._with(headers, whom, login), body, whom, login
        )
        if status == HTTPStatus.UNAUTHORIZED and self._tokens.pop(login, None) is not None:
            # The token may have been taken back before its time; a new one is tried once.
            again = await self._with(headers, whom, login)
            status, answer = await self._once(method, url, again, body, whom, login)
        return status, answer

    async def _with(self, headers: dict[str, str], whom: str, login: Login) -> dict[str, str]:
        if login.token_url:
            return {**headers, "Authorization": f"Bearer {await self._token(whom, login)}"}
        if login.username:
            return {**headers, "Authorization": aiohttp.encode_basic_auth(login.username, login.password)}
        return headers

    async def _token(self, whom: str, login: Login) -> str:
        known = self._tokens.get(login)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        pair = (quote_plus(login.client_id), quote_plus(login.client_secret))  # RFC 6749 section 2.3.1
        headers = {
            "Authorization": aiohttp.encode_basic_auth(*pair),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        }
        form = {"grant_type": "client_credentials"} | ({"scope": login.scope} if login.scope else {})
        content = urlencode(form).encode()
        status, answer = await self._once("POST", login.token_url, headers, content, whom, login)
        if status != HTTPStatus.OK:
            raise RegistrationError(
                f"{whom}-unreachable", f"The authorization server gives no token (HTTP {status})."
            )
        try:
            token = msgspec.json.decode(answer, type=_Token)
        except msgspec.MsgspecError as error:
            raise RegistrationError(
                f"{whom}-unreachable", "The authorization server's answer holds no token."
            ) from error
        _keep(self._tokens, login, (token.access_token, time.monotonic() + token.expires_in - EARLY_S))
        return token.access_token

    async def _once(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, whom: str, login: Login
    ) -> tuple[int, bytes]:
        tls = self._tls(whom, login)
        try:
            # A redirect would carry credentials and signatures to somewhere nobody agreed to.
            async with self._http.request(
                method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False, ssl=tls
            ) as response:
                return response.status, await bounded(response)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # A ValueError is a token or a header that HTTP cannot carry.
            raise RegistrationError(f"{whom}-unreachable", f"No answer ({type(error).__name__}).") from error

    def _tls(self, whom: str, login: Login) -> ssl.SSLContext | bool:
        settings = (login.ca_pem, login.certificate_pem, login.private_key_pem)
        if not any(settings):
            return True  # the public authorities
        known = self._contexts.get(settings)
        if known is None:
            try:
                known = client_context(*settings)
            except (ssl.SSLError, ValueError) as error:
                text = "The TLS settings are not usable: certificate and key must fit, and be PEM."
                raise RegistrationError(f"{whom}-unreachable", text) from error
            _keep(self._contexts, settings, known)
        return known


def http_session() -> aiohttp.ClientSession:
    """Open the client: bounded in time and connections, without proxies or cookies."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def bounded(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer of a bounded size.

    Raises:
        aiohttp.ClientPayloadError: it is longer.
    """
    parts = bytearray()
    async for part in response.content.iter_any():
        parts += part
        if len(parts) > ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return bytes(parts)


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    if len(kept) > KEPT_MAX:
        kept.popitem(last=False)
