"""Process files come from tenants: whatever they hold, they are refused in our own words, and soon."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bpmn_text import END, HEAD, START, between, file, job, node, path, scope

from payhub_engines.core.bpmn.check import Known, check, parse_checked
from payhub_engines.core.bpmn.model import DefinitionError, ProcessDefinition
from payhub_engines.core.bpmn.parse import parse
from payhub_engines.core.bpmn.problems import EXPRESSION_CHARS_LEAST, EXPRESSION_CHARS_MAX
from payhub_engines.core.bpmn.xml import DEPTH_MAX, NODES_MAX, XML_BYTES_MAX
from payhub_engines.processes import load

NOBODY = Known(frozenset(), frozenset())
FILES = [xml for _, xml in load()]
WORDS = [
    *("id", "sourceRef", "targetRef", "default", "attachedToRef", "messageRef", "name", "type", "retries"),
    *(
        "serviceTask",
        "subProcess",
        "startEvent",
        "endEvent",
        "boundaryEvent",
        "exclusiveGateway",
        "receiveTask",
    ),
    *("timerEventDefinition", "linkEventDefinition", "compensateEventDefinition", "errorEventDefinition"),
    *("callActivity", "scriptTask", "userTask", "inclusiveGateway", "intermediateThrowEvent", "transaction"),
    *('"', "=", "<", ">", "/", "&", "&#0;", "&x;", "<!--", "]]>", "\x00", "true", "false", "PT1S", "R/PT1S"),
    *('triggeredByEvent="true"', 'isForCompensation="true"', 'isInterrupting="false"', 'xmlns:bpmn="urn:x"'),
]


def bomb(levels):
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels))
    return f'<!DOCTYPE b [<!ENTITY e0 "ha">{entities}]><b>&e{levels - 1};</b>'.encode()


def refused(xml):
    with pytest.raises(DefinitionError) as found:
        parse(xml)
    [problem] = check(xml)
    assert (problem.code, problem.line) == (found.value.code, found.value.line)
    return found.value.code


@pytest.mark.parametrize(
    "xml",
    [
        bomb(10),
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
        b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://example.org/x"> %x;]><a/>',
        b"<!DOCTYPE a><a/>",
    ],
)
def test_document_types_and_entities_are_forbidden(xml):
    assert refused(xml) == "dtd-forbidden"


@pytest.mark.parametrize(
    "xml",
    [
        *(
            b"",
            b"<a>",
            b"<a/><b/>",
            b"\xff\xfe",
            b"<a>&x;</a>",
            b"<a b='1' b='2'/>",
            b"<p:a/>",
            b"\x00" * 100,
        ),
        *(
            f'<?xml version="1.0" encoding="{name}"?><a/>'.encode()
            for name in ("klingon", "zip", "punycode", "idna")
        ),
        b'<?xml version="1.0" encoding="utf-8"?><a>\xff</a>',
    ],
)
def test_what_is_no_xml_is_refused(xml):
    assert refused(xml) == "malformed-xml"


@pytest.mark.parametrize(
    "xml", [b"<a/>", b"<definitions/>", HEAD.encode().replace(b"MODEL", b"OTHER") + b"</bpmn:definitions>"]
)
def test_what_is_no_bpmn_is_refused(xml):
    assert refused(xml) == "not-bpmn"


def test_a_malformed_file_tells_its_line():
    [problem] = check(file(START, "<oops>"))
    assert (problem.code, problem.line) == ("malformed-xml", 5)


@pytest.mark.parametrize(
    ("xml", "code"),
    [
        (b" " * (XML_BYTES_MAX + 1), "file-too-large"),
        (b"<a>" + b"<b/>" * NODES_MAX + b"</a>", "file-too-large"),
        (b"<a>" * (DEPTH_MAX + 1), "nested-too-deep"),
        (b"<a>" * (XML_BYTES_MAX // 3), "nested-too-deep"),
    ],
)
def test_size_number_and_depth_are_bounded(xml, code):
    assert refused(xml) == code


def test_sub_processes_nest_up_to_the_bound():
    nested = ""
    for level in range(DEPTH_MAX - 4, 0, -1):
        inside = [node("startEvent", f"s{level}"), node("endEvent", f"e{level}"), nested]
        steps = ["s", "n", "e"] if nested else ["s", "e"]
        names = [f"n{level + 1}" if step == "n" else f"{step}{level}" for step in steps]
        nested = scope(f"n{level}", *inside, path(*names))
    xml = file(START, nested, END, path("start", "n1", "end"))
    assert check(xml) == []
    deeper = xml.replace(b'<bpmn:startEvent id="s60">', b'<bpmn:startEvent id="s60"><a><a><a/></a></a>')
    assert refused(deeper) == "nested-too-deep"


def test_a_text_in_very_many_pieces_is_joined_once():
    text = "1 + <!---->" * (XML_BYTES_MAX // 16)
    condition = node("sequenceFlow", "f", f"<bpmn:conditionExpression>{text}</bpmn:conditionExpression>")
    assert "flow-dangling" in {problem.code for problem in check(between(job("a"), condition))}


def test_all_expressions_of_a_file_are_bounded_together():
    def mapped(number):
        inputs = '<zeebe:input source="=a + b" target="c"/>' * number
        return between(node("task", "a", "", f"<zeebe:ioMapping>{inputs}</zeebe:ioMapping>"))

    each = EXPRESSION_CHARS_LEAST + len("=a + b")
    assert check(mapped(EXPRESSION_CHARS_MAX // each)) == []
    assert {problem.code for problem in check(mapped(EXPRESSION_CHARS_MAX // each + 1))} == {"file-too-large"}


def outcome(xml):
    """Parse and check; only our own refusal may come out, and both agree on what can be deployed."""
    codes = {problem.code for problem in check(xml, NOBODY) if problem.is_error}
    assert verdict(parse_checked, xml) in (codes or {""})
    assert verdict(parse, xml) in codes | {""}


def verdict(read, xml):
    """Return the code of the refusal; empty where the file is taken."""
    try:
        assert isinstance(read(xml), ProcessDefinition)
    except DefinitionError as error:
        return error.code
    return ""


@st.composite
def mutated(draw):
    """Draw one of our own files with some of its words replaced, lines moved, bytes lost."""
    lines = draw(st.sampled_from(FILES)).decode().splitlines()
    drawing = next((n for n, line in enumerate(lines) if "BPMNDiagram" in line), len(lines))
    for _ in range(draw(st.integers(1, 6))):
        place, other = (draw(st.integers(0, drawing - 1)) for _ in "ab")
        match draw(st.integers(0, 4)):
            case 0:
                lines[place], lines[other] = lines[other], lines[place]
            case 1:
                lines[place] = lines[other]
            case 2:
                lines[place] = ""
            case 3:
                old, new = (draw(st.sampled_from(WORDS)) for _ in "ab")
                lines[place] = lines[place].replace(old, new)
            case _:
                cut = draw(st.integers(0, len(lines[place])))
                lines[place] = lines[place][:cut] + draw(st.sampled_from(WORDS)) + lines[place][cut:]
    return "\n".join(lines).encode()


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_a_mutated_file_is_refused_in_our_own_words(xml):
    outcome(xml)


TAGS = [
    *(
        "startEvent",
        "endEvent",
        "task",
        "subProcess",
        "exclusiveGateway",
        "eventBasedGateway",
        "boundaryEvent",
    ),
    *(
        "intermediateCatchEvent",
        "intermediateThrowEvent",
        "serviceTask",
        "receiveTask",
        "sequenceFlow",
        "association",
    ),
]
IDS = st.sampled_from(["a", "b", "c", "d", "m", ""])
DEFINITIONS = [
    "",
    "timer",
    "link name='l'",
    "compensate",
    "error",
    "signal signalRef='m'",
    "escalation",
    "terminate",
]


@st.composite
def nodes(draw, depth=0):
    """Draw flow nodes that fit together or not."""
    tag, definition = draw(st.sampled_from(TAGS)), draw(st.sampled_from(DEFINITIONS))
    kind, _, rest = definition.partition(" ")
    inner = f"<bpmn:{kind}EventDefinition {rest}/>" if kind else ""
    if tag == "subProcess" and depth < 3:
        inner = "".join(draw(st.lists(nodes(depth=depth + 1), max_size=4)))
    attributes = {
        name: draw(IDS)
        for name in ("sourceRef", "targetRef", "attachedToRef", "default")
        if draw(st.booleans())
    }
    flags = ("triggeredByEvent", "isForCompensation", "isInterrupting", "cancelActivity")
    attributes |= {name: draw(st.sampled_from(["true", "false"])) for name in flags if draw(st.booleans())}
    return node(tag, draw(IDS), inner, **attributes)


@settings(max_examples=400, deadline=None)
@given(st.lists(nodes(), max_size=8))
def test_any_elements_are_refused_in_our_own_words(parts):
    outcome(file(*parts))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_our_own_words(xml):
    outcome(xml)
    outcome(b'<?xml version="1.0" encoding="' + xml)
