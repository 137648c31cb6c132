"""The processes that the simulated engines run: small ones for every kind of wait, and those of the bench."""

from importlib import resources
from itertools import pairwise

_HEAD = (
    '<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" '
    'xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="urn:simulation">'
    '<message id="m-quoted" name="quoted"><extensionElements>'
    '<zeebe:subscription correlationKey="=transactionId"/></extensionElements></message>'
    '<error id="e-hit" errorCode="screen-hit"/>'
)


def _job(name: str, job_type: str = "", more: str = "", attributes: str = "") -> str:
    task = f'<zeebe:taskDefinition type="{job_type or name}" retries="3"/>'
    return (
        f'<serviceTask id="{name}"{attributes}><extensionElements>{task}</extensionElements>{more}'
        "</serviceTask>"
    )


def _flow(source: str, target: str, condition: str = "") -> str:
    inner = f"<conditionExpression>{condition}</conditionExpression>" if condition else ""
    ends = f'sourceRef="{source}" targetRef="{target}"'
    return f'<sequenceFlow id="{source}-{target}" {ends}>{inner}</sequenceFlow>'


def _path(*names: str) -> str:
    return "".join(_flow(source, target) for source, target in pairwise(names))


def _timer(duration: str) -> str:
    return f"<timerEventDefinition><timeDuration>{duration}</timeDuration></timerEventDefinition>"


def _undo(host: str, handler: str) -> str:
    event = f"{host}-undo"
    return (
        f'<boundaryEvent id="{event}" attachedToRef="{host}"><compensateEventDefinition/></boundaryEvent>'
        f'<association id="{event}-{handler}" sourceRef="{event}" targetRef="{handler}"/>'
        + _job(handler, attributes=' isForCompensation="true"')
    )


def _process(name: str, *parts: str) -> bytes:
    body = "".join(parts)
    return f'{_HEAD}<process id="{name}" isExecutable="true">{body}</process></definitions>'.encode()


def _items(collection: str) -> str:
    return (
        '<multiInstanceLoopCharacteristics><extensionElements><zeebe:loopCharacteristics inputCollection="='
        f'{collection}" inputElement="item"/></extensionElements></multiInstanceLoopCharacteristics>'
    )


def _transfer() -> bytes:
    """Reserve, ask for a quote while the payee is screened, then book; without a quote pay back."""
    return _process(
        "sim-transfer",
        '<startEvent id="start"/>' + _job("reserve") + '<parallelGateway id="both"/>' + _job("ask-quote"),
        '<eventBasedGateway id="quote-or-late"/><intermediateCatchEvent id="quoted">',
        '<messageEventDefinition messageRef="m-quoted"/></intermediateCatchEvent>',
        f'<intermediateCatchEvent id="late">{_timer("PT3S")}</intermediateCatchEvent>',
        '<exclusiveGateway id="either"/>' + _job("screen"),
        '<boundaryEvent id="hit" attachedToRef="screen"><errorEventDefinition errorRef="e-hit"/>',
        '</boundaryEvent><exclusiveGateway id="screened"/><parallelGateway id="joined"/>',
        '<exclusiveGateway id="is-quoted" default="is-quoted-refund"/>' + _job("book") + _job("refund"),
        '<endEvent id="booked"/><endEvent id="refunded"/>',
        _path("start", "reserve", "both", "ask-quote", "quote-or-late", "quoted", "either", "joined"),
        _path("quote-or-late", "late", "either") + _path("both", "screen", "screened", "joined"),
        _path("hit", "screened") + _path("joined", "is-quoted", "refund", "refunded"),
        _flow("is-quoted", "book", "=quoted = true") + _path("book", "booked"),
    )


def _booking() -> bytes:
    """Reserve and take a fee; where the bank then refuses, compensate both."""
    return _process(
        "sim-booking",
        '<startEvent id="start"/>' + _job("reserve") + _undo("reserve", "release") + _job("fee"),
        _undo("fee", "return-fee") + _job("decide") + '<exclusiveGateway id="fits" default="fits-undone"/>',
        _job("book") + '<endEvent id="booked"/>',
        '<endEvent id="undone"><compensateEventDefinition/></endEvent>',
        _path("start", "reserve", "fee", "decide", "fits", "undone"),
        _flow("fits", "book", "=fits = true") + _path("book", "booked"),
    )


def _batch() -> bytes:
    """Pay many at once inside a sub-process that is reminded of, then call another process."""
    return _process(
        "sim-batch",
        '<startEvent id="start"/><subProcess id="paying"><startEvent id="each"/>',
        _job("pay-item", more=_items("items")) + '<endEvent id="paid"/>',
        _path("each", "pay-item", "paid") + "</subProcess>",
        '<boundaryEvent id="slow" attachedToRef="paying" cancelActivity="false">' + _timer("PT0.2S"),
        "</boundaryEvent>" + _job("remind") + '<endEvent id="reminded"/>',
        '<callActivity id="tell"><extensionElements><zeebe:calledElement processId="sim-notice" '
        'propagateAllChildVariables="false"/></extensionElements></callActivity>',
        f'<intermediateCatchEvent id="rest">{_timer("PT1S")}</intermediateCatchEvent><endEvent id="done"/>',
        _path("start", "paying", "tell", "rest", "done") + _path("slow", "remind", "reminded"),
    )


def _limited() -> bytes:
    """Count it, reserve, and book what fits; else pay it back and count it no more."""
    headers = {"limits": "= limits", "member": "= member", "amount": "= money"}
    written = "".join(f'<zeebe:header key="{name}" value="{value}"/>' for name, value in headers.items())
    return _process(
        LIMITED,
        '<startEvent id="start"/><serviceTask id="take"><extensionElements>',
        '<zeebe:taskDefinition type="payhub:take-allowance"/>',
        f"<zeebe:taskHeaders>{written}</zeebe:taskHeaders></extensionElements></serviceTask>",
        '<boundaryEvent id="full" attachedToRef="take"><errorEventDefinition/>',
        '</boundaryEvent><endEvent id="over"/>' + _job("reserve") + _job("decide"),
        '<exclusiveGateway id="fits" default="fits-refund"/>' + _job("book") + '<endEvent id="booked"/>',
        _job("refund") + _job("give-back", "payhub:return-allowance") + '<endEvent id="failed"/>',
        _path("start", "take", "reserve", "decide", "fits", "refund", "give-back", "failed"),
        _path("full", "over"),
        _flow("fits", "book", "=fits = true") + _path("book", "booked"),
    )


def _notice() -> bytes:
    return _process(
        "sim-notice",
        '<startEvent id="start"/>' + _job("notify") + '<endEvent id="end"/>',
        _path("start", "notify", "end"),
    )


OWN = ("sim-transfer", "sim-booking", "sim-batch")
LIMITED = "sim-limited"
BENCH = "bench-payer-fund-transfer"
_BENCH_FILES = ("payer-fund-transfer", "payee-party-lookup", "payee-quote-transfer")


def xmls(*, has_limits: bool = False) -> list[bytes]:
    """Return all process files that a leader deploys."""
    folder = resources.files("payhub_cli.bench") / "processes"
    bench = [(folder / f"{name}.bpmn").read_bytes() for name in _BENCH_FILES]
    own = [_notice(), _transfer(), _booking(), _batch()]
    return [*own, *bench, *([_limited()] if has_limits else [])]
