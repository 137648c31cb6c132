"""Every process runs to each of its end events, over each of its sequence flows, with scripted workers."""

import pytest
from support.path_cover import cover
from support.process_graph import read_graph
from support.run_table import Row
from support.scripted_run import engine_for, play
from support.shared_data import SHARED_DATA, shared_file

from payhub_engines.core.bpmn.model import DefinitionError
from payhub_engines.processes import load
from payhub_engines.testkit import Engine

PUBLIC = sorted(path.name for path in (SHARED_DATA / "bpmn").glob("*.bpmn"))
LABS = "ph-ee-env-labs__orchestration_feel_"
TEMPLATE = "ph-ee-env-template__orchestration_feel_"

# Unfinished drafts, and what the engine says of each.
REFUSED = {
    f"{LABS}Archive_outbound_refund.bpmn": "job-type-missing",
    f"{LABS}Archive_outbound_txn.bpmn": "condition-missing",
    f"{LABS}bill-request-DFSPID.bpmn": "job-type-missing",
    f"{LABS}mojaloop-account-validation.bpmn": "unreachable",
    f"{TEMPLATE}acknowledgement-individual-workflow.bpmn": "condition-missing",
    f"{TEMPLATE}acknowledgement-pre-workflow.bpmn": "job-type-missing",
}

# Flows after which the process cannot complete. Both bulk processes fork each time round their loop of
# status polls: one token goes round again, the other goes to the join. At the end the join has got one
# token from the loop, but one for each round from the other side, and the tokens left over wait for ever.
STUCK = {
    f"{LABS}bulk_processor-DFSPID.bpmn": {"Flow_1ve5awe"},
    f"{LABS}bulk_processor_account_lookup-DFSPID.bpmn": {"Flow_1ve5awe"},
}

# Processes of ours that count, and hear the same message again, which is more than the token game knows.
# tests/unit/engines/connectors/test_flow_troubles.py takes each of their flows with the connectors, or says
# which test does; test_bulk_troubles.py there takes those of bulks, test_member_processes.py those of
# party-registration.
BY_CONNECTORS = {
    "party-registration",
    "payee-bulk-quote-transfer",
    "payee-quote-transfer",
    "payee-transaction-request",
    "payer-bulk-on-us",
    "payer-bulk-payment",
    "payer-bulk-transfer",
    "payer-fund-transfer",
    "payer-transaction-request",
}
SCRIPTED = [(name, xml) for name, xml in load() if name not in BY_CONNECTORS]


@pytest.fixture(scope="session")
def public_files():
    return shared_file("bpmn")


def test_all_public_files_are_looked_at():
    assert len(list(shared_file("bpmn").glob("*.bpmn"))) == len(PUBLIC) == 55
    assert {*REFUSED, *STUCK} <= set(PUBLIC)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name not in REFUSED])
def test_a_public_process_runs_to_each_of_its_end_events(name, public_files, run_table):
    assert run_all((public_files / name).read_bytes(), name, run_table) == STUCK.get(name, set())


@pytest.mark.parametrize("name", [name for name in PUBLIC if name in REFUSED])
def test_an_unfinished_draft_is_refused(name, public_files, run_table):
    with pytest.raises(DefinitionError) as refused:
        Engine().deploy((public_files / name).read_bytes())
    run_table.append(Row(name, refused=refused.value.code))
    assert refused.value.code == REFUSED[name]
    assert refused.value.element


@pytest.mark.parametrize(("name", "xml"), SCRIPTED, ids=[name for name, _ in SCRIPTED])
def test_a_process_of_ours_runs_to_each_of_its_end_events(name, xml, run_table):
    assert run_all(xml, f"payhub/{name}", run_table) == set()


def run_all(xml, name, run_table):
    """Run a process in every way; returns the flows after which it cannot complete."""
    graph = read_graph(xml)
    found = cover(graph)
    ends, flows = set(), set()
    for run in found.runs:
        view = play(engine_for(graph, xml), graph, run)
        flows |= run.flows
        if view.state == "COMPLETED":
            ends |= graph.ends.intersection(view.path)
    run_table.append(Row(name, (len(ends), len(graph.ends)), (len(flows), len(graph.flows)), len(found.runs)))
    assert ends == graph.ends
    assert flows == set(graph.flows)
    assert found.unreached == set()
    return found.unfinished
