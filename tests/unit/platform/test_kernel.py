import re
import uuid
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind

from payhub_platform import clock, ids, serving, settings
from payhub_platform.contracts.channel import TransferRequest
from payhub_platform.errors import InvalidInputError, UnauthenticatedError, UnavailableError, problem_of
from payhub_platform.http import decode_body
from payhub_platform.security.internal import internal_headers, require_internal
from payhub_platform.security.secrets import SealError, SecretBox
from payhub_platform.telemetry.tracing import Tracing, current_traceparent


def test_derived_ids_are_stable_version_5_uuids_and_parts_do_not_run_together() -> None:
    assert ids.derive("a", "bc") == ids.derive("a", "bc")
    assert ids.derive("a", "bc") != ids.derive("ab", "c")
    assert ids.is_uuid(ids.derive("x"))
    assert ids.derive("x")[14] == "5"
    assert ids.payment_id("lion", "c", "k") != ids.payment_id("rhino", "c", "k")


@given(st.lists(st.text(st.characters(codec="utf-8"))))
def test_derived_ids_are_those_of_the_standard(parts: list[str]) -> None:
    namespace = uuid.UUID("5d0a1e0c-6a0b-5c2e-9f6e-0f1a52a9c7d1")
    assert ids.derive(*parts) == str(uuid.uuid5(namespace, "".join(f"{len(part)}:{part}" for part in parts)))


@given(st.integers(0, 4_102_444_800_000))
def test_times_read_back_to_the_millisecond(at_ms: int) -> None:
    text = clock.iso(at_ms)
    assert len(text) == len("2026-01-31T09:05:00.000Z")
    assert clock.parse_iso(text) == at_ms


def test_a_time_without_offset_is_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        clock.parse_iso("2026-01-31T09:05:00")


def test_secrets_open_only_for_their_purpose_and_key() -> None:
    box = SecretBox(SecretBox.new_key())
    sealed = box.seal("password", "ams:lion")
    assert box.open(sealed, "ams:lion") == "password"
    for other, context, text in (
        (box, "ams:rhino", sealed),
        (SecretBox(SecretBox.new_key()), "ams:lion", sealed),
        (box, "ams:lion", "A" + sealed[1:] if sealed[0] != "A" else "B" + sealed[1:]),
        (box, "ams:lion", "!"),
    ):
        with pytest.raises(SealError):
            other.open(text, context)
    for key in ("c2hvcnQ=", "!", "é" * 44):
        with pytest.raises(SealError):
            SecretBox(key)


def test_internal_credential() -> None:
    require_internal(internal_headers("t"), "t")
    for headers, token in (({}, "t"), (internal_headers("x"), "t"), (internal_headers(""), "")):
        with pytest.raises(UnauthenticatedError):
            require_internal(headers, token)


class Some(msgspec.Struct):
    port: int
    name: str = "x"
    engines: dict[str, str] = {}
    folder: Path | None = None


def test_settings_come_from_the_environment() -> None:
    loaded = settings.load(Some, {"PAYHUB_PORT": "80", "PAYHUB_ENGINES": '{"north":"http://n"}'})
    assert loaded == Some(port=80, engines={"north": "http://n"})
    assert settings.load(Some, {"PAYHUB_PORT": "1", "PAYHUB_FOLDER": "/x/y"}).folder == Path("/x/y")
    with pytest.raises(InvalidInputError, match="port"):
        settings.load(Some, {"PAYHUB_PORT": "eighty"})
    with pytest.raises(InvalidInputError, match="port"):
        settings.load(Some, {})
    assert settings.load(Some, {"PAYHUB_PORT": "1", "PAYHUB_NAME": "[::1]"}).name == "[::1]"
    with pytest.raises(InvalidInputError, match="engines"):
        settings.load(Some, {"PAYHUB_PORT": "1", "PAYHUB_ENGINES": "{north: x}"})


class Loud(msgspec.Struct):
    log_level: str = "INFO"


@pytest.mark.parametrize("level", ["LOUD", "", "12"])
def test_a_log_level_that_is_none_ends_the_process_in_one_sentence(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAYHUB_LOG_LEVEL", level)
    with pytest.raises(SystemExit, match=r"payhub some: invalid-settings: .*PAYHUB_LOG_LEVEL"):
        serving.start("some", Loud)


@pytest.mark.parametrize(
    ("body", "code", "where"),
    [
        (b"{", "malformed-json", "/"),
        (b"\xff", "malformed-json", "/"),
        (b'{"payer":1}', "invalid-field", "/payer"),
        (b'{"extra":1}', "unknown-field", "/extra"),
        (b'{"payer":{"partyIdInfo":{"partyIdType":"X","partyIdentifier":"1"}}}', "invalid-field", None),
        (b"[]", "invalid-field", "/"),
    ],
)
def test_a_body_that_does_not_fit_says_where(body: bytes, code: str, where: str | None) -> None:
    with pytest.raises(InvalidInputError) as caught:
        decode_body(body, msgspec.json.Decoder(TransferRequest).decode)
    assert caught.value.code == code
    assert caught.value.where == (where or "/payer/partyIdInfo/partyIdType")


def test_problems_tell_users_what_and_where_and_nothing_of_defects() -> None:
    problem, headers = problem_of(UnavailableError("busy", "Later.", "/x", retry_after_s=3), "/path")
    assert (problem.status, problem.code, headers["Retry-After"]) == (503, "busy", "3")
    assert problem.errors == [{"pointer": "/x", "detail": "Later."}]
    hidden, _ = problem_of(KeyError("password=1"), "/path")
    assert hidden.code == "internal-error"
    assert "password" not in msgspec.json.encode(hidden).decode()


def test_one_trace_id_runs_through_processes(tmp_path: Path) -> None:
    first, second = Tracing("a"), Tracing("b", tmp_path / "b.jsonl")
    with first.span("one") as span:
        carried = span.traceparent
        assert current_traceparent() == carried
        with first.span("inner", carried) as inner:
            assert current_traceparent() == inner.traceparent != carried
        assert current_traceparent() == carried
    assert current_traceparent() == ""
    with second.span("two", carried, SpanKind.SERVER, tenant="lion") as span:
        span.set_attribute("http.response.status_code", 503)
        span.fail()
        assert span.traceparent[3:35] == carried[3:35]
        assert span.traceparent[36:52] != carried[36:52]
    second.shutdown()
    (line,) = (tmp_path / "b.jsonl").read_bytes().splitlines()
    written = msgspec.json.decode(line)
    assert (written["trace_id"], written["parent_id"]) == (carried[3:35], carried[36:52])
    assert written["span_id"] == span.traceparent[36:52]
    assert written["attributes"] == {"tenant": "lion", "http.response.status_code": 503}
    assert (written["service"], written["kind"], written["status"]) == ("b", "SERVER", "ERROR")


@pytest.mark.parametrize("is_written", [True, False])
def test_a_traceparent_that_is_none_begins_a_trace(tmp_path: Path, is_written: bool) -> None:
    tracing = Tracing("a", tmp_path / "a.jsonl" if is_written else None)
    carried = f"00-{'1' * 32}-{'2' * 16}-01"
    no_trace, no_span = carried.replace("1", "0"), carried.replace("2", "0")
    for bad in ("", "00-0-0-0", no_trace, no_span, "xx" + carried[2:], carried + "-"):
        with tracing.span("one", bad) as span:
            assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", span.traceparent)
            assert span.traceparent[3:35] not in ("0" * 32, "1" * 32)
    tracing.shutdown()


def test_whether_a_trace_is_written_is_decided_once_for_all_processes(tmp_path: Path) -> None:
    edge = Tracing("edge", tmp_path / "edge.jsonl", ratio=0.25)
    inside = Tracing("inside", tmp_path / "inside.jsonl")
    kept = 0
    for _ in range(400):
        with edge.span("in") as span, inside.span("further", span.traceparent) as further:
            assert further.traceparent[-2:] == span.traceparent[-2:]
            kept += int(span.traceparent[-2:], 16) & 1
    edge.shutdown()
    inside.shutdown()
    assert 40 < kept < 180
    for name in ("edge", "inside"):
        assert len((tmp_path / f"{name}.jsonl").read_bytes().splitlines()) == kept


def test_a_step_that_ends_with_an_exception_has_failed(tmp_path: Path) -> None:
    tracing = Tracing("a", tmp_path / "a.jsonl")
    with pytest.raises(UnavailableError), tracing.span("one"):
        raise UnavailableError("busy", "Later.")
    tracing.shutdown()
    assert current_traceparent() == ""
    assert msgspec.json.decode((tmp_path / "a.jsonl").read_bytes())["status"] == "ERROR"
