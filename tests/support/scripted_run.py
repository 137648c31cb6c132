"""Plays a run on the engine in memory: workers answer, messages are published, time passes as it says."""

import re
from collections import Counter
from collections.abc import Iterator

from support.conditions import names
from support.path_cover import Run
from support.process_graph import Graph

from payhub_engines.testkit import BpmnError, Engine, InstanceView

DURATION = "PT45S"  # of a timer whose duration is a variable
ERROR_ANY = "any-error"
JOIN_INCOMPLETE = "join-incomplete"
CALLED = """<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL"
 xmlns:zeebe="http://camunda.org/schema/zeebe/1.0"><bpmn:process id="{process}" isExecutable="true">
 <bpmn:startEvent id="start"/><bpmn:serviceTask id="do"><bpmn:extensionElements>
 <zeebe:taskDefinition type="{job}"/></bpmn:extensionElements></bpmn:serviceTask><bpmn:endEvent id="end"/>
 <bpmn:sequenceFlow id="in" sourceRef="start" targetRef="do"/>
 <bpmn:sequenceFlow id="out" sourceRef="do" targetRef="end"/></bpmn:process></bpmn:definitions>"""


def engine_for(graph: Graph, xml: bytes) -> Engine:
    """Deploy a process, and for each process that it calls one with a single job."""
    engine = Engine()
    for called in {node.called for node in graph.nodes.values() if node.called}:
        engine.deploy(CALLED.format(process=called, job=_called_job(called)))
    engine.deploy(xml)
    return engine


def play(engine: Engine, graph: Graph, run: Run) -> InstanceView:
    """Play a run and check that the engine did what the token game foretells.

    Raises:
        AssertionError: it went another way, did not end, or has incidents that it should not have.
    """
    script = iter(list(zip(run.steps, run.values, strict=True)))
    _, first = next(script)
    key = _start(engine, graph, first, script)
    for step, values in script:  # jobs take their own steps; what is left waits for a message or a timer
        assert step.kind in {"message", "timer"}, f"no job of {step.node} came; {engine.instance(key)}"
        event = graph.nodes[step.event]
        if step.kind == "message":
            name, expression = event.message
            engine.publish(name, _computed(engine, key, expression), values)
        else:
            engine.advance(_seconds(_computed(engine, key, event.timer)))
    view = engine.instance(key)
    incidents = [incident.code for incident in view.incidents]
    assert Counter(view.path) == Counter(run.entered), (view.path, run.entered)
    if _is_of_one_token(graph):
        assert view.path == run.entered
    assert incidents == ([JOIN_INCOMPLETE] if run.is_stuck else []), incidents
    assert view.state == ("ACTIVE" if run.is_stuck else "COMPLETED")
    return view


def _start(engine, graph, values, script: Iterator):
    def worker(job):
        def work(_variables):
            step, results = next(script, (None, {}))
            assert step is not None, f"a job {job} too many"
            node = graph.nodes[step.node]
            assert job == (node.job or _called_job(node.called)), f"a job {job} came; wanted is {step}"
            if step.kind == "error":
                raise BpmnError(graph.nodes[step.event].error or ERROR_ANY, variables=results)
            return results

        return work

    jobs = {node.job or _called_job(node.called) for node in graph.nodes.values() if node.job or node.called}
    for job in sorted(jobs):
        engine.on_job(job, worker(job))
    return engine.start(graph.process, {**_environment(graph), **values})


def _environment(graph):
    """What connectors and configuration set before the run: correlation keys and durations."""
    found = {}
    for node in graph.nodes.values():
        if node.message and node.message[1].startswith("="):
            found |= {name: f"{name}-1" for name in names(node.message[1])}
        if node.timer.startswith("="):
            found |= dict.fromkeys(names(node.timer), DURATION)
    return found


def _computed(engine, key, text):
    return engine.evaluate_feel(text, engine.instance(key).variables) if text.startswith("=") else text


def _seconds(duration):
    amount, unit = re.fullmatch(r"PT(\d+)([SMH])", duration).groups()
    return int(amount) * {"S": 1, "M": 60, "H": 3600}[unit]


def _called_job(process):
    return f"called-{process}"


def _is_of_one_token(graph):
    """Without branches there is one order only in which the nodes can be entered."""
    return all(
        node.interrupting
        and (node.tag in {"exclusiveGateway", "eventBasedGateway"} or len(node.outgoing) < 2)
        for node in graph.nodes.values()
    )
