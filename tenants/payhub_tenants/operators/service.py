"""Makes operators, lets them in, finds and removes them."""

from msgspec.structs import replace

from payhub_platform.clock import Clock
from payhub_platform.errors import InvalidInputError
from payhub_tenants.approvals.errors import SameOperatorError
from payhub_tenants.audit.model import AuditPage, audit_view
from payhub_tenants.operators.errors import (
    OperatorActiveError,
    OperatorExistsError,
    OperatorNotFoundError,
    TooManyOperatorsError,
)
from payhub_tenants.operators.model import (
    FOUNDERS_MAX,
    OPERATORS_MAX,
    RESERVED,
    CreateOperator,
    Operator,
    OperatorView,
    new_token,
    operator_view,
    token_digest,
)
from payhub_tenants.store import Store


class OperatorService:
    """Operators are the installation's, not a tenant's; one bound to an institution reaches it alone."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, request: CreateOperator, actor: str) -> OperatorView:
        """Make an operator; the answer holds its token, which is never shown again.

        An approver beyond the first two waits for an approver: else who holds the installation's token
        could be two people.

        Raises:
            InvalidInputError: ``invalid-field``, ``duplicate-role``.
            OperatorExistsError: the id is or was taken.
            TooManyOperatorsError: there are ``OPERATORS_MAX``.
        """
        if request.operator_id in RESERVED:
            raise InvalidInputError("invalid-field", "This name is payhub's own.", "/operatorId")
        if len(set(request.roles)) != len(request.roles):
            raise InvalidInputError("duplicate-role", "Each role is named once.", "/roles")
        if request.institution is not None and "approver" in request.roles:
            raise InvalidInputError("invalid-field", "An institution's own people approve nothing.", "/roles")
        token, now = new_token(), self._clock()
        async with self._store.registry() as registry:
            await registry.audit.lock()  # two at once must not both be among the first
            waits = "approver" in request.roles and await registry.operators.founders() >= FOUNDERS_MAX
            operator = Operator(
                operator_id=request.operator_id,
                name=request.name,
                roles=list(request.roles),
                institution=request.institution,
                token_digest=token_digest(token),
                created_at_ms=now,
                state="waiting" if waits else "active",
                requested_by=actor,
            )
            if len(await registry.operators.all()) >= OPERATORS_MAX:
                raise TooManyOperatorsError(OPERATORS_MAX)
            if not await registry.operators.add(operator):
                raise OperatorExistsError
            detail = {"operatorId": operator.operator_id, "roles": operator.roles, "state": operator.state}
            await registry.audit.append(now, actor, "operator.created", detail)
        return operator_view(operator, token)

    async def approve(self, operator_id: str, actor: str) -> OperatorView:
        """Let a waiting operator in.

        Raises:
            OperatorNotFoundError: there is none of this id.
            OperatorActiveError: it does not wait.
            SameOperatorError: the one who asked for it lets it in.
        """
        now = self._clock()
        async with self._store.registry() as registry:
            await registry.audit.lock()
            known = await registry.operators.get(operator_id)
            if known is None or known.state == "removed":
                raise OperatorNotFoundError
            if known.state != "waiting":
                raise OperatorActiveError
            if known.requested_by == actor:
                raise SameOperatorError
            after = replace(known, state="active", approved_by=actor)
            await registry.operators.save(after)
            await registry.audit.append(now, actor, "operator.approved", {"operatorId": operator_id})
        return operator_view(after)

    async def all(self) -> list[OperatorView]:
        """Return all operators without their tokens."""
        async with self._store.registry() as registry:
            return [operator_view(operator) for operator in await registry.operators.all()]

    async def remove(self, operator_id: str, actor: str) -> None:
        """Remove an operator; its token opens nothing from now on, and its id is never given again.

        Raises:
            OperatorNotFoundError: there is none of this id.
        """
        async with self._store.registry() as registry:
            await registry.audit.lock()
            known = await registry.operators.get(operator_id)
            if known is None or known.state == "removed":
                raise OperatorNotFoundError
            await registry.operators.save(replace(known, state="removed"))
            detail = {"operatorId": operator_id}
            await registry.audit.append(self._clock(), actor, "operator.removed", detail)

    async def audit(self, after: int, limit: int) -> AuditPage:
        """Return up to ``limit`` entries of the installation's audit after a number, in order."""
        async with self._store.registry() as registry:
            found = await registry.audit.page(after, limit + 1)
        shown = [audit_view(entry) for entry in found[:limit]]
        return AuditPage(entries=shown, next=shown[-1].number if len(found) > limit else None)

    async def bearing(self, token: str) -> Operator | None:
        """Return the operator whose token this is."""
        async with self._store.registry() as registry:
            return await registry.operators.by_digest(token_digest(token))
