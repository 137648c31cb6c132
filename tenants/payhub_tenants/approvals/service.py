"""Takes requests for what needs two people, and does what the second one approves."""

from typing import Any

import msgspec

from payhub_platform.clock import Clock
from payhub_tenants.approvals.errors import ApprovalNotFoundError, NotConfirmedError
from payhub_tenants.approvals.model import (
    Action,
    Approval,
    ApprovalState,
    ApprovalView,
    approval_view,
    decided,
    requested,
)
from payhub_tenants.keys.errors import KeyInUseError, KeyNotFoundError
from payhub_tenants.keys.service import delete_key
from payhub_tenants.lifecycle.errors import RequirementsError
from payhub_tenants.lifecycle.facts import facts_of
from payhub_tenants.lifecycle.model import JobKind, beginning
from payhub_tenants.lifecycle.requirements import missing_for
from payhub_tenants.lifecycle.service import LifecycleService, locked
from payhub_tenants.store import Store, Transaction
from payhub_tenants.tenants.errors import TenantNotFoundError
from payhub_tenants.tenants.model import Tenant, changed
from payhub_tenants.terms.model import LIMITS_DOCUMENT, Limits, checked_limits


class ApprovalService:
    """The decision and what it does are one transaction: approved and not done does not exist."""

    def __init__(self, store: Store, lifecycle: LifecycleService, clock: Clock) -> None:
        self._store = store
        self._lifecycle = lifecycle
        self._clock = clock

    async def ask_to_go_live(self, tenant_id: str, actor: str) -> ApprovalView:
        """Ask for going live.

        Raises:
            TenantNotFoundError: there is no such tenant.
            WrongStatusError: it is not certified.
            RequirementsError: something is missing.
        """
        return await self._ask(tenant_id, "go-live", {}, actor)

    async def ask_to_purge(self, tenant_id: str, confirm: str, actor: str) -> ApprovalView:
        """Ask for the end: the tenant's key is destroyed and its data with it.

        Raises:
            NotConfirmedError: ``confirm`` is not the tenant's id.
            WrongStatusError: it is not offboarded.
            JobOpenError: offboarding is not done.
        """
        if confirm != tenant_id:
            raise NotConfirmedError
        return await self._ask(tenant_id, "purge", {}, actor)

    async def ask_for_limits(self, tenant_id: str, limits: Limits, actor: str) -> ApprovalView:
        """Ask for other limits.

        Raises:
            InvalidInputError: see ``checked_limits``.
        """
        return await self._ask(tenant_id, "limits", msgspec.to_builtins(checked_limits(limits)), actor)

    async def ask_to_delete_key(self, tenant_id: str, key_id: str, actor: str) -> ApprovalView:
        """Ask for the deletion of a signing key that does not sign.

        Raises:
            KeyNotFoundError: there is no such key.
            KeyInUseError: it signs messages now.
        """
        return await self._ask(tenant_id, "key-deletion", {"keyId": key_id}, actor)

    async def all(self, tenant_id: str) -> list[ApprovalView]:
        """Return a tenant's requests, the newest first.

        Raises:
            TenantNotFoundError: there is no such tenant.
        """
        async with self._store.transaction(tenant_id) as transaction:
            if await transaction.tenants.get(tenant_id) is None:
                raise TenantNotFoundError
            return [approval_view(each) for each in await transaction.approvals.all(tenant_id)]

    async def decide(
        self, tenant_id: str, approval_id: str, state: ApprovalState, actor: str
    ) -> ApprovalView:
        """Approve or refuse; what is approved is done at once, or begun.

        Raises:
            ApprovalNotFoundError: there is no such request.
            SameOperatorError: the one who asked decides.
            ApprovalDecidedError: it was decided otherwise.
            PayhubError: what was asked for is no longer possible; then it goes on waiting.
        """
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await locked(transaction, tenant_id)
            known = await transaction.approvals.get(tenant_id, approval_id)
            if known is None:
                raise ApprovalNotFoundError
            after = decided(known, state, actor, now)
            if after is not known:
                await transaction.approvals.save(after)
                detail = {
                    "approvalId": approval_id,
                    "action": known.action,
                    "requestedBy": known.requested_by,
                }
                await transaction.audit.append(tenant_id, now, actor, f"approval.{state}", detail)
                if state == "approved":
                    await self._do(transaction, tenant, after)
        await self._lifecycle.run(tenant_id)
        return approval_view(after)

    async def _ask(self, tenant_id: str, action: Action, body: dict[str, Any], actor: str) -> ApprovalView:
        now = self._clock()
        async with self._store.transaction(tenant_id) as transaction:
            tenant = await locked(transaction, tenant_id)
            await self._check(transaction, tenant, action, body)
            known = await transaction.approvals.all(tenant_id)
            approval, is_new = requested(known, tenant_id, action, body, actor, now)
            if is_new:
                await transaction.approvals.add(approval)
                detail = {"approvalId": approval.approval_id, "action": action, "body": body}
                await transaction.audit.append(tenant_id, now, actor, "approval.requested", detail)
        return approval_view(approval)

    async def _check(
        self, transaction: Transaction, tenant: Tenant, action: Action, body: dict[str, Any]
    ) -> None:
        """Refuse at once what could not be done if it were approved now."""
        if action == "key-deletion":
            held = await transaction.keys.all(tenant.tenant_id)
            states = {key.key_id: key.state for key in held}
            if body["keyId"] not in states:
                raise KeyNotFoundError
            if states[body["keyId"]] == "current":
                raise KeyInUseError
        if action in ("go-live", "purge"):
            kind: JobKind = "go-live" if action == "go-live" else "purge"
            beginning(tenant.status, kind, await transaction.lifecycle.last(tenant.tenant_id))
            missing = missing_for(kind, await facts_of(transaction, tenant, self._clock()))
            if missing:
                raise RequirementsError([each.code for each in missing])

    async def _do(self, transaction: Transaction, tenant: Tenant, approval: Approval) -> None:
        now, tenant_id = self._clock(), tenant.tenant_id
        match approval.action:
            case "go-live" | "purge":
                await self._lifecycle.begin(
                    transaction, tenant, approval.action, approval.requested_by, approval.approval_id
                )
            case "limits":
                limits = msgspec.convert(approval.body, Limits)
                await transaction.documents.put(tenant_id, LIMITS_DOCUMENT, limits, now)
                await transaction.tenants.save(changed(tenant, now))
            case "key-deletion":
                await delete_key(transaction, tenant, approval.body["keyId"], now)
