"""What the channel's handlers share: the answer to what was begun, and the trace it belongs to."""

from typing import Any, Final

from litestar import Request, Response
from opentelemetry import trace

from payhub_platform.contracts.channel import TransferAccepted
from payhub_platform.telemetry.tracing import traceparent_of

AnyRequest = Request[Any, Any, Any]
ACCEPTED: Final = 202


def accepted(begun: TransferAccepted, path: str) -> Response[TransferAccepted]:
    """Answer 202, and where to ask how it stands."""
    location = f"{path}/{begun.transaction_id}"
    return Response(begun, status_code=ACCEPTED, headers={"Location": location})


def traceparent() -> str:
    """Return the present span, as it is passed on to an engine."""
    return traceparent_of(trace.get_current_span())
