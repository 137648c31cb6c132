"""What operators' tools ask of an engine: look at it, resolve incidents, steer instances, deploy."""

from typing import Any, Final, TypeVar

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from payhub_engines.core import commands
from payhub_engines.core.records import Deployed, ElementInstance, IncidentRecord, Instance
from payhub_engines.core.reply import Accepted, Rejected
from payhub_engines.core.state import State
from payhub_engines.server.engine import Engine
from payhub_platform.contracts import engine as contract
from payhub_platform.errors import NotFoundError, UnprocessableError
from payhub_platform.http import decode_body
from payhub_platform.security.internal import require_internal

AnyRequest = Request[Any, Any, Any]
BodyT = TypeVar("BodyT", bound=msgspec.Struct)

INCIDENTS_TOLD_MAX: Final = 500
_ENCODER: Final = msgspec.json.Encoder()
_DECODERS: Final[dict[type[msgspec.Struct], msgspec.json.Decoder[Any]]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (
        contract.DeployProcess,
        contract.ResolveIncident,
        contract.CancelInstance,
        contract.ModifyInstance,
        contract.MigrateInstance,
    )
}


class OperatorController(Controller):
    """Every answer shows committed state, and every action is committed before it is answered.

    What the core refuses is a problem with its code and status 422.
    """

    path = "/engine/v1"

    @get("/overview")
    async def overview(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Return an ``EngineOverview``."""
        _check(request, engine)
        return _json(await engine.stream.read(lambda state: _overview(engine, state)))

    @get("/replica")
    async def replica(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Return the ``ReplicaView`` of the replica that is asked; it is not sent on to the leader."""
        _check(request, engine)
        return _json(engine.view())

    @get("/incidents")
    async def incidents(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Return ``Incidents``."""
        _check(request, engine)
        return _json(
            await engine.stream.read(
                lambda state: contract.Incidents(incidents=_incidents(state), total=state.counts().incidents)
            )
        )

    @post("/incidents/{key:int}/resolve", status_code=200)
    async def resolve(
        self, request: AnyRequest, engine: NamedDependency[Engine], key: FromPath[int]
    ) -> Response[bytes]:
        """Do the step again that an incident is about.

        Raises:
            UnprocessableError: ``incident-not-found``, ``invalid-retries`` or ``invalid-variables``.
        """
        body = await _body(request, engine, contract.ResolveIncident)
        command = commands.ResolveIncident(incident=key, variables=body.variables, retries=body.retries)
        return await _act(engine, command)

    @get("/instances/{key:int}")
    async def instance(
        self, request: AnyRequest, engine: NamedDependency[Engine], key: FromPath[int]
    ) -> Response[bytes]:
        """Return the ``InstanceDetail`` of an instance, running or ended."""
        _check(request, engine)
        found = await engine.stream.read(lambda state: _detail(state.document(key)))
        if found is None:
            raise NotFoundError("instance-not-found", f"There is no instance {key}.")
        return _json(found)

    @post("/instances/{key:int}/cancel", status_code=200)
    async def cancel(
        self, request: AnyRequest, engine: NamedDependency[Engine], key: FromPath[int]
    ) -> Response[bytes]:
        """End an instance.

        Raises:
            UnprocessableError: ``instance-not-running``, or ``instance-called``: cancel its caller.
        """
        body = await _body(request, engine, contract.CancelInstance)
        return await _act(engine, commands.CancelInstance(instance=key, compensate=body.compensate))

    @post("/instances/{key:int}/modify", status_code=200)
    async def modify(
        self, request: AnyRequest, engine: NamedDependency[Engine], key: FromPath[int]
    ) -> Response[bytes]:
        """Move the tokens of an instance.

        Raises:
            UnprocessableError: ``instance-not-running``, ``element-not-activatable``, ``element-not-active``
                or ``invalid-variables``.
        """
        body = await _body(request, engine, contract.ModifyInstance)
        activate = tuple(
            commands.Activation(element=wanted.element, variables=wanted.variables)
            for wanted in body.activate
        )
        command = commands.ModifyInstance(instance=key, activate=activate, terminate=tuple(body.terminate))
        return await _act(engine, command)

    @post("/instances/{key:int}/migrate", status_code=200)
    async def migrate(
        self, request: AnyRequest, engine: NamedDependency[Engine], key: FromPath[int]
    ) -> Response[bytes]:
        """Let an instance follow another version of its process.

        Raises:
            UnprocessableError: ``instance-not-running``, ``unknown-version`` or ``migration-impossible``.
        """
        body = await _body(request, engine, contract.MigrateInstance)
        command = commands.MigrateInstance(instance=key, version=body.version, mapping=body.mapping)
        return await _act(engine, command)

    @get("/processes")
    async def processes(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Return ``DeployedVersions``: all of them, by process and number."""
        _check(request, engine)
        found = await engine.stream.read(State.deployed)
        found.sort(key=lambda deployed: (deployed.process, deployed.number))
        return _json(contract.DeployedVersions(processes=[_version(deployed) for deployed in found]))

    @post("/processes", status_code=200)
    async def deploy(self, request: AnyRequest, engine: NamedDependency[Engine]) -> Response[bytes]:
        """Deploy a process; new instances follow it from now on.

        Raises:
            UnprocessableError: what is wrong with the file, by the code and text that
                ``payhub bpmn lint`` would show.
        """
        body = await _body(request, engine, contract.DeployProcess)
        xml = body.xml.encode()
        reply = await _accepted(engine, commands.DeployProcess(xml=xml, tenant=body.tenant))
        found = await engine.stream.read(State.deployed)
        deployed = next(one for one in found if one.xml == xml and one.number == reply.key)
        return _json(_version(deployed, duplicate=reply.duplicate))


def _check(request: AnyRequest, engine: Engine) -> None:
    require_internal(request.headers, engine.settings.internal_token)


async def _body(request: AnyRequest, engine: Engine, kind: type[BodyT]) -> BodyT:
    _check(request, engine)
    body: BodyT = decode_body(await request.body(), _DECODERS[kind].decode)
    return body


async def _act(engine: Engine, command: commands.Command) -> Response[bytes]:
    reply = await _accepted(engine, command)
    return _json(contract.Acted(key=reply.key, duplicate=reply.duplicate))


async def _accepted(engine: Engine, command: commands.Command) -> Accepted:
    reply = await engine.stream.submit(command)
    if isinstance(reply, Rejected):
        raise UnprocessableError(reply.code, reply.detail)
    return reply


def _overview(engine: Engine, state: State) -> contract.EngineOverview:
    return contract.EngineOverview(
        engine=engine.settings.engine_id,
        site=engine.settings.site,
        replica=engine.view(),
        next_position=state.next_position,
        waiting=engine.stream.waiting,
        in_flight=state.index.running,
        counts=msgspec.convert(state.counts(), contract.InFlight, from_attributes=True),
        incidents=_incidents(state),
        limits=engine.limits(),
    )


def _incidents(state: State) -> list[contract.IncidentDetail]:
    found: list[contract.IncidentDetail] = []
    for incident in state.incidents():
        if len(found) == INCIDENTS_TOLD_MAX:
            break
        found.append(_incident(incident))
    return found


def _incident(incident: IncidentRecord) -> contract.IncidentDetail:
    return msgspec.convert(incident, contract.IncidentDetail, from_attributes=True)


def _detail(instance: Instance | None) -> contract.InstanceDetail | None:
    if instance is None:
        return None
    return contract.InstanceDetail(
        key=instance.key,
        process=instance.process,
        version=instance.version,
        tenant=instance.tenant,
        payment=instance.payment,
        started_at_ms=instance.started_at_ms,
        ended_at_ms=instance.ended_at_ms,
        outcome=instance.outcome,
        parent=instance.parent,
        variables=dict(instance.variables),
        elements=[_element(active) for key, active in instance.elements.items() if key],
    )


def _element(active: ElementInstance) -> contract.ActiveElement:
    job = active.job
    return contract.ActiveElement(
        key=active.key,
        element=active.element,
        scope=active.scope,
        variables=dict(active.variables),
        job=None if job is None else msgspec.convert(job, contract.JobDetail, from_attributes=True),
        timers_due_ms=[timer.due_ms for timer in active.timers],
        messages=[subscription.name for subscription in active.subscriptions],
        incident=0 if active.incident is None else active.incident.key,
        called=active.called,
    )


def _version(deployed: Deployed, *, duplicate: bool = False) -> contract.DeployedVersion:
    return contract.DeployedVersion(
        process=deployed.process,
        version=deployed.version,
        number=deployed.number,
        tenant=deployed.tenant,
        deployed_at_ms=deployed.at_ms,
        duplicate=duplicate,
    )


def _json(value: msgspec.Struct) -> Response[bytes]:
    return Response(_ENCODER.encode(value), media_type="application/json")
