"""What is refused at deployment, and that each refusal names the element."""

import pytest

from payhub_engines.core.bpmn import xml as reader
from payhub_engines.core.bpmn.check import parse_checked
from payhub_engines.core.bpmn.model import Catalogue, DefinitionError
from payhub_engines.core.bpmn.parse import parse


def line(model):
    return model().start().end()


CASES = {
    "job-type-missing a": lambda m: line(m).raw('<bpmn:serviceTask id="a"/>').path("start", "a", "end"),
    "message-missing r": lambda m: line(m).node("receiveTask", "r").path("start", "r", "end"),
    "correlation-key-missing r": lambda m: (
        line(m).declare('<bpmn:message id="m" name="n"/>').node("receiveTask", "r", messageRef="m")
    ).path("start", "r", "end"),
    "message-name-missing r": lambda m: (
        line(m).declare('<bpmn:message id="m"/>').node("receiveTask", "r", messageRef="m")
    ).path("start", "r", "end"),
    "timer-missing c": lambda m: line(m).catch("c").path("start", "c", "end"),
    "timer-invalid c": lambda m: line(m).catch("c", timer="ten seconds").path("start", "c", "end"),
    "unsupported-element u": lambda m: line(m).node("complexGateway", "u").path("start", "u", "end"),
    "timer-missing start": lambda m: (
        m().node("startEvent", "start", "<bpmn:timerEventDefinition/>").end().path("start", "end")
    ),
    "flow-dangling start-nowhere": lambda m: line(m).path("start", "end").flow("start", "nowhere"),
    "unreachable lost": lambda m: line(m).path("start", "end").job("lost"),
    "no-way-out x": lambda m: line(m).exclusive("x").path("start", "end").flow("start", "x"),
    "no-way-out late": lambda m: (
        line(m).job("a").boundary("late", "a", timer="PT1S").path("start", "a", "end")
    ),
    "condition-missing x": lambda m: (
        line(m).exclusive("x").end("other").path("start", "x", "end").flow("x", "other", "= v = 1")
    ),
    "condition-misplaced start-end": lambda m: line(m).flow("start", "end", "= true"),
    "default-unknown x": lambda m: line(m).exclusive("x", default="gone").path("start", "x", "end"),
    "expression-syntax x-end": lambda m: (
        line(m).exclusive("x").flow("start", "x").flow("x", "end", "= amount >")
    ),
    "event-wanted g": lambda m: line(m).events("g").path("start", "g", "end"),
    "flow-after-end end": lambda m: line(m).job("a").path("start", "end", "a"),
    "flow-into-event start": lambda m: line(m).job("a").path("start", "a", "start").flow("a", "end"),
    "boundary-misplaced late": lambda m: (
        line(m).boundary("late", "nobody", timer="PT1S").path("start", "end").flow("late", "end")
    ),
    "error-twice e2": lambda m: (
        (line(m).job("a").boundary("e1", "a", error="x").boundary("e2", "a", error="x"))
        .path("start", "a", "end")
        .flow("e1", "end")
        .flow("e2", "end")
    ),
    "retries-invalid a": lambda m: line(m).job("a", retries="many").path("start", "a", "end"),
    "mapping-invalid a": lambda m: line(m).job("a", inputs={"a..b": "= 1"}).path("start", "a", "end"),
    "id-twice end": lambda m: line(m).end().path("start", "end"),
    "one-start-wanted p": lambda m: line(m).start().path("start", "end").end("x"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_faulty_process_is_refused_with_code_and_element(model, case):
    code, element = case.split()
    if code == "one-start-wanted":
        faulty = model().start().start("second").end().path("start", "end").flow("second", "end")
    else:
        faulty = CASES[case](model)
    with pytest.raises(DefinitionError) as refused:
        parse_checked(faulty.xml())
    assert (refused.value.code, refused.value.element) == (code, element)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (b"", "malformed-xml"),
        (b"<a>", "malformed-xml"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "malformed-xml"),
        (b"<a/>", "not-bpmn"),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "dtd-forbidden"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "dtd-forbidden"),
        (b"x" * (reader.XML_BYTES_MAX + 1), "file-too-large"),
    ],
)
def test_a_file_that_is_no_bpmn_is_refused(xml, code):
    with pytest.raises(DefinitionError) as refused:
        parse(xml)
    assert refused.value.code == code


def test_the_version_is_the_hash_of_the_content(model):
    one, two = (
        line(model).path("start", "end").xml(),
        line(model).path("start", "end").declare("<!-- -->").xml(),
    )
    assert parse(one).version == parse(one).version != parse(two).version


def test_running_instances_keep_their_version(engine, model):
    engine.deploy(line(model).job("a").path("start", "a", "end").xml())
    old = engine.start("p")
    engine.deploy(line(model).job("a").job("b").path("start", "a", "b", "end").xml())
    new = engine.start("p")
    engine.on_job("a", lambda _: {})
    assert engine.instance(old).state == "COMPLETED"
    assert engine.instance(new).waiting_at == ("b",)


def test_the_catalogue_tells_job_types_and_messages(model):
    definition = parse(
        line(model).job("a", job_type="charge").receive("r", "answer").path("start", "a", "r", "end").xml()
    )
    assert (definition.job_types, definition.message_names) == ({"charge"}, {"answer"})
    catalogue = Catalogue((definition,))
    assert catalogue.latest("p") is catalogue.get("p", definition.version) is catalogue.all()[0]
    assert catalogue.latest("q") is None


@pytest.mark.parametrize(("retries", "expected"), [("", 3), ("0", 1), ("12", 12)])
def test_retries_default_as_in_zeebe(model, retries, expected):
    definition = parse(line(model).job("a", retries=retries).path("start", "a", "end").xml())
    job = definition.elements["a"].job
    assert job is not None
    assert job.retries == expected
