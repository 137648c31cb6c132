"""What the channel's handlers share: the answer to what was begun."""

from typing import Any, Final

from litestar import Request, Response

from payhub_platform.contracts.channel import TransferAccepted

AnyRequest = Request[Any, Any, Any]
ACCEPTED: Final = 202


def accepted(begun: TransferAccepted, path: str) -> Response[TransferAccepted]:
    """Answer 202, and where to ask how it stands."""
    location = f"{path}/{begun.transaction_id}"
    return Response(begun, status_code=ACCEPTED, headers={"Location": location})
