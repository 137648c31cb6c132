"""What the control plane asks of an engine about one tenant: what is open, and to begin nothing older."""

from typing import Final

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_engines.core import fencing
from payhub_engines.core.state import State
from payhub_engines.core.tables import NUMBER_MAX
from payhub_engines.handover.recall import recalled
from payhub_engines.server.engine import Engine
from payhub_engines.server.requests import AnyRequest, answer, epoch_of
from payhub_platform.contracts.engine import PATH_DRAIN, PATH_TENANTS, TenantDrain
from payhub_platform.security.internal import require_internal

OPEN_TOLD_MAX: Final = 20


class TenantsController(Controller):
    """``/engine/v1/tenants``."""

    path = PATH_TENANTS

    @post("/{tenant_id:str}/" + PATH_DRAIN, status_code=200)
    async def drain(
        self, request: AnyRequest, engine: NamedDependency[Engine], tenant_id: FromPath[str]
    ) -> Response[bytes]:
        """Begin nothing of an epoch before the request's any more, and tell what is still open."""
        require_internal(request.headers, engine.settings.internal_token)
        await recalled(engine.stream, tenant_id, epoch_of(request), lambda _: None)
        return answer(await engine.stream.read(lambda state: _drain(engine, state, tenant_id), tenant_id))


def _drain(engine: Engine, state: State, tenant_id: str) -> TenantDrain:
    config = engine.directory.get(tenant_id)
    goes_on = config is not None and config.status == "active" and engine.settings.engine_id in config.begins
    # Where it begins things under this epoch too, they are not what is waited for.
    below = state.fence_key(tenant_id) if goes_on else NUMBER_MAX
    left = fencing.open_below(state, tenant_id, below)
    return TenantDrain(
        engine=engine.settings.engine_id,
        fence=state.fence(tenant_id),
        known_epoch=0 if config is None else config.epoch,
        known_version=0 if config is None else config.version,
        open=len(left),
        open_payments=[_payment(state, key) for key in left[:OPEN_TOLD_MAX]],
        outbox=sum(1 for record in state.outbox() if record.callback.tenant == tenant_id),
        begun=fencing.keeps_keys(state, tenant_id, below),
    )


def _payment(state: State, key: int) -> str:
    found = state.document(key)
    return "" if found is None else found.payment
