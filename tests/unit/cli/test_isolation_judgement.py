"""What the proof of isolation takes for a flaw."""

import pytest

from payhub_cli.isolation.model import Answer, Report, judged, operations, without

GONE = Answer(404, '{"code":"payment-not-found"}')
DOCUMENT = {
    "paths": {
        "/v1/things/{thing}": {
            "parameters": [],
            "get": {"parameters": [{"name": "thing", "in": "path"}, {"name": "page", "in": "query"}]},
            "delete": {"parameters": [{"name": "thing", "in": "path"}], "requestBody": {}},
        }
    }
}


def flaws(theirs: Answer, nobodys: Answer, theirs_ms: float = 1.0, method: str = "GET") -> set[str]:
    operation = f"gateway {method} /v1/things/{{thing}}"
    row, findings = judged(operation, "a thing", [(theirs, theirs_ms)] * 5, [(nobodys, 1.0)] * 5)
    assert row.status == theirs.status
    assert {finding.operation for finding in findings} <= {operation}
    return {finding.flaw for finding in findings}


def test_the_same_refusal_in_the_same_time_is_no_flaw():
    assert flaws(GONE, GONE) == set()
    assert flaws(Answer(403, ""), Answer(403, "")) == set()


@pytest.mark.parametrize("status", [200, 202, 400, 409, 422, 500])
def test_whatever_is_no_refusal_is_one(status: int):
    assert flaws(Answer(status, ""), Answer(status, "")) == {"answered"}


def test_an_answer_that_tells_whether_it_is_there_is_one():
    assert flaws(Answer(403, ""), GONE) == {"told"}
    assert flaws(Answer(404, '{"code":"account-blocked"}'), GONE) == {"told"}


def test_a_time_that_tells_it_is_one():
    assert flaws(GONE, GONE, theirs_ms=5.9) == set()
    assert flaws(GONE, GONE, theirs_ms=6.1) == {"slower"}


def test_what_is_not_there_may_be_deleted():
    assert flaws(Answer(204, ""), Answer(204, ""), method="DELETE") == set()
    assert flaws(Answer(204, ""), Answer(204, ""), method="PUT") == {"answered"}
    assert flaws(Answer(204, ""), GONE, method="DELETE") == {"told"}


def test_the_operations_of_a_document():
    read, remove = operations("gateway", DOCUMENT)
    assert (read.method, read.parameters, read.takes_body) == ("GET", ("thing",), False)
    assert (remove.method, remove.parameters, remove.takes_body) == ("DELETE", ("thing",), True)
    assert read.at({"thing": "a-1"}) == "/v1/things/a-1"


def test_what_was_sent_is_taken_out_of_an_answer():
    assert (
        without('{"instance":"/v1/things/a-12","id":"a-1"}', ["a-1", "a-12"])
        == '{"instance":"/v1/things/*","id":"*"}'
    )


def test_a_report_holds_only_where_nothing_was_found_and_nothing_changed():
    _, slower = judged("gateway GET /", "a thing", [(GONE, 9.0)], [(GONE, 1.0)])
    assert Report(operations=1, rows=[], findings=[]).holds()
    assert not Report(operations=1, rows=[], findings=[], unharmed=False).holds()
    assert not Report(operations=1, rows=[], findings=slower).holds()
