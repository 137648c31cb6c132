"""What waits for a second person, and what became of it. Pure."""

import hashlib
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from payhub_tenants.approvals.errors import ApprovalDecidedError, SameOperatorError
from payhub_tenants.fields import Body, View

Action = Literal["go-live", "limits", "key-deletion", "purge"]
ApprovalState = Literal["waiting", "approved", "refused"]


class ConfirmPurge(Body, frozen=True, kw_only=True):
    """Body of ``POST /v1/tenants/{id}/purge``: the tenant's id, typed again."""

    confirm: str


class Approval(Struct, frozen=True, kw_only=True):
    """A request that another operator decides on; ``body`` is what will then be done, and nothing else."""

    tenant_id: str
    approval_id: str
    action: Action
    body: dict[str, Any]
    state: ApprovalState = "waiting"
    requested_by: str
    requested_at_ms: int
    decided_by: str = ""
    decided_at_ms: int | None = None


class ApprovalView(View, frozen=True, kw_only=True):
    """A request as it is shown."""

    approval_id: str
    action: Action
    body: dict[str, Any]
    state: ApprovalState
    requested_by: str
    requested_at_ms: int
    decided_by: str | None = None
    decided_at_ms: int | None = None


def requested(
    known: list[Approval], tenant_id: str, action: Action, body: dict[str, Any], actor: str, at_ms: int
) -> tuple[Approval, bool]:
    """Return the request for an act, and whether it is new: the same one that waits is the same request."""
    for each in known:
        if (each.action, each.body, each.state) == (action, body, "waiting"):
            return each, False
    content = (tenant_id, action, body, len(known))
    digest = hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
    made = Approval(
        tenant_id=tenant_id,
        approval_id=digest[:20],
        action=action,
        body=body,
        requested_by=actor,
        requested_at_ms=at_ms,
    )
    return made, True


def decided(approval: Approval, state: ApprovalState, actor: str, at_ms: int) -> Approval:
    """Return a request as it is after a decision; the same decision again changes nothing.

    Raises:
        SameOperatorError: the one who asked decides.
        ApprovalDecidedError: it was decided otherwise.
    """
    if approval.requested_by == actor:
        raise SameOperatorError
    if approval.state == state:
        return approval
    if approval.state != "waiting":
        raise ApprovalDecidedError(approval.state)
    return replace(approval, state=state, decided_by=actor, decided_at_ms=at_ms)


def approval_view(approval: Approval) -> ApprovalView:
    """Return a request as it is shown."""
    return ApprovalView(
        approval_id=approval.approval_id,
        action=approval.action,
        body=approval.body,
        state=approval.state,
        requested_by=approval.requested_by,
        requested_at_ms=approval.requested_at_ms,
        decided_by=approval.decided_by or None,
        decided_at_ms=approval.decided_at_ms,
    )
