"""The running bank: tenant and credentials, idempotency, faults and forced cases, and then the books."""

import base64
import hmac
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

from payhub_platform.clock import Clock
from payhub_sandbox.bank.cases import (
    LATE_MS,
    SLOW_MS,
    Behaviour,
    Operation,
    case_of_amount,
    case_of_identifier,
)
from payhub_sandbox.bank.core import Bank, NewAccount, NewLoan
from payhub_sandbox.bank.faults import Faults
from payhub_sandbox.bank.idempotency import KEY_CHARACTERS_MAX, Answer, AnswerStore
from payhub_sandbox.bank.patience import Patience
from payhub_sandbox.bank.refusal import (
    BankRefusalError,
    filtered,
    gateway_down,
    integrity,
    invalid,
    no_such_path,
    parameter_error,
    server_error,
    unauthenticated,
)
from payhub_sandbox.bank.requests import amount_of, read_command, read_identifier, read_object
from payhub_sandbox.bank.times import timestamp
from payhub_sandbox.bank.tokens import Tokens
from payhub_sandbox.bank.transfers import ACTIONS, Action
from payhub_sandbox.seed import BankSeed

ENTITY_TRANSFER: Final = "INTERTRANSFER"
ENTITY_QUOTE: Final = "INTERQUOTE"
ENTITY_REQUEST: Final = "INTERREQUEST"
ENTITY_IDENTIFIER: Final = "INTERID"
ENTITY_LOAN: Final = "LOAN"

_MOVES_MONEY: Final = frozenset({ENTITY_TRANSFER, ENTITY_LOAN})
_DELAYS_MS: Final[dict[Behaviour | None, int]] = {"slow": SLOW_MS, "late": LATE_MS}
_TOO_EARLY: Final = 425
_OK: Final = 200

FineractVersion = Literal["1.8", "current"]
"""1.8 knows no Idempotency-Key, loan repayments or savings account by external id; current is 1.9 and on."""
Parts = tuple[str, str, str | None]
"""Type, value and sub value of a party identifier."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP call: headers by lower-case name."""

    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes = b""


class Reply(msgspec.Struct, frozen=True):
    """An answer; ``from_cache`` sets Fineract's header x-served-from-cache, ``delay_ms`` holds it back."""

    status: int
    body: bytes
    from_cache: bool = False
    delay_ms: int = 0


class BankService:
    """One bank behind its API."""

    def __init__(
        self,
        seed: BankSeed,
        clock: Clock,
        *,
        quirks: bool = True,
        version: FineractVersion = "current",
        forced_cases: bool = False,
    ) -> None:
        self.seed = seed
        self.bank = Bank(seed.currency, clock, quirks=quirks)
        self.tokens = Tokens(seed.username, seed.password, clock)
        self.version: FineractVersion = version
        self.quirks = quirks
        self._forced_cases = forced_cases
        self.faults = Faults()
        self.patience = Patience()
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
        for business in seed.businesses:
            self.bank.open_account(
                NewAccount(
                    account_id=business.account_id,
                    name=business.name,
                    balance=business.balance,
                    withdrawal_fee=business.withdrawal_fee,
                    withdrawal_fee_for_transfers=business.fee_is_quoted,
                )
            )
            self.bank.create_identifier(business.account_id, "BUSINESS", business.business_id, business.till)
        for loan in seed.loans:
            self.bank.open_loan(NewLoan(account_no=loan.account_no, name=loan.name, principal=loan.principal))

    def require_current(self) -> None:
        """Answer 404 to what came with Fineract 1.9.

        Raises:
            BankRefusalError: 404 without Fineract's envelope.
        """
        if self.version != "current":
            raise no_such_path()

    async def enter(self, call: Call) -> None:
        """Check tenant, then credentials; then let the faults strike.

        Raises:
            BankRefusalError: 400 tenant, 401 credentials, 500 a fault.
        """
        tenant = call.headers.get("fineract-platform-tenantid", "").strip()
        tenant = tenant or call.query.get("tenantIdentifier", "")
        if tenant != self.seed.platform_tenant:
            raise filtered(400, "Bad Request", call.path, timestamp(self._clock()))
        self._check_credentials(call)
        await self.patience.hold(self.faults.delay_ms)
        if self.faults.take_failure():
            raise server_error()

    def read(self, operation: Operation, identifier: str, read: Callable[[], dict[str, Any]]) -> Reply:
        """GET of an account or a party, as a forced case wants it."""
        case = case_of_identifier(operation, identifier) if self._forced_cases else None
        _refuse_forced(case)
        body = read()
        if case == "disagrees":
            body = body | {"accountId": "NOT-" + str(body.get("accountId", "")), "currency": "XTS"}
        return Reply(_OK, msgspec.json.encode(body), delay_ms=_DELAYS_MS.get(case, 0))

    def transfer(self, call: Call) -> Reply:
        """POST /transfers."""
        action = _action(call.query.get("action"))
        values = read_object(call.body)

        def run() -> dict[str, Any]:
            return self.bank.transfer(action, read_command("transfer", values))

        return self._forced(call, action, values, action, ENTITY_TRANSFER, run)

    def quote(self, call: Call) -> Reply:
        """POST /quotes."""
        values = read_object(call.body)

        def run() -> dict[str, Any]:
            return self.bank.create_quote(read_command("quote", values))

        return self._forced(call, "quote", values, "CREATE", ENTITY_QUOTE, run)

    def request(self, call: Call) -> Reply:
        """POST /requests."""
        values = read_object(call.body)

        def run() -> dict[str, Any]:
            return self.bank.create_request(read_command("request", values))

        return self._command(call, "CREATE", ENTITY_REQUEST, run)

    def repay(self, call: Call, account_no: str) -> Reply:
        """POST /transactions/{loanAccountNo}/loanrepayment."""
        values = read_object(call.body)

        def run() -> dict[str, Any]:
            return self.bank.loans.repay(account_no, values)

        return self._forced(call, "loanrepayment", values, "REPAYMENT", ENTITY_LOAN, run)

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

    def _check_credentials(self, call: Call) -> None:
        sent = call.headers.get("authorization", "")
        if sent.startswith("Bearer "):
            if not self.tokens.accepts(sent):
                raise unauthenticated()
        elif not hmac.compare_digest(sent.encode(), self._authorization):
            raise filtered(401, "Unauthorized", call.path, timestamp(self._clock()))

    def _forced(
        self,
        call: Call,
        operation: Operation,
        values: Mapping[str, Any],
        action: str,
        entity: str,
        run: Callable[[], dict[str, Any]],
    ) -> Reply:
        """Run a command as a forced case wants it."""
        case = case_of_amount(operation, amount_of(values)) if self._forced_cases else None
        _refuse_forced(case)
        if case == "twice":
            # The proxy repeats what it got no answer to: without Idempotency-Key the bank sees it anew.
            bare = msgspec.structs.replace(call, headers={})
            self._command(bare, action, entity, run)
            return self._command(bare, action, entity, run)
        reply = self._command(call, action, entity, run, crash=case == "crash")
        if case == "disagrees" and reply.status == _OK:
            reply = msgspec.structs.replace(reply, body=_disagreeing(reply.body))
        return msgspec.structs.replace(reply, delay_ms=_DELAYS_MS.get(case, 0))

    def _command(
        self, call: Call, action: str, entity: str, run: Callable[[], dict[str, Any]], *, crash: bool = False
    ) -> Reply:
        """Run a command once for each idempotency key; replays get the stored answer, errors too."""
        key = self._idempotency_key(call)
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
            crashed = crash or (entity in _MOVES_MONEY and self.faults.take_crash())
        except BankRefusalError as refusal:
            answer = Answer(refusal.http_status, refusal.body)
        if key:
            self._answers.keep(scope, msgspec.structs.replace(answer, finished=not crashed))
        if crashed:
            raise server_error()
        return Reply(answer.status, answer.body)

    def _idempotency_key(self, call: Call) -> str:
        """Return the key that counts: 1.8 knows none, and the OAuth2 configuration installs no filter."""
        bearer = call.headers.get("authorization", "").startswith("Bearer ")
        if self.version == "1.8" or (bearer and self.quirks):
            return ""
        return call.headers.get("idempotency-key", "")


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


def _refuse_forced(case: Behaviour | None) -> None:
    if case == "down":
        raise gateway_down()
    if case == "error":
        raise server_error()


def _disagreeing(body: bytes) -> bytes:
    """Return an answer that names another code and another currency than was sent."""
    answer = msgspec.json.decode(body, type=dict[str, Any])
    for name in ("transferCode", "quoteCode", "transactionCode", "loanId"):
        if name in answer:
            answer[name] = f"other-{answer[name]}"
    if isinstance(answer.get("fspFee"), dict):
        answer["fspFee"]["currency"] = "XTS"
    return msgspec.json.encode(answer)
