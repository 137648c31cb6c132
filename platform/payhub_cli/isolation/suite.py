"""Every operation of the published documents, tried by one institution on what another has."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import aiohttp
import msgspec

from payhub_cli.demo.client import Api
from payhub_cli.isolation.errors import IsolationError
from payhub_cli.isolation.model import Answer, Finding, Operation, Report, Row, judged, operations, without
from payhub_cli.isolation.strangers import KINDS, OTHER, STRANGER, Names, Strangers, payment

ROUNDS: Final = 5  # each question is asked so often, about theirs and nobody's in turn
TENANT_HEADER: Final = "Platform-TenantId"
TENANT: Final = "tenant_id"
PAYMENT_KEY: Final = "isolation-2"
REGISTRATION_KEY: Final = "isolation-4"
REQUEST_KEY: Final = "isolation-3"  # of whatever takes one
TIMEOUT: Final = aiohttp.ClientTimeout(total=20.0)
_UNTRIED: Final = "the suite knows no {what} for it: add one to payhub_cli/isolation"

# Operations that name nobody and tell of nobody; whoever asks with another's name in a header is refused.
OPEN: Final = frozenset({"tenants GET /health/live", "tenants GET /health/ready"})

# Bodies without which a request would be refused before what it names is looked for.
BODIES: Final[Mapping[tuple[str, str], Any]] = {
    ("PUT", "/v1/tenants/{tenant_id}/party-identifiers/{type_}/{value}/account"): {"accountId": "R-1"},
    ("POST", "/v1/tenants/{tenant_id}/keys/{key_id}/activate"): {},
    ("POST", "/v1/tenants/{tenant_id}/endpoints/{endpoint_id}/rotate"): {},
    ("POST", "/v1/transfers/{payment_id}/confirmation"): {"accepted": True},
    ("POST", "/v1/transfers/{payment_id}/refunds"): {},
    ("POST", "/v1/transaction-requests/{request_id}/authorization"): {"responseType": "REJECTED"},
}


class Suite:
    """Asks as a stranger, and compares what it is told.

    Args:
        session: for the requests.
        gateway: the gateway's interface.
        tenants: the tenants API's.
        strangers: who asks, and for what.
    """

    def __init__(
        self, session: aiohttp.ClientSession, gateway: Api, tenants: Api, strangers: Strangers
    ) -> None:
        self._session = session
        self._urls = {"gateway": gateway.base_url, "tenants": tenants.base_url}
        self._strangers = strangers
        self._rows: list[Row] = []
        self._findings: list[Finding] = []

    async def run(
        self, documents: Sequence[list[Operation]], progress: Callable[[int], None]
    ) -> tuple[list[Row], list[Finding]]:
        """Try all operations; ``progress`` gets how many there are, once for each that was tried."""
        every = [operation for document in documents for operation in document if operation.name not in OPEN]
        for operation in every:
            await self._try(operation)
            progress(len(every))
        await self._pay_from_theirs()
        await self._register_theirs()
        return self._rows, self._findings

    async def _pay_from_theirs(self) -> None:
        """Start a payment out of another institution's account: it may begin, and must find no such payer."""
        (paid,) = await self._strangers.channel.pay_all([payment(PAYMENT_KEY)], on_final=lambda: None)
        if paid.state != "FAILED":
            detail = f"a payment out of another institution's account is {paid.state}"
            self._findings.append(
                Finding(operation="gateway POST /channel/transfer", flaw="answered", detail=detail)
            )

    async def _register_theirs(self) -> None:
        """Have another institution's member registered as one's own, or withdrawn: neither may be done."""
        for withdraw in (False, True):
            state = await self._strangers.register(f"{REGISTRATION_KEY}-{withdraw}", withdraw=withdraw)
            if state != "FAILED":
                detail = f"another institution's member, {withdraw=}, is {state}"
                self._findings.append(
                    Finding(operation="gateway POST /v1/party-registrations", flaw="answered", detail=detail)
                )

    async def _try(self, operation: Operation) -> None:
        unnamed = [name for name in operation.parameters if name not in self._strangers.theirs]
        if unnamed:
            self._untried(operation, f"value of {', '.join(unnamed)}")
            return
        theirs, nobodys = self._strangers.theirs, self._strangers.nobodys
        own = {TENANT: STRANGER}
        things = [name for name in operation.parameters if name not in (TENANT, *KINDS)]
        if TENANT in operation.parameters:
            await self._compare(operation, "another institution", theirs, {**theirs, TENANT: nobodys[TENANT]})
        if things:
            if operation.takes_body and (operation.method, operation.path) not in BODIES:
                self._untried(operation, "body")
                return
            about = "another's thing as one's own" if TENANT in operation.parameters else "another's thing"
            await self._compare(operation, about, {**theirs, **own}, {**nobodys, **own})
        if not operation.parameters or operation.api == "gateway":
            await self._named(operation)

    async def _compare(self, operation: Operation, about: str, theirs: Names, nobodys: Names) -> None:
        """Ask for what is another's and for what is nobody's, in turn."""
        told: list[tuple[Answer, float]] = []
        untold: list[tuple[Answer, float]] = []
        for _ in range(ROUNDS):
            told.append(await self._ask(operation, theirs))
            untold.append(await self._ask(operation, nobodys))
        row, findings = judged(operation.name, about, told, untold)
        self._rows.append(row)
        self._findings += findings

    async def _named(self, operation: Operation) -> None:
        """Ask with one's own credential and the other's name in a header."""
        names = {**self._strangers.nobodys, TENANT: STRANGER}
        told = [await self._ask(operation, names, OTHER) for _ in range(ROUNDS)]
        untold = [await self._ask(operation, names, names["operator_id"]) for _ in range(ROUNDS)]
        row, findings = judged(operation.name, "another institution in a header", told, untold)
        self._rows.append(row)
        self._findings += findings

    async def _ask(self, operation: Operation, names: Names, tenant: str = "") -> tuple[Answer, float]:
        headers = dict(
            self._strangers.channel.headers if operation.api == "gateway" else self._strangers.operator
        )
        if tenant:
            headers[TENANT_HEADER] = tenant
        headers["Idempotency-Key"] = REQUEST_KEY
        if operation.takes_body:
            headers["Content-Type"] = "application/json"
        content = msgspec.json.encode(BODIES.get((operation.method, operation.path), {}))
        began = time.perf_counter()
        async with self._session.request(
            operation.method,
            self._urls[operation.api] + operation.at(names),
            data=content if operation.takes_body else None,
            headers=headers,
            timeout=TIMEOUT,
        ) as answer:
            body = (await answer.read()).decode()
            took_ms = (time.perf_counter() - began) * 1000
            if answer.status in (429, 503):
                raise IsolationError(f"{operation.name} is busy: {body[:200]}")
            return Answer(answer.status, without(body, {*names.values(), tenant} - {""})), took_ms

    def _untried(self, operation: Operation, what: str) -> None:
        detail = _UNTRIED.format(what=what)
        self._findings.append(Finding(operation=operation.name, flaw="untried", detail=detail))


async def prove(
    session: aiohttp.ClientSession,
    gateway: Api,
    tenants: Api,
    strangers: Strangers,
    progress: Callable[[int], None],
) -> Report:
    """Read both documents of a running installation, try every operation, and report.

    Args:
        session: for the requests.
        gateway: the gateway's interface.
        tenants: the tenants API, with the installation's token.
        strangers: who asks, and for what.
        progress: gets the number of operations, once for each that was tried.

    Raises:
        DemoError: a document cannot be had.
        IsolationError: a service was too busy for an answer that says anything.
    """
    owned = f"/v1/tenants/{OTHER}/export"
    documents = [
        operations("gateway", await gateway.get("/v1/openapi.json")),
        operations("tenants", await tenants.get("/openapi/openapi.json")),
    ]
    before = _lasting(await tenants.get(owned))
    rows, findings = await Suite(session, gateway, tenants, strangers).run(documents, progress)
    return Report(
        operations=sum(map(len, documents)),
        rows=rows,
        findings=findings,
        unharmed=_lasting(await tenants.get(owned)) == before,
    )


def _lasting(export: Any) -> Any:
    """Return an export without the audit, which notes that it was taken."""
    return {name: part for name, part in export.items() if name != "audit"}
