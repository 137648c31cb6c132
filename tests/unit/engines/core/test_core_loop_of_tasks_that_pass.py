"""A multi-instance task that nobody works on (manual task, task) is left once, not once an item."""

import pytest

from payhub_engines.testkit import Engine

PROCESS = """
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL"
    xmlns:zeebe="http://camunda.org/schema/zeebe/1.0"
    targetNamespace="https://payhub.dev/tests">
  <process id="p" isExecutable="true">
    <startEvent id="start"/>
    <sequenceFlow id="begin" sourceRef="start" targetRef="each"/>
    <{task} id="each">
      <multiInstanceLoopCharacteristics isSequential="{sequential}"><extensionElements>
        <zeebe:loopCharacteristics inputCollection="=[1, 2, 3]" inputElement="item"/>
      </extensionElements></multiInstanceLoopCharacteristics>
    </{task}>
    <sequenceFlow id="finish" sourceRef="each" targetRef="end"/>
    <endEvent id="end"/>
  </process>
</definitions>
"""


@pytest.mark.parametrize("sequential", ["false", "true"])
@pytest.mark.parametrize("task", ["manualTask", "task"])
def test_a_loop_of_tasks_that_pass_goes_on_once(task, sequential):
    engine = Engine()
    engine.deploy(PROCESS.format(task=task, sequential=sequential).encode())
    instance = engine.instance(engine.start("p"))
    assert instance.path == ["start", "each", "each", "each", "each", "end"]
    assert instance.state == "COMPLETED"
