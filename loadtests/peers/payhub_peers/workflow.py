"""The workflow that every peer runs: eight steps in a row, each a durable commit with one effect outside.

Only the standard library: this module is read in every peer's own environment.
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import Final

STEPS: Final = 8
PROCESS_ID: Final = "eight_steps"
STEP_PREFIX: Final = "step_"
JOB_TYPE: Final = "effect"
ATTEMPT_UNKNOWN: Final = 0  # the peer does not tell its steps which attempt they are

_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" '
    'xmlns:zeebe="http://camunda.org/schema/zeebe/1.0" id="eight" targetNamespace="urn:payhub:peers">'
    f'<bpmn:process id="{PROCESS_ID}" isExecutable="true">'
)


class Effects:
    """The file that the steps leave their effects in: one line each, ``workflow step attempt``.

    A line is one write at the end of the file. It outlives a kill -9 of its writer, for the kernel has it;
    it is not synced, for no peer's commit may be measured with another file's.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def append(self, workflow_id: str, step: int, attempt: int = ATTEMPT_UNKNOWN) -> None:
        """Leave the effect of a step (from 1)."""
        os.write(self._descriptor, f"{workflow_id} {step} {attempt}\n".encode())


def service_task_process() -> str:
    """Return the workflow in BPMN for an engine that hands service tasks to workers."""
    task = f'<bpmn:extensionElements><zeebe:taskDefinition type="{JOB_TYPE}"/></bpmn:extensionElements>'
    return _process("serviceTask", dict.fromkeys(_step_ids(), task))


def script_task_process() -> str:
    """Return the workflow in BPMN for an engine that runs scripts in its own process."""
    scripts = {
        step_id: f"<bpmn:script>effect(workflow_id, {number})</bpmn:script>"
        for number, step_id in enumerate(_step_ids(), 1)
    }
    return _process("scriptTask", scripts)


def step_of(element_id: str) -> int:
    """Return the number of the step (from 1) that an element is.

    Raises:
        ValueError: the element is no step.
    """
    return int(element_id.removeprefix(STEP_PREFIX))


def _step_ids() -> list[str]:
    return [f"{STEP_PREFIX}{number}" for number in range(1, STEPS + 1)]


def _process(tag: str, contents: dict[str, str]) -> str:
    nodes = ["start", *contents, "end"]
    into = {target: f"{source}-{target}" for source, target in pairwise(nodes)}
    out = {source: f"{source}-{target}" for source, target in pairwise(nodes)}
    parts = [_HEAD, _node("startEvent", "start", out["start"])]
    for element_id, content in contents.items():
        parts.append(_node(tag, element_id, out[element_id], into[element_id], content))
    parts.append(_node("endEvent", "end", flow_in=into["end"]))
    parts += [
        f'<bpmn:sequenceFlow id="{source}-{target}" sourceRef="{source}" targetRef="{target}"/>'
        for source, target in pairwise(nodes)
    ]
    return "".join([*parts, "</bpmn:process></bpmn:definitions>"])


def _node(tag: str, element_id: str, flow_out: str = "", flow_in: str = "", content: str = "") -> str:
    # The schema's order: extensions, flows in and out, then what is the element's own.
    extensions, own = (content, "") if content.startswith("<bpmn:extensionElements>") else ("", content)
    incoming = f"<bpmn:incoming>{flow_in}</bpmn:incoming>" if flow_in else ""
    outgoing = f"<bpmn:outgoing>{flow_out}</bpmn:outgoing>" if flow_out else ""
    return f'<bpmn:{tag} id="{element_id}">{extensions}{incoming}{outgoing}{own}</bpmn:{tag}>'
