"""`payhub bpmn lint`: what it prints, and its exit status."""

import json

import pytest
from click.testing import CliRunner
from support.bpmn_text import between, job, node

from payhub_cli.main import cli
from payhub_engines.processes import load


def lint(*arguments):
    return CliRunner().invoke(cli, ["bpmn", "lint", *map(str, arguments)])


@pytest.fixture
def written(tmp_path):
    def write(xml, name="p.bpmn"):
        file = tmp_path / name
        file.write_bytes(xml)
        return file

    return write


def test_our_own_processes_are_clean(written):
    files = [written(xml, f"{name}.bpmn") for name, xml in load()]
    done = lint("--strict", *files)
    told = f"{len(files)} files, 0 errors, 0 warnings\n"
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", told)


def test_an_error_is_printed_with_file_line_code_and_element(written):
    file = written(between(node("serviceTask", "a")))
    done = lint(file)
    assert done.exit_code == 1
    detail = "No job type; add zeebe:taskDefinition with a type that a connector serves."
    assert done.stdout == f"{file}:4: error job-type-missing a: {detail}\n"
    assert done.stderr == "1 files, 1 errors, 0 warnings\n"


def test_a_problem_of_the_file_has_no_element(written):
    file = written(b"<a/>")
    done = lint(file)
    assert (done.exit_code, done.stdout.startswith(f"{file}:1: error not-bpmn: ")) == (1, True)


def test_unknown_jobs_and_messages_are_warnings_until_they_are_named(written):
    file = written(between(job("a", "mine"), node("receiveTask", "r", messageRef="m-paid"), names="a r"))
    done = lint(file)
    assert done.exit_code == 0
    assert [line.split()[1:4] for line in done.stdout.splitlines()] == [
        ["warning", "job-type-unserved", "a:"],
        ["warning", "message-unpublished", "r:"],
    ]
    assert lint("--strict", file).exit_code == 1
    named = lint("--strict", "--jobs", "mine", "--messages", "paid", file)
    assert (named.exit_code, named.stdout) == (0, "")


def test_json(written):
    bad = written(between(node("serviceTask", "a")))
    done = lint("--json", bad, written(b"", "empty.bpmn"))
    report = json.loads(done.stdout)
    assert (done.exit_code, report["files"], report["errors"], report["warnings"]) == (1, 2, 2, 0)
    assert [sorted(problem) for problem in report["problems"]] == [
        ["code", "detail", "element", "file", "line", "severity"]
    ] * 2
    assert [problem["code"] for problem in report["problems"]] == ["job-type-missing", "malformed-xml"]


def test_what_cannot_be_read_is_a_mistake_in_the_call(tmp_path):
    assert lint(tmp_path / "none.bpmn").exit_code == lint().exit_code == 2
