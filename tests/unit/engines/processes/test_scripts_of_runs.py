"""The scripts that run the processes: they find what can be reached, and notice an engine that strays."""

from itertools import product
from xml.sax.saxutils import escape

import pytest
from support.conditions import Conditions, holds, names
from support.path_cover import cover
from support.process_graph import read_graph
from support.scripted_run import engine_for, play

HEAD = """<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL"
 xmlns:zeebe="http://camunda.org/schema/zeebe/1.0">
 <bpmn:message id="m" name="answer"><bpmn:extensionElements>
  <zeebe:subscription correlationKey="= id"/></bpmn:extensionElements></bpmn:message>
 <bpmn:error id="e" errorCode="refused"/><bpmn:process id="p" isExecutable="true">"""
TAIL = "</bpmn:process></bpmn:definitions>"
TIMER = "<bpmn:timerEventDefinition><bpmn:timeDuration>PT5S</bpmn:timeDuration></bpmn:timerEventDefinition>"


def process(*parts, flows):
    """Flows are written ``source>target`` or ``source>target:condition``."""
    written = []
    for number, text in enumerate(flows.split(";")):
        way, _, condition = text.strip().partition(":")
        source, target = way.split(">")
        inner = (
            f"<bpmn:conditionExpression>{escape(condition)}</bpmn:conditionExpression>" if condition else ""
        )
        ends_at = f'id="f{number}" sourceRef="{source}" targetRef="{target}"'
        written.append(f"<bpmn:sequenceFlow {ends_at}>{inner}</bpmn:sequenceFlow>")
    return (HEAD + "".join(parts) + "".join(written) + TAIL).encode()


def node(tag, name, inner="", **attributes):
    rest = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<bpmn:{tag} id="{name}"{rest}>{inner}</bpmn:{tag}>'


def job(name):
    task = f'<bpmn:extensionElements><zeebe:taskDefinition type="{name}"/></bpmn:extensionElements>'
    return node("serviceTask", name, task)


def ends(*ids):
    return "".join(node("endEvent", name) for name in ids)


def play_all(graph, xml):
    return [play(engine_for(graph, xml), graph, run) for run in cover(graph).runs]


START = node("startEvent", "s")
ERROR = node("boundaryEvent", "err", '<bpmn:errorEventDefinition errorRef="e"/>', attachedToRef="ask")
LATE = node("boundaryEvent", "late", TIMER, attachedToRef="wait")
WAITING = process(
    START,
    job("ask"),
    ERROR,
    node("receiveTask", "wait", messageRef="m"),
    LATE,
    node("exclusiveGateway", "good", default="f4"),
    ends("done", "bad", "over"),
    flows="s>ask;ask>wait;err>bad;wait>good;good>bad;good>done:= ok = true and n < 3;late>over",
)
FORKED = process(
    START,
    node("parallelGateway", "fork"),
    job("a"),
    job("b"),
    node("parallelGateway", "join"),
    ends("done"),
    flows="s>fork;fork>a;fork>b;a>join;b>join;join>done",
)
CONTRADICTORY = process(
    START,
    job("ask"),
    node("exclusiveGateway", "g1", default="f2"),
    node("exclusiveGateway", "g2", default="f4"),
    ends("no", "yes", "never"),
    flows="s>ask;ask>g1;g1>no;g1>g2:= x = true;g2>yes;g2>never:= x = false",
)


def test_workers_errors_messages_and_timers_reach_every_end():
    graph = read_graph(WAITING)
    found = cover(graph)
    assert {view.path[-1] for view in play_all(graph, WAITING)} == {"done", "bad", "over"}
    assert found.unreached == found.unfinished == set()


def test_branches_are_run_until_they_meet():
    graph = read_graph(FORKED)
    (view,) = play_all(graph, FORKED)
    assert view.path.count("join") == 1


def test_what_contradicts_itself_is_not_reached():
    assert cover(read_graph(CONTRADICTORY)).unreached == {"never", "f5"}


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('sourceRef="err" targetRef="bad"', 'sourceRef="err" targetRef="done"'),
        ("n &lt; 3", "n &gt; 3"),
        ("PT5S", "PT50S"),
        ('name="answer"', 'name="question"'),
        ('errorCode="refused"', 'errorCode="other"'),
        ('<zeebe:taskDefinition type="ask"/>', '<zeebe:taskDefinition type="tell"/>'),
    ],
)
def test_an_engine_that_goes_another_way_is_noticed(was, becomes):
    graph = read_graph(WAITING)
    other = WAITING.decode().replace(was, becomes).encode()
    assert other != WAITING
    with pytest.raises(AssertionError):
        play_all(graph, other)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('=a.b = "x y" or not(c)', ["a.b", "c"]),
        ("= some x in phases satisfies x <= rate", ["phases", "rate"]),
        ("count(items) > 2 and ok", ["items", "ok"]),
        ("= deliveryMessage != null", ["deliveryMessage"]),
    ],
)
def test_the_variables_of_a_condition_are_found(text, found):
    assert names(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "=failed = true",
        "=retry<3",
        "=messageStatus = pending",
        '= failed = true or state != "COMMITTED"',
        "=rate < threshold and retry < most",
        "= code <=199 or code >=300",
        "= some x in phases satisfies x <= rate",
        'asked and (failed = true or state = "REJECTED")',
        "= error != null and (by = payee or by = switch)",
        'result.state = "ABORTED" and by = payee and by != switch',
    ],
)
def test_each_form_of_condition_is_met_and_missed(text):
    conditions = Conditions([text])
    for wanted in (True, False):
        values = conditions.solve({(text, wanted)})
        assert values is not None
        assert holds(text, values) is wanted


def test_conditions_are_met_together():
    texts = ["=retry < 3", "=retry >= most", "=ok = true"]
    conditions = Conditions(texts)
    for wishes in product((True, False), repeat=3):
        values = conditions.solve(set(zip(texts, wishes, strict=True)))
        assert values is not None
        assert tuple(holds(text, values) for text in texts) == wishes
