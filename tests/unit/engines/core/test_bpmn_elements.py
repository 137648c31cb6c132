"""Each element of BPMN as the interpreter gets it."""

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

from payhub_engines.core.bpmn.check import check
from payhub_engines.core.bpmn.model import (
    CompensationThrow,
    ErrorThrow,
    ErrorTrigger,
    EscalationThrow,
    EscalationTrigger,
    Kind,
    MessageTrigger,
    SignalThrow,
    SignalTrigger,
    TerminateThrow,
    TimerTrigger,
)
from payhub_engines.core.bpmn.parse import parse
from payhub_engines.core.bpmn.tasks import USER_TASK_JOB

REFERENCES = {
    "message": "message messageRef='m-paid'",
    "signal": "signal signalRef='s-stop'",
    "error": "error errorRef='e-poor'",
    "escalation": "escalation escalationRef='x-late'",
}


def element(xml, name="a"):
    assert [problem for problem in check(xml) if problem.is_error] == []
    return parse(xml).elements[name]


def loop(attributes, more="", **loop_attributes):
    extension = f"<bpmn:extensionElements><zeebe:loopCharacteristics {attributes}/></bpmn:extensionElements>"
    written = "".join(f" {key}='{value}'" for key, value in loop_attributes.items())
    return (
        f"<bpmn:multiInstanceLoopCharacteristics{written}>{extension}{more}"
        "</bpmn:multiInstanceLoopCharacteristics>"
    )


@pytest.mark.parametrize(
    ("xml", "kind"),
    [
        (node("task", "a"), Kind.PASS),
        (node("manualTask", "a"), Kind.PASS),
        (job("a"), Kind.JOB),
        (job("a", tag="sendTask"), Kind.JOB),
        (job("a", tag="businessRuleTask"), Kind.JOB),
        (job("a", tag="scriptTask"), Kind.JOB),
        (job("a", tag="userTask"), Kind.JOB),
        (node("userTask", "a"), Kind.JOB),
        (node("scriptTask", "a", "", "<zeebe:script expression='=1' resultVariable='r'/>"), Kind.SCRIPT),
        (node("receiveTask", "a", messageRef="m-paid"), Kind.CATCH),
        (node("callActivity", "a", "", "<zeebe:calledElement processId='q'/>"), Kind.CALL),
        (scope("a", event("startEvent", "s"), event("endEvent", "e"), flow("s", "e")), Kind.SUB_PROCESS),
        (node("exclusiveGateway", "a"), Kind.EXCLUSIVE),
        (node("parallelGateway", "a"), Kind.PARALLEL),
        (node("inclusiveGateway", "a"), Kind.INCLUSIVE),
        (event("intermediateThrowEvent", "a"), Kind.PASS),
        (event("intermediateThrowEvent", "a", REFERENCES["signal"]), Kind.THROW),
        (event("intermediateThrowEvent", "a", REFERENCES["escalation"]), Kind.THROW),
        (event("intermediateThrowEvent", "a", "compensate"), Kind.THROW),
        (event("intermediateCatchEvent", "a", REFERENCES["message"]), Kind.CATCH),
        (event("intermediateCatchEvent", "a", REFERENCES["signal"]), Kind.CATCH),
        (timer("intermediateCatchEvent", "a", "PT1S"), Kind.CATCH),
    ],
)
def test_what_stands_on_a_path_has_a_kind_tag_and_line(xml, kind):
    found = element(between(xml))
    assert (found.kind, found.line, found.scope) == (kind, FIRST_LINE + 1, "")
    assert f"<bpmn:{found.tag} " in xml
    assert (found.incoming, [leaving.target for leaving in found.outgoing]) == (("start-a",), ["end"])


def test_a_message_throw_event_is_a_job():
    for inside in (False, True):
        task = "<zeebe:taskDefinition type='tell' retries='5'/>"
        definition = "<bpmn:messageEventDefinition>{}</bpmn:messageEventDefinition>"
        extensions = f"<bpmn:extensionElements>{task}</bpmn:extensionElements>"
        inner = definition.format(extensions if inside else "")
        xml = node("intermediateThrowEvent", "a", inner, "" if inside else task)
        found = element(between(xml))
        assert (found.kind, found.job.type, found.job.retries) == (Kind.JOB, "tell", 5)
        last = element(file(START, xml.replace("intermediateThrowEvent", "endEvent"), flow("start", "a")))
        assert (last.kind, last.tag, last.job.type) == (Kind.JOB, "endEvent", "tell")


@pytest.mark.parametrize(
    ("definition", "throw"),
    [
        ("", None),
        (REFERENCES["error"], ErrorThrow("poor")),
        (REFERENCES["escalation"], EscalationThrow("late")),
        (REFERENCES["signal"], SignalThrow("stop")),
        ("terminate", TerminateThrow()),
        ("compensate", CompensationThrow()),
    ],
)
def test_an_end_event_throws(definition, throw):
    found = element(file(START, event("endEvent", "a", definition), flow("start", "a")))
    assert (found.kind, found.throw) == (Kind.END, throw)


@pytest.mark.parametrize(
    ("definition", "trigger"),
    [
        (REFERENCES["error"], ErrorTrigger("poor")),
        ("error", ErrorTrigger("")),
        (REFERENCES["escalation"], EscalationTrigger("late")),
        ("escalation", EscalationTrigger("")),
        (REFERENCES["signal"], SignalTrigger("stop")),
    ],
)
def test_a_boundary_event_catches(definition, trigger):
    xml = between(job("a"), event("boundaryEvent", "b", definition, attachedToRef="a"), flow("b", "end"))
    definition = parse(xml)
    found, host = definition.elements["b"], definition.elements["a"]
    assert (found.kind, found.trigger, found.attached_to, found.interrupting) == (
        Kind.BOUNDARY,
        trigger,
        "a",
        True,
    )
    expected = {ErrorTrigger: "errors", EscalationTrigger: "escalations", SignalTrigger: "waits"}
    for name in ("errors", "escalations", "waits"):
        assert getattr(host, name) == (("b",) if expected[type(trigger)] == name else ())


def test_a_boundary_event_need_not_interrupt():
    late = timer("boundaryEvent", "b", "R3/PT10S", "timeCycle", attachedToRef="a", cancelActivity="false")
    found = element(between(job("a"), late, flow("b", "end")), "b")
    assert (found.interrupting, found.trigger) == (False, TimerTrigger("cycle", "R3/PT10S"))


@pytest.mark.parametrize(
    ("kind", "name", "time"),
    [
        ("timeDuration", "duration", "PT0.5S"),
        ("timeDate", "date", "2030-01-01T00:00:00Z"),
        ("timeDate", "date", "2001-01-01T00:00:00+03:00"),
    ],
)
def test_a_timer_has_a_duration_or_date(kind, name, time):
    found = element(between(timer("intermediateCatchEvent", "a", time, kind)))
    assert found.trigger == TimerTrigger(name, time)


def test_what_begins_with_an_equals_sign_is_computed():
    declared = node("message", "m", "", "<zeebe:subscription correlationKey='=id'/>", name='="n" + id')
    definition = parse(
        file(
            START,
            node("receiveTask", "r", messageRef="m"),
            timer("intermediateCatchEvent", "t", "=wait"),
            node("serviceTask", "j", "", "<zeebe:taskDefinition type='=kind' retries='=3 + more'/>"),
            node("callActivity", "c", "", "<zeebe:calledElement processId='=kind'/>"),
            END,
            path("start", "r", "t", "j", "c", "end"),
            declared=declared,
        )
    )
    variables = {"id": "7", "wait": "PT1S", "kind": "pay", "more": 2}
    elements = definition.elements
    assert elements["r"].trigger.name(variables) == "n7"
    assert elements["r"].trigger.correlation_key(variables) == "7"
    assert elements["t"].trigger.value(variables) == "PT1S"
    assert elements["j"].job.type(variables) == elements["c"].called.process(variables) == "pay"
    assert elements["j"].job.retries(variables) == 5
    assert (definition.job_types, definition.message_names) == (set(), set())


def test_mappings_and_headers():
    extensions = (
        "<zeebe:taskDefinition type='t'/><zeebe:ioMapping><zeebe:input source='=x' target='a.b'/>"
        "<zeebe:input source='text' target='c'/><zeebe:output source='=r' target='o'/></zeebe:ioMapping>"
        "<zeebe:taskHeaders><zeebe:header key='h' value=' v '/></zeebe:taskHeaders>"
    )
    found = element(between(node("serviceTask", "a", "", extensions)))
    assert [mapped.target for mapped in found.inputs] == [("a", "b"), ("c",)]
    assert (found.inputs[0].source({"x": 1}), found.inputs[1].source) == (1, "text")
    assert (found.outputs[0].target, found.job.headers) == (("o",), {"h": " v "})


def test_a_user_task_has_zeebes_type_and_headers():
    extensions = (
        "<zeebe:userTask/><zeebe:assignmentDefinition assignee='=who' candidateGroups='ops, risk'/>"
        "<zeebe:taskSchedule dueDate='2030-01-01T00:00:00Z'/><zeebe:formDefinition formId='f'/>"
    )
    found = element(between(node("userTask", "a", "", extensions))).job
    assert found.type == USER_TASK_JOB
    assert found.headers == {
        "io.camunda.zeebe:candidateGroups": '["ops","risk"]',
        "io.camunda.zeebe:dueDate": "2030-01-01T00:00:00Z",
        "io.camunda.zeebe:formKey": "f",
    }
    assert found.computed["io.camunda.zeebe:assignee"]({"who": "Ann"}) == "Ann"


def test_a_call_activity_propagates_unless_told():
    called = "<zeebe:calledElement processId='q' propagateAllChildVariables='false'/>"
    found = element(between(node("callActivity", "a", "", called))).called
    assert (found.process, found.propagate_parent, found.propagate_child) == ("q", True, False)


@pytest.mark.parametrize("sequential", [False, True])
def test_multi_instance(sequential):
    written = loop(
        "inputCollection='=items' inputElement='item' outputCollection='out' outputElement='=item * 2'",
        "<bpmn:completionCondition>=numberOfCompletedInstances > 1</bpmn:completionCondition>".replace(
            "> 1", "&gt; 1"
        ),
        isSequential=str(sequential).lower(),
    )
    found = element(between(job("a", more=written))).loop
    assert (found.is_sequential, found.item, found.output_collection) == (sequential, "item", "out")
    assert found.collection({"items": [1, 2]}) == [1, 2]
    assert found.output_item({"item": 2}) == 4
    assert found.completion({"numberOfCompletedInstances": 2}) is True


def test_a_loop_needs_no_output():
    found = element(between(job("a", more=loop("inputCollection='=items'")))).loop
    assert (found.is_sequential, found.item, found.output_item, found.completion) == (False, "", None, None)


def test_conditions_and_default():
    for tag in ("exclusiveGateway", "inclusiveGateway"):
        xml = file(
            START,
            node(tag, "a", default="a-end"),
            END,
            event("endEvent", "other"),
            path("start", "a", "end"),
            flow("a", "other", "= n < 1"),
        )
        found = element(xml)
        assert found.default.target == "end"
        assert {
            leaving.target: leaving.condition and leaving.condition({"n": 0}) for leaving in found.outgoing
        } == {
            "end": None,
            "other": True,
        }


def test_an_event_gateway_waits_for_what_follows():
    xml = file(
        START,
        node("eventBasedGateway", "a"),
        event("intermediateCatchEvent", "m", REFERENCES["message"]),
        event("intermediateCatchEvent", "s", REFERENCES["signal"]),
        timer("intermediateCatchEvent", "t", "PT1S"),
        END,
        path("start", "a", "m", "end"),
        path("a", "s", "end"),
        path("a", "t", "end"),
    )
    assert element(xml).waits == ("m", "s", "t")
    assert element(xml, "m").waits == ("m",)


def test_a_receive_task_waits_for_its_message_and_boundary_events():
    late = timer("boundaryEvent", "b", "PT1S", attachedToRef="a")
    definition = parse(between(late, node("receiveTask", "a", messageRef="m-paid"), flow("b", "end")))
    assert definition.elements["a"].waits == ("a", "b")
    trigger = definition.elements["a"].trigger
    assert isinstance(trigger, MessageTrigger)
    assert (trigger.name, trigger.correlation_key({"key": "k"})) == ("paid", "k")
    assert definition.message_names == {"paid"}


def test_a_process_starts_in_several_ways():
    xml = file(
        START,
        event("startEvent", "m", REFERENCES["message"]),
        event("startEvent", "s", REFERENCES["signal"]),
        timer("startEvent", "t", "R/PT1H", "timeCycle"),
        END,
        *(flow(name, "end") for name in ("start", "m", "s", "t")),
    )
    definition = parse(xml)
    assert [problem for problem in check(xml) if problem.is_error] == []
    assert (definition.start, definition.starts) == ("start", ("m", "s", "t"))
    assert definition.elements["m"].trigger == MessageTrigger("paid", None)
    assert definition.elements["t"].trigger == TimerTrigger("cycle", "R/PT1H")


def test_a_process_may_start_by_a_message_only():
    xml = file(event("startEvent", "m", REFERENCES["message"]), END, flow("m", "end"))
    definition = parse(xml)
    assert (definition.start, definition.starts) == ("", ("m",))


def event_sub_process(name, definition="", interrupting=True, parts=""):
    start = event(
        "startEvent", f"{name}-start", definition, isInterrupting="true" if interrupting else "false"
    )
    end = event("endEvent", f"{name}-end")
    return scope(name, start, end, flow(f"{name}-start", f"{name}-end"), parts, triggeredByEvent="true")


def test_event_sub_processes_are_caught_inside_before_the_border():
    inner = scope(
        "a",
        event("startEvent", "s"),
        job("w"),
        event("endEvent", "e"),
        path("s", "w", "e"),
        event_sub_process("any", "error"),
        event_sub_process("poor", REFERENCES["error"]),
        event_sub_process("late", REFERENCES["escalation"], interrupting=False),
        event_sub_process("paid", REFERENCES["message"], interrupting=False),
    )
    border = event("boundaryEvent", "b", "error errorRef='e-any'", attachedToRef="a")
    slow = timer("boundaryEvent", "t", "PT1S", attachedToRef="a")
    definition = parse(between(inner, border, slow, path("b", "end"), path("t", "end")))
    found = definition.elements["a"]
    assert (found.kind, found.start) == (Kind.SUB_PROCESS, "s")
    assert found.errors == ("poor", "any", "b")
    assert found.escalations == ("late",)
    assert found.waits == ("t", "paid")
    late = definition.elements["late"]
    assert (late.kind, late.scope, late.start, late.interrupting) == (
        Kind.EVENT_SUB_PROCESS,
        "a",
        "late-start",
        False,
    )
    assert late.trigger == definition.elements["late-start"].trigger == EscalationTrigger("late")
    assert definition.elements["w"].scope == "a"
    assert definition.flow_targets["s-w"] == "w"


def test_event_sub_processes_of_the_process_and_inside_each_other():
    nested = event_sub_process("inner", REFERENCES["signal"])
    xml = between(
        job("a"),
        event_sub_process("outer", REFERENCES["message"], parts=nested),
        event_sub_process("any", "error"),
        event_sub_process("late", "escalation"),
    )
    definition = parse(xml)
    assert [problem for problem in check(xml) if problem.is_error] == []
    assert (definition.waits, definition.errors, definition.escalations) == (("outer",), ("any",), ("late",))
    assert definition.elements["outer"].waits == ("inner",)
    assert definition.elements["inner"].scope == "outer"


def test_compensation_leads_to_its_handler():
    xml = file(
        START,
        job("a"),
        event("boundaryEvent", "c", "compensate", attachedToRef="a"),
        job("undo", isForCompensation="true"),
        '<bpmn:association id="as" sourceRef="c" targetRef="undo"/>',
        event("intermediateThrowEvent", "t", "compensate activityRef='a'"),
        END,
        path("start", "a", "t", "end"),
    )
    definition = parse(xml)
    assert check(xml) == []
    elements = definition.elements
    assert (elements["a"].compensation, elements["undo"].is_for_compensation) == ("undo", True)
    assert elements["t"].throw == CompensationThrow("a")
    assert (elements["a"].waits, elements["c"].trigger) == ((), None)


def test_a_link_leads_to_its_catch_event_of_the_same_scope():
    xml = file(
        START,
        event("intermediateThrowEvent", "out", "link name='there'"),
        event("intermediateCatchEvent", "in", "link name='there'"),
        END,
        flow("start", "out"),
        flow("in", "end"),
    )
    definition = parse(xml)
    assert check(xml) == []
    out = definition.elements["out"]
    assert (out.kind, [leaving.target for leaving in out.outgoing]) == (Kind.PASS, ["in"])
    assert definition.elements["in"].kind is Kind.PASS
    assert definition.elements["in"].incoming == (out.outgoing[0].id,)
    assert definition.flow_targets[out.outgoing[0].id] == "in"


def test_drawings_and_data_are_not_executed():
    drawn = "<bpmn:laneSet/><bpmn:textAnnotation/><bpmn:group/><bpmn:dataObject/><bpmn:dataStoreReference/>"
    xml = between(drawn, job("a"))
    assert check(xml) == []
    assert set(parse(xml).elements) == {"start", "a", "end"}


def test_only_the_executable_process_of_a_collaboration_is_read():
    other = '<bpmn:process id="q" isExecutable="false"><bpmn:complexGateway id="g"/></bpmn:process>'
    assert parse(file(START, END, flow("start", "end"), declared=DECLARED + other)).id == "p"


def test_a_static_key_is_the_same_for_all():
    xml = file(
        START,
        node("receiveTask", "a", messageRef="m-paid"),
        END,
        path("start", "a", "end"),
        declared=message("paid", "transactionId"),
    )
    assert parse(xml).elements["a"].trigger.correlation_key({}) == "transactionId"
    assert [problem.code for problem in check(xml)] == ["correlation-key-static"]
