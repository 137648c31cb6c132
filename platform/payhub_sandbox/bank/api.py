"""The banks over HTTP: Fineract's interoperation API under ``/banks/{fsp}/fineract-provider/api/v1``."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler

from payhub_platform.errors import NotFoundError
from payhub_sandbox.bank.identifiers import IDENTIFIER_TYPES
from payhub_sandbox.bank.refusal import BankRefusalError, no_such_path, server_error
from payhub_sandbox.bank.service import BankService, Call, Parts, Reply

PREFIX: Final = "/banks/{fsp:str}"
V1: Final = PREFIX + "/fineract-provider/api/v1"
API: Final = V1 + "/interoperation"
PARTY_PATHS: Final = [
    API + "/parties/{kind:str}/{value:str}",
    API + "/parties/{kind:str}/{value:str}/{sub_value:str}",
]

_SIDES: Final = (("debit", "true"), ("credit", "false"))
_OK: Final = 200
_NO_CONTENT: Final = 204
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="Fineract Platform API"'}

AnyRequest = Request[Any, Any, Any]
Banks = Mapping[str, BankService]
Enter = Callable[[AnyRequest], Awaitable[tuple[BankService, Call]]]


def bank_handlers(banks: Banks) -> list[HTTPRouteHandler]:
    """Return the handlers of the interoperation API, for all banks by FSP id."""

    async def enter(request: AnyRequest) -> tuple[BankService, Call]:
        service = require_bank(banks, request)
        call = Call(
            path=request.url.path,
            headers=dict(request.headers.items()),
            query={name: value for name, value in request.query_params.items() if isinstance(value, str)},
            body=await request.body(),
        )
        await service.enter(call)
        return service, call

    return [
        *_account_handlers(enter),
        *_book_handlers(enter),
        *_party_handlers(enter),
        *_command_handlers(enter),
        *_stubs(enter),
        _token_handler(banks),
    ]


def require_bank(banks: Banks, request: AnyRequest) -> BankService:
    """Return the bank that a request's path names.

    Raises:
        NotFoundError: code ``unknown-bank``.
    """
    service = banks.get(request.path_params["fsp"])
    if service is None:
        raise NotFoundError("unknown-bank", "The sandbox has no such bank.")
    return service


def on_refusal(_request: AnyRequest, error: BankRefusalError) -> Response[bytes]:
    """Answer with Fineract's own body."""
    headers = _CHALLENGE if error.challenges else {}
    return Response(error.body, status_code=error.http_status, headers=headers, media_type="application/json")


async def _answer(service: BankService, reply: Reply) -> Response[bytes]:
    """Answer, as late as the reply wants."""
    await service.patience.hold(reply.delay_ms)
    return _reply(reply)


def _reply(reply: Reply) -> Response[bytes]:
    headers = {"x-served-from-cache": "true"} if reply.from_cache else {}
    return Response(reply.body, status_code=reply.status, headers=headers, media_type="application/json")


def _object(value: dict[str, Any]) -> Response[bytes]:
    return _reply(Reply(_OK, msgspec.json.encode(value)))


def _parts(request: AnyRequest, service: BankService) -> Parts:
    path = request.path_params
    if path["kind"] not in IDENTIFIER_TYPES or (path["kind"] == "BBAN" and service.version != "current"):
        raise no_such_path()
    return path["kind"], path["value"], path.get("sub_value")


def _account_handlers(enter: Enter) -> list[HTTPRouteHandler]:
    @get(API + "/health")
    async def health(request: AnyRequest) -> Response[bytes]:
        await enter(request)
        return _reply(Reply(_OK, b"OK"))  # declared as JSON and not valid JSON, as Fineract does

    @get(API + "/accounts/{account_id:str}")
    async def account(request: AnyRequest) -> Response[bytes]:
        service, _ = await enter(request)
        account_id = request.path_params["account_id"]
        return await _answer(
            service, service.read("account", account_id, lambda: service.bank.get_account(account_id))
        )

    @get(API + "/accounts/{account_id:str}/identifiers")
    async def identifiers(request: AnyRequest) -> Response[bytes]:
        service, _ = await enter(request)
        return _object(service.bank.get_identifiers(request.path_params["account_id"]))

    return [health, account, identifiers]


def _party_handlers(enter: Enter) -> list[HTTPRouteHandler]:
    @get(PARTY_PATHS)
    async def find(request: AnyRequest) -> Response[bytes]:
        service, _ = await enter(request)
        parts = _parts(request, service)
        return await _answer(service, service.read("party", parts[1], lambda: service.bank.get_party(*parts)))

    @post(PARTY_PATHS, status_code=_OK)
    async def register(request: AnyRequest) -> Response[bytes]:
        service, call = await enter(request)
        return await _answer(service, service.register(call, _parts(request, service)))

    @delete(PARTY_PATHS, status_code=_OK)
    async def unregister(request: AnyRequest) -> Response[bytes]:
        service, call = await enter(request)
        return await _answer(service, service.unregister(call, _parts(request, service)))

    return [find, register, unregister]


def _command_handlers(enter: Enter) -> list[HTTPRouteHandler]:
    @post(API + "/requests", status_code=_OK)
    async def requests(request: AnyRequest) -> Response[bytes]:
        service, call = await enter(request)
        return await _answer(service, service.request(call))

    @post(API + "/quotes", status_code=_OK)
    async def quotes(request: AnyRequest) -> Response[bytes]:
        service, call = await enter(request)
        return await _answer(service, service.quote(call))

    @post(API + "/transfers", status_code=_OK)
    async def transfers(request: AnyRequest) -> Response[bytes]:
        service, call = await enter(request)
        return await _answer(service, service.transfer(call))

    @post(API + "/transactions/{loan_account_no:str}/loanrepayment", status_code=_OK)
    async def repay(request: AnyRequest) -> Response[bytes]:
        service, call = await enter(request)
        service.require_current()
        return await _answer(service, service.repay(call, request.path_params["loan_account_no"]))

    return [requests, quotes, transfers, repay]


def _book_handlers(enter: Enter) -> list[HTTPRouteHandler]:
    """What tells of the books: transactions, savings accounts and loans."""

    @get(API + "/accounts/{account_id:str}/transactions")
    async def transactions(request: AnyRequest) -> Response[bytes]:
        service, call = await enter(request)
        wanted = {name: call.query.get(name, default) == "true" for name, default in _SIDES}
        found = service.bank.get_transactions(request.path_params["account_id"], **wanted)
        if service.version == "current" and service.quirks and found["transactions"]:
            raise server_error()  # 1.10 reads a null transaction id as soon as one row matches
        return _object(found)

    @get(API + "/accounts/{account_id:str}/kyc")
    async def kyc(request: AnyRequest) -> Response[bytes]:
        service, _ = await enter(request)
        return _object(service.bank.get_kyc(request.path_params["account_id"]))

    @get(V1 + "/savingsaccounts/external-id/{external_id:str}")
    async def savings_account(request: AnyRequest) -> Response[bytes]:
        service, call = await enter(request)
        service.require_current()
        wanted = "transactions" in call.query.get("associations", "").split(",")
        account_id = request.path_params["external_id"]
        return _object(service.bank.get_savings_account(account_id, transactions=wanted))

    @get(V1 + "/loans/{loan_id:str}")
    async def loan(request: AnyRequest) -> Response[bytes]:
        service, _ = await enter(request)
        return _object(service.bank.loans.get_loan(request.path_params["loan_id"]))

    return [transactions, kyc, savings_account, loan]


def _token_handler(banks: Banks) -> HTTPRouteHandler:
    @post(PREFIX + "/oauth2/token", status_code=_OK)
    async def token(request: AnyRequest) -> Response[bytes]:
        service = require_bank(banks, request)
        authorization = request.headers.get("authorization", "")
        return _object(service.tokens.issue(authorization, await request.body()))

    return token


def _stubs(enter: Enter) -> list[HTTPRouteHandler]:
    """Fineract answers these, but stores nothing that it could answer with."""

    @get(API + "/transactions/{transaction_code:str}/requests/{code:str}")
    async def get_request(request: AnyRequest) -> Response[bytes]:
        await enter(request)
        path = request.path_params
        code, transaction_code = path["code"], path["transaction_code"]
        return _object({"requestCode": code, "transactionCode": transaction_code, "state": "REJECTED"})

    @get(
        [
            API + "/transactions/{transaction_code:str}/quotes/{code:str}",
            API + "/transactions/{transaction_code:str}/transfers/{code:str}",
        ],
        status_code=_NO_CONTENT,
    )
    async def get_nothing(request: AnyRequest) -> None:
        await enter(request)

    return [get_request, get_nothing]
