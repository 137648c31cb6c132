"""What registration needs of a tenant's core bank and of the scheme, and how both are called over HTTP."""

from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import quote

import msgspec
from yarl import URL

from payhub_platform.clock import Clock
from payhub_platform.contracts.fspiop import ErrorResponse, ParticipantRegistration
from payhub_platform.contracts.tenant import AmsKind
from payhub_platform.security import jws
from payhub_tenants.calls import Calls, Login
from payhub_tenants.identifiers.errors import RegistrationError
from payhub_tenants.identifiers.model import PartyIdentifier

_PARTICIPANTS: Final = "application/vnd.interoperability.participants+json"


class AmsAccess(msgspec.Struct, frozen=True, kw_only=True):
    """A core bank with the credentials for it."""

    kind: AmsKind
    base_url: str
    platform_tenant: str
    login: Login


class SchemeAccess(msgspec.Struct, frozen=True, kw_only=True):
    """A switch, and who we are to it."""

    base_url: str
    fsp_id: str
    currency: str
    key: jws.PrivateKey
    login: Login


class AmsParties(Protocol):
    """A core bank's directory of party identifiers."""

    async def ensure(self, access: AmsAccess, identifier: PartyIdentifier) -> None:
        """Have the core bank know an identifier for its account; repeatable.

        Raises:
            RegistrationError: it does not, and why.
        """
        ...

    async def check(self, access: AmsAccess) -> None:
        """Ask for an identifier that nobody has.

        Raises:
            RegistrationError: the core bank does not answer as it should.
        """
        ...

    async def withdraw(
        self, access: AmsAccess, identifier: PartyIdentifier, *, of_any_account: bool = False
    ) -> None:
        """Have the core bank forget an identifier; repeatable.

        One that it knows for another account stays: it is not ours to take, unless it is ``of_any_account``.

        Raises:
            RegistrationError: it does not, and why.
        """
        ...


class SchemeParticipants(Protocol):
    """The scheme's directory of which FSP serves an identifier."""

    async def register(self, access: SchemeAccess, identifier: PartyIdentifier) -> None:
        """Have the scheme know which FSP serves an identifier; repeatable.

        Raises:
            RegistrationError: it refused, or could not be asked.
        """
        ...

    async def withdraw(self, access: SchemeAccess, identifier: PartyIdentifier) -> None:
        """Have the scheme forget that this FSP serves an identifier; repeatable.

        Raises:
            RegistrationError: it refused, or could not be asked.
        """
        ...

    async def check(self, access: SchemeAccess) -> None:
        """Ask for an identifier that nobody has.

        Raises:
            RegistrationError: the switch does not answer as one of FSPIOP.
        """
        ...


_NOBODY: Final = PartyIdentifier(
    tenant_id="", type="ALIAS", value="payhub-check", sub_id="", account_id="", state="pending", reason="",
    attempted_at_ms=0,
)  # fmt: skip


class _PartyAccount(msgspec.Struct):
    """Fineract's PartyAccount; other fields are ignored."""

    account_id: str = msgspec.field(name="accountId")


class FineractParties:
    """Fineract's interoperation API: GET and POST /interoperation/parties/{type}/{value}[/{subId}]."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def ensure(self, access: AmsAccess, identifier: PartyIdentifier) -> None:
        """Look first, because Fineract accepts a second account under one value and then answers 500."""
        account_id = await self._look_up(access, identifier)
        if account_id is None:
            refused = await self._create(access, identifier)
            account_id = await self._look_up(access, identifier) if refused else identifier.account_id
            if account_id is None:
                raise RegistrationError("ams-refused", f"The core bank answered HTTP {refused}.")
        if account_id != identifier.account_id:
            raise RegistrationError(
                "account-mismatch", "The core bank knows this identifier for another account."
            )

    async def check(self, access: AmsAccess) -> None:
        """Look up an alias that is nobody's; 404 means that address, credentials and API are right."""
        await self._look_up(access, _NOBODY)

    async def withdraw(
        self, access: AmsAccess, identifier: PartyIdentifier, *, of_any_account: bool = False
    ) -> None:
        """Look first whose it is, then DELETE; 404 means that it is gone."""
        account_id = await self._look_up(access, identifier)
        if account_id is None or (account_id != identifier.account_id and not of_any_account):
            return
        status, _ = await self._call("DELETE", access, identifier, None)
        if status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
            raise RegistrationError("ams-refused", f"The core bank answered HTTP {status}.")

    async def _look_up(self, access: AmsAccess, identifier: PartyIdentifier) -> str | None:
        status, body = await self._call("GET", access, identifier, None)
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status != HTTPStatus.OK:
            raise RegistrationError("ams-refused", f"The core bank answered HTTP {status}.")
        try:
            return msgspec.json.decode(body, type=_PartyAccount).account_id
        except msgspec.MsgspecError as error:
            raise RegistrationError("ams-refused", "The core bank's answer is not readable.") from error

    async def _create(self, access: AmsAccess, identifier: PartyIdentifier) -> int | None:
        body = msgspec.json.encode({"accountId": identifier.account_id})
        status, _ = await self._call("POST", access, identifier, body)
        # Repeated or raced, Fineract refuses; another look then tells whether it knows the identifier.
        return None if status == HTTPStatus.OK else status

    async def _call(
        self, method: str, access: AmsAccess, identifier: PartyIdentifier, body: bytes | None
    ) -> tuple[int, bytes]:
        url = f"{access.base_url}/interoperation/parties/{_path(identifier)}"
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Fineract-Platform-TenantId": access.platform_tenant,
        }
        status, answer = await self._calls.send(method, url, headers, body, "ams", access.login)
        if status == HTTPStatus.UNAUTHORIZED:
            raise RegistrationError("ams-credentials", "The core bank refuses the credentials.")
        return status, answer


class _Refused(msgspec.Struct):
    """A problem of the AMS contract; other fields are ignored."""

    code: str = ""


class ContractParties:
    """payhub's AMS contract: GET /accounts/by-identifier/{type}/{value}. The bank keeps its own directory.

    So nothing is registered or forgotten there: what the bank does not know cannot be registered at the
    scheme.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def ensure(self, access: AmsAccess, identifier: PartyIdentifier) -> None:
        """Look whose account the identifier reaches."""
        account_id = await self._look_up(access, identifier)
        if account_id is None:
            raise RegistrationError("ams-refused", "The core bank does not know this identifier.")
        if account_id != identifier.account_id:
            raise RegistrationError(
                "account-mismatch", "The core bank knows this identifier for another account."
            )

    async def check(self, access: AmsAccess) -> None:
        """Look up an alias that is nobody's; 404 of the contract means that all is right."""
        await self._look_up(access, _NOBODY)

    async def withdraw(
        self, access: AmsAccess, identifier: PartyIdentifier, *, of_any_account: bool = False
    ) -> None:
        """Leave the bank's directory as it is: it is the bank's own."""

    async def _look_up(self, access: AmsAccess, identifier: PartyIdentifier) -> str | None:
        segments = (identifier.type, identifier.value)
        url = "/".join(
            [access.base_url, "accounts", "by-identifier", *(quote(part, safe="") for part in segments)]
        )
        if identifier.sub_id:
            url += f"?subId={quote(identifier.sub_id, safe='')}"
        headers = {"Accept": "application/json"}
        status, body = await self._calls.send("GET", url, headers, None, "ams", access.login)
        if status == HTTPStatus.UNAUTHORIZED:
            raise RegistrationError("ams-credentials", "The core bank refuses the credentials.")
        try:
            if status == HTTPStatus.OK:
                return msgspec.json.decode(body, type=_PartyAccount).account_id
            if status == HTTPStatus.NOT_FOUND:
                code = msgspec.json.decode(body, type=_Refused).code
                if code == "unknown-identifier":
                    return None
        except msgspec.MsgspecError as error:
            raise RegistrationError("ams-refused", "The core bank's answer is not readable.") from error
        raise RegistrationError("ams-refused", f"The core bank answered HTTP {status}.")


class PartiesByKind:
    """Each core bank by what it speaks."""

    def __init__(self, calls: Calls) -> None:
        self._by_kind: dict[AmsKind, AmsParties] = {
            "fineract": FineractParties(calls),
            "contract": ContractParties(calls),
        }

    async def ensure(self, access: AmsAccess, identifier: PartyIdentifier) -> None:
        """See ``AmsParties``."""
        await self._by_kind[access.kind].ensure(access, identifier)

    async def check(self, access: AmsAccess) -> None:
        """See ``AmsParties``."""
        await self._by_kind[access.kind].check(access)

    async def withdraw(
        self, access: AmsAccess, identifier: PartyIdentifier, *, of_any_account: bool = False
    ) -> None:
        """See ``AmsParties``."""
        await self._by_kind[access.kind].withdraw(access, identifier, of_any_account=of_any_account)


class FspiopParticipants:
    """FSPIOP 1.1 section 6.2.2.2: POST /participants/{Type}/{ID}[/{SubId}], signed by the tenant."""

    def __init__(self, calls: Calls, clock: Clock) -> None:
        self._calls = calls
        self._clock = clock

    async def register(self, access: SchemeAccess, identifier: PartyIdentifier) -> None:
        """Send the registration; 202 means that the switch has taken it."""
        body = msgspec.json.encode(ParticipantRegistration(fsp_id=access.fsp_id, currency=access.currency))
        await self._ask("POST", access, identifier, body)

    async def withdraw(self, access: SchemeAccess, identifier: PartyIdentifier) -> None:
        """FSPIOP 1.1 section 6.2.2.4: DELETE /participants/{Type}/{ID}[/{SubId}]; 404 means it is gone."""
        await self._ask("DELETE", access, identifier, b"")

    async def check(self, access: SchemeAccess) -> None:
        """FSPIOP 1.1 section 6.2.2.1: GET /participants/{Type}/{ID} of nobody; the answer comes elsewhere.

        Also a refusal in FSPIOP's words is an answer: the institution may not be registered there yet.
        """
        url = f"{access.base_url}/participants/{_path(_NOBODY)}"
        status, answer = await self._calls.send(
            "GET", url, self._headers(access), None, "scheme", access.login
        )
        if status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED) and not _error_code(answer):
            raise RegistrationError("scheme-refused", f"The switch answered HTTP {status}.")

    def _headers(self, access: SchemeAccess) -> dict[str, str]:
        return {
            "Accept": f"{_PARTICIPANTS};version=1",
            "Content-Type": f"{_PARTICIPANTS};version=1.1",
            "Date": formatdate(self._clock() / 1000, usegmt=True),
            "FSPIOP-Source": access.fsp_id,
        }

    async def _ask(self, method: str, access: SchemeAccess, identifier: PartyIdentifier, body: bytes) -> None:
        url = f"{access.base_url}/participants/{_path(identifier)}"
        headers = self._headers(access)
        path = URL(url, encoded=True).raw_path
        if body:  # what has no body is not signed (Signature 1.1 section 3)
            headers.update(jws.sign(body, headers, path, method, access.key))
        status, answer = await self._calls.send(method, url, headers, body or None, "scheme", access.login)
        is_gone = method == "DELETE" and status == HTTPStatus.NOT_FOUND
        if not is_gone and status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
            raise RegistrationError(
                "scheme-refused", f"The switch answered HTTP {status}{_error_code(answer)}."
            )


def _path(identifier: PartyIdentifier) -> str:
    segments = [identifier.type, identifier.value, identifier.sub_id]
    return "/".join(quote(segment, safe="+@:") for segment in segments if segment)


def _error_code(answer: bytes) -> str:
    # Only the code is told: a description may quote the identifier.
    try:
        code = msgspec.json.decode(answer, type=ErrorResponse).error_information.error_code
    except msgspec.MsgspecError:
        return ""
    return f", error {code}" if code.isdecimal() else ""
