"""Core banks that speak payhub's own AMS contract: ams-contract.yaml beside this file, docs/ams.md."""

from typing import Any, Final

from payhub_engines.connectors.ams import decoding, refusals
from payhub_engines.connectors.ams.contract_api import (
    REFERENCE_UNKNOWN,
    AccountBody,
    ContractApi,
    ContractRefusalError,
    CreditBody,
    FeeBody,
    FoundAccountBody,
    MoneyBody,
    RepaymentBody,
    ReservationBody,
    money_body,
    reason,
)
from payhub_engines.connectors.ams.errors import (
    PEOPLE_RETRY_MS,
    RETRY_AFTER_MS,
    AmsRefusalError,
    DisagreementError,
    refused_booking,
)
from payhub_engines.connectors.ams.model import (
    Account,
    BankCall,
    Identifier,
    LoanRepayment,
    Role,
    TransferOrder,
)
from payhub_engines.connectors.ams.transport import BankRequest, BankTransport
from payhub_engines.connectors.job import JobFailedError
from payhub_platform.contracts.fspiop import PartyIdInfo
from payhub_platform.money import Money

_RESERVATIONS: Final = "reservations"
_CREDITS: Final = "credits"
_REPAYMENTS: Final = "loan-repayments"


class ContractBank:
    """Calls in the name of a job's tenant; one object for each engine process.

    Everything that moves money is named by a reference and idempotent by it, so that sending it again is
    safe; after a failure the reference is asked for first all the same.
    """

    def __init__(self, transport: BankTransport) -> None:
        self._api = ContractApi(transport)

    async def account_of(self, call: BankCall, party: PartyIdInfo, role: Role) -> str:
        """Return an identifier's account: GET /accounts/by-identifier/{type}/{value}."""
        sub_id = party.party_sub_id_or_type
        request = BankRequest(
            method="GET",
            path=("accounts", "by-identifier", party.party_id_type, party.party_identifier),
            name="GET accounts by-identifier",
            query={"subId": sub_id} if sub_id else {},
        )
        told = await self._asked(call, request, role, FoundAccountBody)
        return decoding.account_id(told.account_id, request.name)

    async def account(self, call: BankCall, account: str, role: Role) -> Account:
        """Return an account's state: GET /accounts/{id}."""
        told = await self._account(call, account, role)
        return Account(
            account_id=account,
            currency=told.currency,
            status=told.status,
            may_pay=told.may_pay,
            may_receive=told.may_receive,
            balance=told.balance.money("GET accounts", told.currency) if told.balance else None,
            available=told.available.money("GET accounts", told.currency) if told.available else None,
        )

    async def identifiers(self, call: BankCall, account: str) -> list[Identifier]:
        """Return by what an account is reached."""
        told = await self._account(call, account, "PAYEE")
        return [Identifier(kind=one.type, value=one.value, sub_id=one.sub_id) for one in told.identifiers]

    async def fee(self, call: BankCall, account: str, role: Role, amount: Money, quote_id: str) -> Money:
        """Return what the bank takes: GET /accounts/{id}/fee."""
        del quote_id  # the contract keeps no quotes
        request = BankRequest(
            method="GET",
            path=("accounts", account, "fee"),
            name="GET fee",
            query={"side": role, "amount": amount.decimal_text(), "currency": amount.currency},
        )
        told = (await self._asked(call, request, role, FeeBody)).fee
        fee = told.money(request.name, amount.currency)
        if fee.minor < 0:
            raise DisagreementError("GET fee: the bank tells a negative fee", PEOPLE_RETRY_MS)
        return fee

    async def reserve(self, call: BankCall, order: TransferOrder) -> None:
        """Hold amount and fee: PUT /reservations/{reference}.

        What was released is never held again under its reference. So a reservation is released before a
        payment is refused, and an earlier request that arrives late finds the reference used up.
        """
        done = await self._known(call, (_RESERVATIONS, order.reference), ReservationBody)
        try:
            if done is None:
                request = self._put(_RESERVATIONS, order.reference, _reservation(order))
                done = decoding.decode(await self._api.send(call, request), ReservationBody, request.name)
        except ContractRefusalError as error:
            await self.release(call, order)
            raise AmsRefusalError(reason(error, "PAYER")) from error
        if done.state == "COMMITTED":
            raise JobFailedError("PUT reservations: the bank has taken the money already", PEOPLE_RETRY_MS)
        if done.state != "HELD" or not _is_for(done, order):
            await self.release(call, order)
            raise AmsRefusalError(refusals.unsettled())

    async def commit(self, call: BankCall, order: TransferOrder) -> None:
        """Take what is held: POST /reservations/{reference}/commit."""
        known = await self._known(call, (_RESERVATIONS, order.reference), ReservationBody)
        if known is None or known.state == "HELD":
            request = self._act(order, "commit")
            try:
                known = decoding.decode(await self._api.send(call, request), ReservationBody, request.name)
            except ContractRefusalError as error:
                raise refused_booking(reason(error, "PAYER"), call.attempt) from error
        if known.state != "COMMITTED" or not _is_for(known, order):
            raise DisagreementError("commit: the bank has committed something else", PEOPLE_RETRY_MS)

    async def release(self, call: BankCall, order: TransferOrder) -> None:
        """Let go of what is held: POST /reservations/{reference}/release."""
        request = self._act(order, "release")
        try:
            done = decoding.decode(await self._api.send(call, request), ReservationBody, request.name)
        except ContractRefusalError as error:
            raise JobFailedError(f"release: refused: {error.code}", PEOPLE_RETRY_MS) from error
        if done.state != "RELEASED" or done.reference != order.reference:
            raise DisagreementError("release: the bank has not released it", RETRY_AFTER_MS)

    async def credit(self, call: BankCall, order: TransferOrder) -> None:
        """Pay the amount into the account: PUT /credits/{reference}."""
        done = await self._known(call, (_CREDITS, order.reference), CreditBody)
        if done is None:
            body = {
                "transactionId": order.transaction_id,
                "accountId": order.account,
                "amount": money_body(order.amount),
            }
            request = self._put(_CREDITS, order.reference, body)
            try:
                done = decoding.decode(await self._api.send(call, request), CreditBody, request.name)
            except ContractRefusalError as error:
                raise refused_booking(reason(error, "PAYEE"), call.attempt) from error
        same = done.account_id == order.account and _same(done.amount, order.amount)
        if done.reference != order.reference or not same:
            raise DisagreementError("PUT credits: the bank has credited something else", PEOPLE_RETRY_MS)

    async def repay_loan(self, call: BankCall, repayment: LoanRepayment) -> None:
        """Pay the amount off a loan: PUT /loan-repayments/{reference}."""
        done = await self._known(call, (_REPAYMENTS, repayment.reference), RepaymentBody)
        if done is None:
            body = {"loanAccountId": repayment.loan_account, "amount": money_body(repayment.amount)}
            request = self._put(_REPAYMENTS, repayment.reference, body)
            try:
                done = decoding.decode(await self._api.send(call, request), RepaymentBody, request.name)
            except ContractRefusalError as error:
                raise refused_booking(reason(error, "PAYEE"), call.attempt) from error
        same = done.loan_account_id == repayment.loan_account and _same(done.amount, repayment.amount)
        if done.reference != repayment.reference or not same:
            raise DisagreementError("PUT loan-repayments: the bank repaid something else", PEOPLE_RETRY_MS)

    async def _account(self, call: BankCall, account: str, role: Role) -> AccountBody:
        request = BankRequest(method="GET", path=("accounts", account), name="GET accounts")
        told = await self._asked(call, request, role, AccountBody)
        if told.account_id != account:
            raise DisagreementError("GET accounts: the bank tells of another account", RETRY_AFTER_MS)
        return told

    async def _asked(
        self, call: BankCall, request: BankRequest, role: Role, kind: type[decoding.AnswerT]
    ) -> decoding.AnswerT:
        try:
            return decoding.decode(await self._api.send(call, request), kind, request.name)
        except ContractRefusalError as error:
            raise AmsRefusalError(reason(error, role)) from error

    async def _known(
        self, call: BankCall, path: tuple[str, str], kind: type[decoding.AnswerT]
    ) -> decoding.AnswerT | None:
        """Return what a reference names, when an earlier attempt may have made it; None where nothing."""
        if call.attempt == 1:
            return None
        request = BankRequest(method="GET", path=path, name=f"GET {path[0]}")
        try:
            return decoding.decode(await self._api.send(call, request), kind, request.name)
        except ContractRefusalError as error:
            if error.code == REFERENCE_UNKNOWN:
                return None
            raise JobFailedError(f"{request.name}: refused: {error.code}", RETRY_AFTER_MS) from error

    @staticmethod
    def _put(kind: str, reference: str, body: dict[str, Any]) -> BankRequest:
        return BankRequest(method="PUT", path=(kind, reference), name=f"PUT {kind}", body=body)

    @staticmethod
    def _act(order: TransferOrder, action: str) -> BankRequest:
        path = (_RESERVATIONS, order.reference, action)
        return BankRequest(method="POST", path=path, name=f"POST {action}", body={})


def _reservation(order: TransferOrder) -> dict[str, Any]:
    return {
        "transactionId": order.transaction_id,
        "accountId": order.account,
        "amount": money_body(order.amount),
        "fee": money_body(order.fee),
    }


def _is_for(done: ReservationBody, order: TransferOrder) -> bool:
    same = _same(done.amount, order.amount) and _same(done.fee, order.fee)
    return done.reference == order.reference and done.account_id == order.account and same


def _same(told: MoneyBody | None, meant: Money) -> bool:
    return told is not None and told.is_exactly(meant)
