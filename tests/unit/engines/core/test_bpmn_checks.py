"""Every check: what is found, at which element and line, and that nothing else is."""

import re
from pathlib import Path

import pytest
from support.bpmn_text import (
    DECLARED,
    END,
    FIRST_LINE,
    START,
    between,
    event,
    file,
    flow,
    job,
    message,
    node,
    path,
    scope,
    timer,
)

from payhub_engines.core.bpmn import check as checker
from payhub_engines.core.bpmn import reader
from payhub_engines.core.bpmn.check import Known, check, parse_checked
from payhub_engines.core.bpmn.model import DefinitionError
from payhub_engines.core.bpmn.parse import parse
from payhub_engines.core.bpmn.problems import PROBLEMS_MAX

SUB_START, SUB_END = event("startEvent", "s"), event("endEvent", "e")
POOR = "error errorRef='e-poor'"
TRANSFORM = "<zeebe:ioMapping><zeebe:input source='{}' target='{}'/></zeebe:ioMapping>"
LOOP = "<bpmn:multiInstanceLoopCharacteristics>{}</bpmn:multiInstanceLoopCharacteristics>"
LOOPED = "<bpmn:extensionElements><zeebe:loopCharacteristics {}/></bpmn:extensionElements>"


def boundary(definition, host="a", **more):
    return event("boundaryEvent", "b", definition, attachedToRef=host, **more)


def gateway(tag="exclusiveGateway", condition="= v", **more):
    """Two ways: ``g-x`` with the condition given, ``g-end``."""
    return file(
        START,
        node(tag, "g", **more),
        END,
        event("endEvent", "x"),
        path("start", "g", "end"),
        flow("g", "x", condition),
    )


def handler(*parts, attributes="", start="", more=""):
    """A process with an event sub-process ``h``."""
    start_event = start or event("startEvent", "s", POOR)
    inside = start_event + SUB_END + path("s", "e") if not parts else "".join(parts)
    return between(
        job("a"),
        f'<bpmn:subProcess id="h" triggeredByEvent="true"{attributes}>{inside}</bpmn:subProcess>',
        more,
    )


def compensated(more="", target="undo", undo=None):
    return file(
        START,
        job("a"),
        boundary("compensate"),
        undo or job("undo", isForCompensation="true"),
        f'<bpmn:association id="as" sourceRef="b" targetRef="{target}"/>',
        END,
        path("start", "a", "end") + more,
    )


FOLLOWS = ("unreachable", "flow-dangling", "condition-missing")  # from other faults
# code, element -> file; what is no error begins with "warning"
CASES = {
    "id-missing ": between("<bpmn:task/>", job("a")),
    "id-twice a": between(job("a"), job("a")),
    "warning declared-twice m-paid": between(node("receiveTask", "a", messageRef="m-paid"), "").replace(
        DECLARED.encode(), (message("paid") + DECLARED).encode()
    ),
    "flow-id start-a": between(job("a"), flow("start", "a")),
    "flow-dangling a-nowhere": between(job("a"), flow("a", "nowhere")),
    "flow-across-scopes s-end": between(scope("a", SUB_START, SUB_END, path("s", "e"), flow("s", "end"))),
    "job-type-missing a": between(node("serviceTask", "a")),
    "job-type-missing a#business": between(node("businessRuleTask", "a")),
    "job-type-missing a#throw": between(event("intermediateThrowEvent", "a", "message")),
    "header-missing a": between(
        node("serviceTask", "a", "", "<zeebe:taskDefinition type='payhub:take-allowance'/>")
    ),
    "retries-invalid a": between(node("sendTask", "a", "", "<zeebe:taskDefinition type='t' retries='-1'/>")),
    "script-missing a": between(node("scriptTask", "a", "<bpmn:script>1</bpmn:script>")),
    "script-missing a#result": between(node("scriptTask", "a", "", "<zeebe:script expression='=1'/>")),
    "called-process-missing a": between(node("callActivity", "a", calledElement="q")),
    "collection-missing a": between(job("a", more=LOOP.format(""))),
    "output-incomplete a": between(
        job("a", more=LOOP.format(LOOPED.format("inputCollection='=x' outputCollection='y'")))
    ),
    "mapping-invalid a": between(node("task", "a", "", TRANSFORM.format("=1", "a..b"))),
    "mapping-invalid a#source": between(node("task", "a", "", TRANSFORM.format("", "b"))),
    "expression-syntax a": between(node("task", "a", "", TRANSFORM.format("=1 +", "b"))),
    "expression-syntax g-x": gateway(condition="= v >", default="g-end"),
    "message-missing a": between(node("receiveTask", "a")),
    "message-missing a#unknown": between(node("receiveTask", "a", messageRef="m-none")),
    "message-name-missing a": between(node("receiveTask", "a", messageRef="m-")).replace(
        DECLARED.encode(), message("").encode()
    ),
    "correlation-key-missing a": between(node("receiveTask", "a", messageRef="m-x")).replace(
        DECLARED.encode(), message("x", "").encode()
    ),
    "signal-missing a": between(event("intermediateCatchEvent", "a", "signal")),
    "error-code-missing end": between(job("a")).replace(
        END.encode(), event("endEvent", "end", "error errorRef='none'").encode()
    ),
    "escalation-code-missing a": between(event("intermediateThrowEvent", "a", "escalation")),
    "timer-missing a": between(event("intermediateCatchEvent", "a", "timer")),
    "timer-missing a#empty": between(timer("intermediateCatchEvent", "a", " ")),
    "timer-invalid a": between(timer("intermediateCatchEvent", "a", "ten seconds")),
    "timer-invalid a#date": between(timer("intermediateCatchEvent", "a", "2030-13-01", "timeDate")),
    "timer-invalid a#far": between(timer("intermediateCatchEvent", "a", "P6000D")),
    "timer-invalid start": file(
        timer("startEvent", "start", "0 0 * * *", "timeCycle"), END, path("start", "end")
    ),
    "cycle-misplaced a": between(timer("intermediateCatchEvent", "a", "R/PT1S", "timeCycle")),
    "cycle-misplaced b": between(
        job("a"), timer("boundaryEvent", "b", "R3/PT1S", "timeCycle", attachedToRef="a"), flow("b", "end")
    ),
    "cycle-misplaced s": handler(start=timer("startEvent", "s", "R2/PT1S", "timeCycle")),
    "unsupported-expression start": file(
        event("startEvent", "start", "message messageRef='m'"),
        END,
        path("start", "end"),
        declared=node("message", "m", name="=x"),
    ),
    "unsupported-expression start#signal": file(
        event("startEvent", "start", "signal signalRef='s'"),
        END,
        path("start", "end"),
        declared=node("signal", "s", name="=x"),
    ),
    "unsupported-expression b": between(job("a"), boundary(POOR), flow("b", "end")).replace(
        b'errorCode="poor"', b'errorCode="=code"'
    ),
    "start-missing p": file(),
    "one-start-wanted p": file(
        START, event("startEvent", "other"), END, path("start", "end"), path("other", "end")
    ),
    "sub-process-start a": between(scope("a", SUB_END)),
    "sub-process-start s": between(
        scope("a", event("startEvent", "s", "message messageRef='m-paid'"), SUB_END, path("s", "e"))
    ),
    "event-sub-process-start h": handler(SUB_END),
    "event-sub-process-start s": handler(start=SUB_START),
    "event-sub-process-flow h": handler(more=flow("h", "end")),
    "error-not-interrupting s": handler(start=event("startEvent", "s", POOR, isInterrupting="false")),
    "error-not-interrupting b": between(job("a"), boundary(POOR, cancelActivity="false"), flow("b", "end")),
    "flow-after-end end": between(job("a"), job("c"), path("end", "c")),
    "flow-after-end out": file(
        START,
        event("intermediateThrowEvent", "out", "link name='l'"),
        event("intermediateCatchEvent", "in", "link name='l'"),
        END,
        path("start", "out", "end"),
        path("in", "end"),
    ),
    "flow-into-event start": between(job("a"), flow("a", "start")),
    "flow-into-event b": between(job("a"), boundary(POOR), flow("b", "end"), flow("a", "b")),
    "flow-into-event in": file(
        START,
        node("parallelGateway", "g"),
        event("intermediateThrowEvent", "out", "link name='l'"),
        event("intermediateCatchEvent", "in", "link name='l'"),
        END,
        path("start", "g", "out"),
        path("g", "in", "end"),
    ),
    "link-unpaired out": file(
        START, event("intermediateThrowEvent", "out", "link name='l'"), path("start", "out")
    ),
    "link-twice in": file(
        START,
        event("intermediateThrowEvent", "out", "link name='l'"),
        event("intermediateCatchEvent", "one", "link name='l'"),
        event("intermediateCatchEvent", "in", "link name='l'"),
        END,
        path("start", "out"),
        path("one", "end"),
        path("in", "end"),
    ),
    "no-way-out g": file(START, node("parallelGateway", "g"), path("start", "g")),
    "no-way-out b": between(job("a"), boundary(POOR)),
    "condition-missing g": gateway(condition="", default="g-x"),
    "condition-missing g#inclusive": gateway("inclusiveGateway", default=""),
    "condition-misplaced g-x": gateway("parallelGateway"),
    "condition-misplaced start-a": between(job("a")).replace(
        flow("start", "a").encode(), flow("start", "a", "=true").encode()
    ),
    "default-unknown g": gateway(default="start-g"),
    "default-misplaced g": gateway("parallelGateway", "", default="g-x"),
    "event-wanted g": file(
        START, node("eventBasedGateway", "g"), job("a"), END, path("start", "g", "a", "end")
    ),
    "event-wanted g#boundary": file(
        START,
        node("eventBasedGateway", "g"),
        node("receiveTask", "a", messageRef="m-paid"),
        boundary(POOR),
        END,
        path("start", "g", "a", "end"),
        path("b", "end"),
    ),
    "event-twice g": file(
        START,
        node("eventBasedGateway", "g"),
        timer("intermediateCatchEvent", "t", "PT1S"),
        END,
        path("start", "g", "t", "end"),
        node("sequenceFlow", "again", sourceRef="g", targetRef="t"),
    ),
    "trigger-twice m2": file(
        START,
        node("eventBasedGateway", "g"),
        event("intermediateCatchEvent", "m1", "message messageRef='m-paid'"),
        event("intermediateCatchEvent", "m2", "message messageRef='m-paid'"),
        END,
        path("start", "g", "m1", "end"),
        path("g", "m2", "end"),
    ),
    "trigger-twice b": between(
        node("receiveTask", "a", messageRef="m-paid"),
        boundary("message messageRef='m-paid'"),
        flow("b", "end"),
    ),
    "error-twice b": between(
        job("a"),
        event("boundaryEvent", "first", POOR, attachedToRef="a"),
        boundary(POOR),
        path("first", "end"),
        path("b", "end"),
    ),
    "boundary-misplaced b": between(
        job("a"), boundary(POOR, "g"), node("exclusiveGateway", "g"), path("b", "end"), path("a", "g", "end")
    ),
    "boundary-misplaced b#nobody": between(job("a"), boundary(POOR, "nobody"), path("b", "end")),
    "boundary-misplaced b#scope": between(
        scope("a", SUB_START, job("c"), SUB_END, path("s", "c", "e")), boundary(POOR, "c"), path("b", "end")
    ),
    "compensation-handler-missing b": compensated(target="nobody", undo=job("undo") + path("a", "undo")),
    "compensation-handler-missing b#normal": compensated(undo=job("undo") + path("a", "undo", "end")),
    "compensation-unattached u": compensated(more=job("u", isForCompensation="true")),
    "compensation-flow undo": compensated(more=path("undo", "end")),
    "compensation-flow b": compensated(more=path("b", "end")),
    "compensation-unknown c": between(
        event("intermediateThrowEvent", "c", "compensate activityRef='start'"), names="c"
    ),
    "unreachable lost": between(job("a"), job("lost"), flow("lost", "end")),
    "unreachable lost#scope": between(
        job("a"), scope("lost", SUB_START, SUB_END, path("s", "e")), flow("lost", "end")
    ),
    "unsupported-element a#complex": between(node("complexGateway", "a")),
    "unsupported-element a#transaction": between(node("transaction", "a", SUB_START)),
    "unsupported-element a#ad-hoc": between(node("adHocSubProcess", "a")),
    "unsupported-element a#conditional": between(event("intermediateCatchEvent", "a", "conditional")),
    "unsupported-element a#throw": between(timer("intermediateThrowEvent", "a", "PT1S")),
    "unsupported-element a#two": between(
        node("intermediateCatchEvent", "a", "<bpmn:timerEventDefinition/><bpmn:signalEventDefinition/>")
    ),
    "unsupported-element a#referred": between(
        node("intermediateCatchEvent", "a", "<bpmn:eventDefinitionRef>x</bpmn:eventDefinitionRef>")
    ),
    "unsupported-element a#foreign": between('<task xmlns="urn:other" id="a"/>'),
    "unsupported-element a#decision": between(
        node("businessRuleTask", "a", "", "<zeebe:calledDecision decisionId='d' resultVariable='r'/>")
    ),
    "unsupported-element a#standard": between(job("a", more="<bpmn:standardLoopCharacteristics/>")),
    "unsupported-element a#cardinality": between(
        job(
            "a",
            more=LOOP.format(
                LOOPED.format("inputCollection='=x'") + "<bpmn:loopCardinality>3</bpmn:loopCardinality>"
            ),
        )
    ),
    "unsupported-element a#repeated": between(
        event("intermediateThrowEvent", "a", inner=LOOP.format(LOOPED.format("inputCollection='=x'")))
    ),
    "unsupported-element a#listeners": between(node("task", "a", "", "<zeebe:executionListeners/>")),
    "unsupported-element start": file(event("startEvent", "start", POOR), END, path("start", "end")),
    "unsupported-element end": between(job("a")).replace(
        END.encode(), event("endEvent", "end", "cancel").encode()
    ),
    "unsupported-element h": handler(
        attributes="",
        more="",
        start=event("startEvent", "s", POOR) + LOOP.format(LOOPED.format("inputCollection='=x'")),
    ),
    "warning default-missing g": file(
        START,
        node("exclusiveGateway", "g"),
        END,
        event("endEvent", "x"),
        path("start", "g"),
        flow("g", "end", "=v"),
        flow("g", "x", "=w"),
    ),
    "warning condition-ignored g-x": file(
        START,
        node("exclusiveGateway", "g", default="g-x"),
        END,
        event("endEvent", "x"),
        path("start", "g"),
        flow("g", "end", "=v"),
        flow("g", "x", "=w"),
    ),
    "warning expression-mark-missing g-x": gateway(condition="v", default="g-end"),
    "warning correlation-key-static a": between(node("receiveTask", "a", messageRef="m-paid")).replace(
        b"= key", b"key"
    ),
    "warning extension-ignored a": between(job("a", tag="manualTask")),
    "warning extension-ignored a#binding": between(
        node("callActivity", "a", "", "<zeebe:calledElement processId='q' bindingType='versionTag'/>")
    ),
    "warning boundary-never-triggers b": between(
        node("task", "a"), timer("boundaryEvent", "b", "PT1S", attachedToRef="a"), flow("b", "end")
    ),
    "warning implicit-end a": file(START, job("a"), path("start", "a")),
    "warning error-uncaught end": between(job("a")).replace(
        END.encode(), event("endEvent", "end", POOR).encode()
    ),
    "warning loop-without-wait g": file(
        START,
        node("exclusiveGateway", "g", default="g-end"),
        node("task", "t"),
        END,
        path("start", "g", "end"),
        flow("g", "t", "=v"),
        flow("t", "g"),
    ),
}


def found(xml, catalogue=None):
    return [(problem.severity, problem.code, problem.element) for problem in check(xml, catalogue)]


@pytest.mark.parametrize("case", CASES)
def test_a_fault_is_found(case):
    *severity, code, element = case.partition("#")[0].split(" ")
    wanted = (severity[0] if severity else "error", code, element)
    problems = check(CASES[case])
    assert wanted in found(CASES[case])
    assert {problem.code for problem in problems if problem.is_error} <= {code, *FOLLOWS}
    [line] = {problem.line for problem in problems if (problem.code, problem.element) == (code, element)}
    assert line == 0 or f'id="{element}"' in CASES[case].decode().splitlines()[line - 1] or not element


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("warning")])
def test_an_error_refuses_the_deployment(case):
    with pytest.raises(DefinitionError) as refused:
        parse_checked(CASES[case])
    first = next(problem for problem in check(CASES[case]) if problem.is_error)
    assert (refused.value.code, refused.value.element, refused.value.line) == (
        first.code,
        first.element,
        first.line,
    )
    assert refused.value.status == 400


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("warning")])
def test_a_warning_refuses_nothing(case):
    assert parse_checked(CASES[case]).id == parse(CASES[case]).id == "p"


@pytest.mark.parametrize(
    "case", ["unreachable lost", "condition-missing g", "timer-invalid a#date", "boundary-misplaced b"]
)
def test_what_can_be_executed_is_parsed_though_it_could_not_be_deployed(case):
    assert parse(CASES[case]).id == "p"


def test_all_problems_are_told_in_the_order_of_their_lines():
    xml = between(node("serviceTask", "a"), job("lost"), node("receiveTask", "r"), names="a r")
    assert [(problem.line, problem.code, problem.element) for problem in check(xml)] == [
        (FIRST_LINE + 1, "job-type-missing", "a"),
        (FIRST_LINE + 2, "unreachable", "lost"),
        (FIRST_LINE + 2, "implicit-end", "lost"),
        (FIRST_LINE + 3, "message-missing", "r"),
    ]


def test_what_is_inside_something_unreachable_is_not_told_again():
    xml = CASES["unreachable lost#scope"]
    assert found(xml) == [("error", "unreachable", "lost")]


def test_the_catalogue_tells_who_serves_and_publishes():
    xml = between(
        job("a", "pay"),
        node("receiveTask", "r", messageRef="m-paid"),
        node("userTask", "u"),
        job("computed", "=kind"),
        names="a r u computed",
    )
    assert found(xml) == []
    assert found(xml, Known(frozenset({"pay"}), frozenset({"paid"}))) == []
    assert found(xml, Known(frozenset(), frozenset())) == [
        ("warning", "job-type-unserved", "a"),
        ("warning", "message-unpublished", "r"),
    ]


def test_a_message_of_an_event_sub_process_is_told_once():
    xml = handler(start=event("startEvent", "s", "message messageRef='m-paid'"))
    assert found(xml, Known(frozenset({"work"}), frozenset())) == [("warning", "message-unpublished", "s")]


@pytest.mark.parametrize("code", ["poor", ""])
def test_an_error_that_is_caught_is_no_warning(code):
    catches = POOR if code else "error"
    inner = scope("a", SUB_START, event("endEvent", "e", POOR), path("s", "e"))
    assert found(between(inner, boundary(catches), flow("b", "end"))) == []
    other = boundary("error errorRef='e-any'")
    assert found(between(inner, other, flow("b", "end"))) == [("warning", "error-uncaught", "e")]


def test_a_circle_with_a_wait_is_no_warning():
    xml = file(
        START,
        node("exclusiveGateway", "g", default="g-end"),
        timer("intermediateCatchEvent", "t", "PT1S"),
        END,
        path("start", "g", "end"),
        flow("g", "t", "=v"),
        flow("t", "g"),
    )
    assert found(xml) == []


def test_each_circle_is_told_once():
    xml = file(
        START,
        node("exclusiveGateway", "g", default="g-wait"),
        *(node("task", name) for name in ("a", "b", "c", "d")),
        timer("intermediateCatchEvent", "wait", "PT1S"),
        node("exclusiveGateway", "h", default="h-end"),
        END,
        path("start", "a", "g", "wait", "h", "end"),
        flow("g", "b", "=v"),
        flow("g", "c", "=w"),
        path("b", "a"),
        path("c", "a"),
        flow("h", "d", "=v"),
        flow("d", "h"),
    )
    assert found(xml) == [("warning", "loop-without-wait", "g"), ("warning", "loop-without-wait", "d")]


def test_many_faults_are_told_up_to_a_bound_and_none_hides_an_error():
    gates = [node("exclusiveGateway", f"g{number}") for number in range(PROBLEMS_MAX + 5)]
    problems = check(file(START, END, path("start", "end"), *gates))
    assert sum(problem.is_error for problem in problems) == PROBLEMS_MAX
    with pytest.raises(DefinitionError):
        parse_checked(file(START, END, path("start", "end"), *gates))


def test_the_numbers_of_elements_and_flows_are_bounded(monkeypatch):
    xml = between(job("a"))
    monkeypatch.setattr(reader, "ELEMENTS_MAX", 2)
    assert "file-too-large" in {problem.code for problem in check(xml)}
    monkeypatch.setattr(reader, "ELEMENTS_MAX", 3)
    assert check(xml) == []
    monkeypatch.setattr(reader, "FLOWS_MAX", 1)
    assert "file-too-large" in {problem.code for problem in check(xml)}


def test_every_code_has_a_case():
    folder = Path(checker.__file__).parent
    source = "".join(module.read_text() for module in folder.rglob("*.py"))
    codes = set(re.findall(r'Problem\(\s*"([a-z-]+)"', source))
    told = {case.partition("#")[0].split(" ")[-2] for case in CASES}
    assert codes - told == {"file-too-large", "job-type-unserved", "message-unpublished"}
    assert told <= codes


def test_the_page_tells_every_code_with_its_severity():
    page = (Path(__file__).parents[4] / "docs" / "processes.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (error|warning) \|", page, re.MULTILINE))
    folder = Path(checker.__file__).parent
    source = "".join(module.read_text() for module in sorted(folder.rglob("*.py")))
    raised = set(re.findall(r'(?:Problem|DefinitionError)\(\s*"([a-z-]+)"', source))
    assert set(rows) == raised
    warnings = {case.split(" ")[1] for case in CASES if case.startswith("warning")}
    assert {code for code, severity in rows.items() if severity == "warning"} == warnings | {
        "job-type-unserved",
        "message-unpublished",
    }
