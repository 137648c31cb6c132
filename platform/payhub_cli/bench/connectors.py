"""The bench's connectors: they answer inside the process, as those of Payment Hub EE's published test did."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from payhub_engines.connectors.context import ConnectorContext
from payhub_engines.connectors.job import Job, PromptHandler
from payhub_engines.core.commands import Command, CorrelateMessage
from payhub_engines.core.reply import Reply
from payhub_platform.contracts.handover import Callback
from payhub_platform.errors import PayhubError

PAYER: Final = "bench-payer-fund-transfer"
LOOKUP: Final = "bench-payee-party-lookup"
PAYEE: Final = "bench-payee-quote-transfer"
_TTL_MS: Final = 10_000
_RESULTS: Final[dict[str, dict[str, Any]]] = {
    "find-account": {"accountActive": True},
    "block-funds": {"blocked": True},
    "calculate-quote": {"quotePossible": True, "fee": 5},
    "reserve-credit": {"reserved": True},
    "commit-credit": {"credited": True},
    "notify-payee": {},
    "notify-payer": {},
    "send-receipt": {},
}
# What the switch would answer: the job that asks, the message, what it brings, and the process it starts.
_MESSAGES: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "lookup-request": ("party-lookup", {}, LOOKUP),
    "answer-lookup": ("party-response", {"partyFound": True, "partyName": "A. Member"}, ""),
    "quote-request": ("quote", {"amount": 10_000, "currency": "TZS"}, PAYEE),
    "answer-quote": ("quote-response", {"fee": 5, "condition": "x" * 43}, ""),
    "transfer-request": ("transfer-prepared", {"ilpPacket": "x" * 120}, ""),
    "fulfil-transfer": ("transfer-response", {"transferState": "COMMITTED", "fulfilment": "x" * 43}, ""),
    "book-funds": ("transfer-committed", {"completed": True}, ""),
}


class Poster(Protocol):
    """Takes commands, as ``StreamProcessor`` does."""

    def post(self, command: Command, tenant: str, on_reply: Callable[[Reply | PayhubError], None], /) -> None:
        """Take a command; its reply is told."""


def handlers(stream: Poster, payload: str) -> dict[str, PromptHandler]:
    """Return what does the 15 jobs of a payment."""

    def result(variables: dict[str, Any]) -> PromptHandler:
        return lambda _job, _context: variables

    def message(name: str, variables: dict[str, Any], start_process: str) -> PromptHandler:
        def send(job: Job, _context: ConnectorContext) -> dict[str, Any]:
            payment = job.payment
            brought = {"transactionId": payment, **variables}
            if start_process:
                brought["extension"] = payload
            callback = Callback(
                tenant=job.tenant,
                name=name,
                correlation_key=payment,
                variables=brought,
                start_process=start_process,
                payment=payment if start_process else "",
                ttl_ms=_TTL_MS,
            )
            stream.post(CorrelateMessage(callback=callback), job.tenant, _forget)
            return {}

        return send

    found: dict[str, PromptHandler] = {name: result(variables) for name, variables in _RESULTS.items()}
    for job_type, (name, variables, start_process) in _MESSAGES.items():
        found[job_type] = message(name, variables, start_process)
    return found


def _forget(_reply: Reply | PayhubError) -> None:
    """A switch does not wait either: what was lost with a leader is asked for again by the job."""
