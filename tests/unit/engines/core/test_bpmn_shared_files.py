"""The public process files of Payment Hub EE, which lie beside the checkout: what is wrong with each."""

import pytest
from support.shared_data import SHARED_DATA, shared_file

from payhub_engines.core.bpmn.check import check, parse_checked
from payhub_engines.core.bpmn.model import DefinitionError
from payhub_engines.core.bpmn.parse import parse
from payhub_engines.processes import load

LABS = "ph-ee-env-labs__orchestration_feel_"
TEMPLATE = "ph-ee-env-template__orchestration_feel_"
FILES_EXPECTED = 55
# Unfinished drafts: how often each error is found. Every other file can be deployed.
FAULTY = {
    LABS + "Archive_outbound_refund": {"job-type-missing": 1, "message-missing": 1},
    LABS + "Archive_outbound_txn": {"condition-missing": 2, "job-type-missing": 10},
    LABS + "bill-request-DFSPID": {"job-type-missing": 5, "message-missing": 1, "timer-missing": 1},
    LABS + "mojaloop-account-validation": {"unreachable": 2},
    TEMPLATE + "acknowledgement-individual-workflow": {
        "condition-missing": 3,
        "job-type-missing": 5,
        "message-missing": 2,
    },
    TEMPLATE + "acknowledgement-pre-workflow": {"condition-missing": 2, "job-type-missing": 2},
}
# Warnings besides those that many files share.
WARNED = {
    LABS + "Archive_outbound_txn": {"correlation-key-static": 3, "expression-mark-missing": 1},
    TEMPLATE + "acknowledgement-pre-workflow": {"boundary-never-triggers": 1, "implicit-end": 1},
}
SHARED_WARNINGS = {"default-missing", "extension-ignored"}
NAMES = sorted(file.stem for file in (SHARED_DATA / "bpmn").glob("*.bpmn"))


def counted(problems):
    codes = [problem.code for problem in problems]
    return {code: codes.count(code) for code in sorted(set(codes))}


def test_all_files_are_there():
    shared_file("bpmn")
    assert len(NAMES) == FILES_EXPECTED
    assert FAULTY.keys() | WARNED.keys() <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_verdict_on_a_file(name):
    xml = shared_file("bpmn", f"{name}.bpmn").read_bytes()
    problems = check(xml)
    assert counted(problem for problem in problems if problem.is_error) == FAULTY.get(name, {})
    warnings = counted(problem for problem in problems if not problem.is_error)
    assert {code: n for code, n in warnings.items() if code not in SHARED_WARNINGS} == WARNED.get(name, {})
    lines = xml.decode().splitlines()
    assert all(f'"{problem.element}"' in "".join(lines[problem.line - 1 :]) for problem in problems)
    if name in FAULTY:
        with pytest.raises(DefinitionError):
            parse_checked(xml)
    else:
        assert parse_checked(xml).id == parse(xml).id


@pytest.mark.parametrize(("name", "xml"), load())
def test_our_own_processes_have_no_problem(name, xml):
    assert check(xml) == []
    assert parse_checked(xml).id == name
