"""Makes, finds and removes operators."""

from payhub_platform.clock import Clock
from payhub_platform.errors import InvalidInputError
from payhub_tenants.operators.errors import OperatorExistsError, OperatorNotFoundError, TooManyOperatorsError
from payhub_tenants.operators.model import (
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

    async def create(self, request: CreateOperator) -> OperatorView:
        """Make an operator; the answer holds its token, which is never shown again.

        Raises:
            InvalidInputError: ``invalid-field``, ``duplicate-role``.
            OperatorExistsError: the id is taken.
            TooManyOperatorsError: there are ``OPERATORS_MAX``.
        """
        if request.operator_id in RESERVED:
            raise InvalidInputError("invalid-field", "This name is payhub's own.", "/operatorId")
        if len(set(request.roles)) != len(request.roles):
            raise InvalidInputError("duplicate-role", "Each role is named once.", "/roles")
        if request.institution is not None and "approver" in request.roles:
            raise InvalidInputError("invalid-field", "An institution's own people approve nothing.", "/roles")
        token = new_token()
        operator = Operator(
            operator_id=request.operator_id,
            name=request.name,
            roles=list(request.roles),
            institution=request.institution,
            token_digest=token_digest(token),
            created_at_ms=self._clock(),
        )
        async with self._store.registry() as registry:
            if len(await registry.operators.all()) >= OPERATORS_MAX:
                raise TooManyOperatorsError(OPERATORS_MAX)
            if not await registry.operators.add(operator):
                raise OperatorExistsError
        return operator_view(operator, token)

    async def all(self) -> list[OperatorView]:
        """Return all operators without their tokens."""
        async with self._store.registry() as registry:
            return [operator_view(operator) for operator in await registry.operators.all()]

    async def remove(self, operator_id: str) -> None:
        """Forget an operator; its token opens nothing from now on.

        Raises:
            OperatorNotFoundError: there is none of this id.
        """
        async with self._store.registry() as registry:
            if not await registry.operators.remove(operator_id):
                raise OperatorNotFoundError

    async def bearing(self, token: str) -> Operator | None:
        """Return the operator whose token this is."""
        async with self._store.registry() as registry:
            return await registry.operators.by_digest(token_digest(token))
