"""The running bank: tenant and credentials, idempotency, faults, and then the books."""

import asyncio
import base64
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from payhub_platform.clock import Clock
from payhub_sandbox.bank.core import Bank, NewAccount
from payhub_sandbox.bank.faults import Faults
from payhub_sandbox.bank.idempotency import KEY_CHARACTERS_MAX, Answer, AnswerStore
from payhub_sandbox.bank.refusal import (
    BankRefusalError,
    filtered,
    integrity,
    invalid,
    parameter_error,
    server_error,
)
from payhub_sandbox.bank.requests import read_command, read_identifier, read_object
from payhub_sandbox.bank.times import timestamp
from payhub_sandbox.bank.transfers import ACTIONS, Action
from payhub_sandbox.seed import BankSeed

ENTITY_TRANSFER: Final = "INTERTRANSFER"
ENTITY_QUOTE: Final = "INTERQUOTE"
ENTITY_REQUEST: Final = "INTERREQUEST"
ENTITY_IDENTIFIER: Final = "INTERID"

_TOO_EARLY: Final = 425
_OK: Final = 200

Parts = tuple[str, str, str | None]
"""Type, value and sub value of a party identifier."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP call: headers by lower-case name."""

    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""


class Reply(msgspec.Struct, frozen=True):
    """An answer; ``from_cache`` sets Fineract's header x-served-from-cache."""

    status: int
    body: bytes
    from_cache: bool = False


class BankService:
    """One bank behind its API."""

    def __init__(self, seed: BankSeed, clock: Clock, *, quirks: bool = True) -> None:
        self.seed = seed
        self.bank = Bank(seed.currency, clock, quirks=quirks)
        self.faults = Faults()
        self._answers = AnswerStore()
        self._clock = clock
        credentials = f"{seed.username}:{seed.password}".encode()
        self._authorization = b"Basic " + base64.b64encode(credentials)
        for member in seed.members:
            self.bank.open_account(
                NewAccount(
                    account_id=member.account_id,
                    name=member.name,
                    balance=member.balance,
                    msisdn=member.msisdn,
                    sub_status=member.sub_status,
                )
            )

    async def enter(self, call: Call) -> None:
        """Check tenant, then credentials; then let the faults strike.

        Raises:
            BankRefusalError: 400 tenant, 401 credentials, 500 a fault.
        """
        tenant = call.headers.get("fineract-platform-tenantid", "").strip()
        tenant = tenant or call.query.get("tenantIdentifier", "")
        if tenant != self.seed.platform_tenant:
            raise filtered(400, "Bad Request", call.path, timestamp(self._clock()))
        sent = call.headers.get("authorization", "").encode()
        if not hmac.compare_digest(sent, self._authorization):
            raise filtered(401, "Unauthorized", call.path, timestamp(self._clock()))
        if self.faults.delay_ms:
            await asyncio.sleep(self.faults.delay_ms / 1000)
        if self.faults.take_failure():
            raise server_error()

    def transfer(self, call: Call) -> Reply:
        """POST /transfers."""
        action = _action(call.query.get("action"))
        values = read_object(call.body)

        def run() -> dict[str, Any]:
            return self.bank.transfer(action, read_command("transfer", values))

        return self._command(call, action, ENTITY_TRANSFER, run)

    def quote(self, call: Call) -> Reply:
        """POST /quotes."""
        values = read_object(call.body)

        def run() -> dict[str, Any]:
            return self.bank.create_quote(read_command("quote", values))

        return self._command(call, "CREATE", ENTITY_QUOTE, run)

    def request(self, call: Call) -> Reply:
        """POST /requests."""
        values = read_object(call.body)

        def run() -> dict[str, Any]:
            return self.bank.create_request(read_command("request", values))

        return self._command(call, "CREATE", ENTITY_REQUEST, run)

    def register(self, call: Call, parts: Parts) -> Reply:
        """POST /parties/..."""
        values = read_object(call.body)

        def run() -> dict[str, Any]:
            return self.bank.create_identifier(read_identifier(values), *parts)

        return self._command(call, "CREATE", ENTITY_IDENTIFIER, run)

    def unregister(self, call: Call, parts: Parts) -> Reply:
        """DELETE /parties/..."""

        def run() -> dict[str, Any]:
            return self.bank.delete_identifier(*parts)

        return self._command(call, "DELETE", ENTITY_IDENTIFIER, run)

    def _command(self, call: Call, action: str, entity: str, run: Callable[[], dict[str, Any]]) -> Reply:
        """Run a command once for each idempotency key; replays get the stored answer, errors too."""
        key = call.headers.get("idempotency-key", "")
        if len(key) > KEY_CHARACTERS_MAX:
            raise integrity("error.msg.data.integrity.issue", "Unknown data integrity issue.", "id")
        scope = (action, entity, key)
        stored = self._answers.find(scope) if key else None
        if stored is not None:
            if stored.finished:
                return Reply(stored.status, stored.body, from_cache=True)
            return Reply(_TOO_EARLY, call.body)
        crashed = False
        try:
            answer = Answer(_OK, msgspec.json.encode(run()))
            crashed = entity == ENTITY_TRANSFER and self.faults.take_crash()
        except BankRefusalError as refusal:
            answer = Answer(refusal.http_status, refusal.body)
        if key:
            self._answers.keep(scope, msgspec.structs.replace(answer, finished=not crashed))
        if crashed:
            raise server_error()
        return Reply(answer.status, answer.body)


def _action(text: str | None) -> Action:
    """Read the query parameter ``action``."""
    for action in ACTIONS:
        if text == action:
            return action
    if text is not None and text.upper() in ACTIONS:
        raise server_error()  # lower case passes Fineract's check and fails later
    rule = "cannot.be.blank" if not text else "is.not.one.of.expected.enumerations"
    code = f"validation.msg.InteropApi.action.{rule}"
    raise invalid([parameter_error(code, "The parameter action is not valid.", "action", text)])
