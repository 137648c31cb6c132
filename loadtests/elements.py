"""Where the microseconds of the core go: each kind of element and a whole payment, alone in memory.

Run it with ``.venv/bin/python loadtests/elements.py``. It prints a Markdown table: the best of several
rounds, in microseconds, without log, disk, sockets or garbage collection.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import click

from payhub_cli.bench.core_alone import Answer, PaymentWorld, decide, deployed, run
from payhub_cli.bench.replica import opening_files
from payhub_engines.core.appliers import apply_entry
from payhub_engines.core.commands import Command, CompleteJob, CorrelateMessage, StartInstance, TriggerTimer
from payhub_engines.core.events import (
    AnyEvent,
    JobCreated,
    LogEntry,
    SubscriptionOpened,
    TimerCreated,
    decode_entry,
    encode_entry,
)
from payhub_engines.core.memory_store import MemoryStore
from payhub_engines.core.state import State
from payhub_platform.contracts.handover import Callback

T = TypeVar("T")

ROUNDS: Final = 5
INSTANCES: Final = 100
ELEMENTS: Final = 10  # in a row, in each instance
PAYMENTS: Final = 500
PAYLOAD_BYTES: Final = 400
TENANT: Final = "lion"
TTL_MS: Final = 10_000
HEAD: Final = (
    '<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" '
    'xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" targetNamespace="https://payhub.dev/elements">'
    '<message id="m" name="m"><extensionElements><zeebe:subscription correlationKey="=id"/>'
    "</extensionElements></message>"
)
JOB: Final = '<extensionElements><zeebe:taskDefinition type="work"/></extensionElements>'
LATE: Final = "<timerEventDefinition><timeDuration>PT60S</timeDuration></timerEventDefinition>"
NOW: Final = LATE.replace("PT60S", "PT0S")
CAUGHT: Final = '<messageEventDefinition messageRef="m"/>'
SUB: Final = '<startEvent id="s@"/><endEvent id="e@"/><sequenceFlow id="f@" sourceRef="s@" targetRef="e@"/>'
CALLED: Final = (
    f'{HEAD}<process id="called" isExecutable="true"><startEvent id="start"/><endEvent id="end"/>'
    '<sequenceFlow id="flow" sourceRef="start" targetRef="end"/></process></definitions>'
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of element.

    Attributes:
        xml: its nodes and inner flows; ``@`` stands for its number, and it is entered at ``in@``.
        leave: the flow that leaves it is written so; ``to`` is where it leads.
        fires: whether its timers are fired rather than left behind.
    """

    name: str
    xml: str
    leave: str = '<sequenceFlow id="l@" sourceRef="in@" targetRef="{to}"/>'
    fires: bool = False


def _leave(source: str) -> str:
    return f'<sequenceFlow id="l@" sourceRef="{source}" targetRef="{{to}}"/>'


def _flow(name: str, source: str, target: str) -> str:
    return f'<sequenceFlow id="{name}@" sourceRef="{source}@" targetRef="{target}@"/>'


CONDITION: Final = '<conditionExpression>=amount &gt; 5 and currency = "TZS"</conditionExpression>'
KINDS: Final = (
    Kind("manual task", '<manualTask id="in@"/>'),
    Kind("service task", f'<serviceTask id="in@">{JOB}</serviceTask>'),
    Kind(
        "service task with a boundary timer",
        f'<serviceTask id="in@">{JOB}</serviceTask><boundaryEvent id="b@" attachedToRef="in@">{LATE}'
        '</boundaryEvent><sequenceFlow id="bl@" sourceRef="b@" targetRef="end"/>',
    ),
    Kind("receive task", '<receiveTask id="in@" messageRef="m"/>'),
    Kind("message catch event", f'<intermediateCatchEvent id="in@">{CAUGHT}</intermediateCatchEvent>'),
    Kind("timer catch event", f'<intermediateCatchEvent id="in@">{NOW}</intermediateCatchEvent>', fires=True),
    Kind(
        "event-based gateway, message or timer",
        f'<eventBasedGateway id="in@"/><intermediateCatchEvent id="c@">{CAUGHT}</intermediateCatchEvent>'
        f'<intermediateCatchEvent id="t@">{LATE}</intermediateCatchEvent>'
        f"{_flow('ic', 'in', 'c')}{_flow('it', 'in', 't')}"
        '<sequenceFlow id="tl@" sourceRef="t@" targetRef="end"/>',
        _leave("c@"),
    ),
    Kind(
        "exclusive gateway with a condition",
        '<exclusiveGateway id="in@" default="d@"/><sequenceFlow id="d@" sourceRef="in@" targetRef="end"/>',
        f'<sequenceFlow id="l@" sourceRef="in@" targetRef="{{to}}">{CONDITION}</sequenceFlow>',
    ),
    Kind(
        "parallel gateway, fork and join of two",
        '<parallelGateway id="in@"/><manualTask id="a@"/><manualTask id="b@"/><parallelGateway id="j@"/>'
        f"{_flow('ia', 'in', 'a')}{_flow('ib', 'in', 'b')}{_flow('aj', 'a', 'j')}{_flow('bj', 'b', 'j')}",
        _leave("j@"),
    ),
    Kind(
        "script task",
        '<scriptTask id="in@"><extensionElements><zeebe:script expression="=amount + 1" resultVariable="n"/>'
        "</extensionElements></scriptTask>",
    ),
    Kind("embedded sub-process", f'<subProcess id="in@">{SUB}</subProcess>'),
    Kind(
        "multi-instance script task, three items",
        '<scriptTask id="in@"><extensionElements><zeebe:script expression="=item + 1" resultVariable="n"/>'
        "</extensionElements><multiInstanceLoopCharacteristics><extensionElements>"
        '<zeebe:loopCharacteristics inputCollection="=[1,2,3]" inputElement="item"/>'
        "</extensionElements></multiInstanceLoopCharacteristics></scriptTask>",
    ),
    Kind(
        "call activity of an empty process",
        '<callActivity id="in@"><extensionElements><zeebe:calledElement processId="called"/>'
        "</extensionElements></callActivity>",
    ),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds, events and bytes: of a whole run, or of one element of it."""

    decide_us: float
    encode_us: float
    decode_us: float
    apply_us: float
    events: float
    size_bytes: float

    def minus(self, other: "Cost", elements: int) -> "Cost":
        """Return the difference, for each of so many elements."""
        return Cost(
            *((mine - its) / elements for mine, its in zip(_values(self), _values(other), strict=True))
        )


def _values(cost: Cost) -> tuple[float, ...]:
    return (cost.decide_us, cost.encode_us, cost.decode_us, cost.apply_us, cost.events, cost.size_bytes)


def process(kind: Kind, count: int) -> bytes:
    """Return a process with so many elements of a kind in a row."""
    first = "in1" if count else "end"
    parts = [HEAD, '<process id="p" isExecutable="true"><startEvent id="start"/><endEvent id="end"/>']
    parts.append(f'<sequenceFlow id="begin" sourceRef="start" targetRef="{first}"/>')
    for number in range(1, count + 1):
        to = f"in{number + 1}" if number < count else "end"
        parts.append((kind.xml + kind.leave.replace("{to}", to)).replace("@", str(number)))
    return "".join([*parts, "</process></definitions>"]).encode()


def world(kind: Kind) -> Answer:
    """Return what the outside answers to a kind of element."""

    def answer(_state: State, event: AnyEvent) -> list[Command]:
        match event:
            case JobCreated():
                return [CompleteJob(job=event.job, variables={})]
            case SubscriptionOpened():
                callback = Callback(
                    tenant=TENANT,
                    name="m",
                    correlation_key=event.correlation_key,
                    variables={},
                    ttl_ms=TTL_MS,
                )
                return [CorrelateMessage(callback=callback)]
            case TimerCreated() if kind.fires:
                return [TriggerTimer(timer=event.timer)]
        return []

    return answer


def measured(files: list[bytes], commands: list[Command], answer: Answer) -> Cost:
    """Run commands on a new engine and on a follower of it, and return what it cost."""
    state, opening = deployed(files)
    spent = 0.0

    def timed(on: State, batch: list[Command]) -> LogEntry | None:
        nonlocal spent
        began = time.perf_counter()
        entry = decide(on, batch)
        spent += time.perf_counter() - began
        return entry

    entries = run(state, commands, answer, timed)
    encode_us, data = _timed(lambda: [encode_entry(entry) for entry in entries])
    decode_us, decoded = _timed(lambda: [decode_entry(each) for each in data])
    follower = State(MemoryStore())
    apply_entry(opening, follower)
    began = time.perf_counter()
    for entry in decoded:
        apply_entry(entry, follower)
    apply_us = (time.perf_counter() - began) * 1e6
    events, size_bytes = sum(len(entry.events) for entry in entries), sum(map(len, data))
    return Cost(spent * 1e6, encode_us, decode_us, apply_us, events, size_bytes)


def best(files: list[bytes], commands: list[Command], make_answer: Callable[[], Answer]) -> Cost:
    """Return the lowest of each figure over some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        gc.collect()
        rounds.append(_values(measured(files, commands, make_answer())))
    return Cost(*(min(column) for column in zip(*rounds, strict=True)))


def element(kind: Kind) -> Cost:
    """Return the cost of one element of a kind: many in a row, less a process without any."""
    starts: list[Command] = [
        StartInstance(
            process="p",
            tenant=TENANT,
            payment=f"p{number}",
            fingerprint="f",
            variables={"id": f"p{number}", "amount": 10, "currency": "TZS"},
        )
        for number in range(INSTANCES)
    ]
    called = [CALLED.encode()] if "called" in kind.xml else []
    whole, empty = (
        best([*called, process(kind, count)], starts, lambda: world(kind)) for count in (ELEMENTS, 0)
    )
    return whole.minus(empty, INSTANCES * ELEMENTS)


def payment() -> Cost:
    """Return the cost of one payment of ``payhub bench engine``."""
    outside = PaymentWorld(PAYLOAD_BYTES)
    starts = [outside.start(f"p{number}") for number in range(PAYMENTS)]
    cost = best(opening_files(), starts, lambda: PaymentWorld(PAYLOAD_BYTES))
    return Cost(*(value / PAYMENTS for value in _values(cost)))


def _timed(function: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    result = function()
    return (time.perf_counter() - began) * 1e6, result


def _row(name: str, cost: Cost) -> str:
    figures = [f"{value:.1f}" for value in _values(cost)[:4]]
    return f"| {name} | {' | '.join(figures)} | {cost.events:.0f} | {cost.size_bytes:.0f} |"


def main() -> None:
    """Print the table."""
    gc.collect()
    gc.freeze()
    gc.disable()
    click.echo("| one of | decide us | encode us | decode us | apply us | events | bytes |")
    click.echo("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in KINDS:
        click.echo(_row(kind.name, element(kind)))
    click.echo(_row("**a whole payment**", payment()))


if __name__ == "__main__":
    main()
