"""Spans, and the W3C traceparent that joins the processes of one payment.

Spans are written as one JSON document a line to ``PAYHUB_TRACE_FILE``; without it, or where the trace is not
sampled, nothing is recorded and only the ids travel. A collector reads the file or takes its place.
"""

import os
import re
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

# No id is all zeros (W3C Trace Context section 3.2.2).
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_TRACE_BYTES: Final = 16
_SPAN_BYTES: Final = 8
_RANDOM_END: Final = 1 << 8 * _SPAN_BYTES
_CURRENT: Final = ContextVar("traceparent", default="")
EXPORT_DELAY_MS: Final = 500


class FileSpanExporter(SpanExporter):
    """Appends finished spans to a file, one JSON document a line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write a batch of spans with one system call."""
        self._file.write(b"".join(msgspec.json.encode(_document(span)) + b"\n" for span in spans))
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file."""
        self._file.close()


class Span:
    """A step of a trace, for the length of a ``with`` block.

    Where it is written, OpenTelemetry keeps it until it ends; where it is not, it is nothing but its ids.

    Attributes:
        traceparent: W3C traceparent of the step, which joins what it causes elsewhere to it.
    """

    __slots__ = ("_recorded", "_token", "traceparent")

    def __init__(self, traceparent: str, recorded: trace.Span | None = None) -> None:
        self.traceparent = traceparent
        self._recorded = recorded

    @property
    def is_recorded(self) -> bool:
        """Whether anything that is said of the step is kept."""
        return self._recorded is not None

    def rename(self, name: str) -> None:
        """Say what the step is, where that was not known when it began."""
        if self._recorded is not None:
            self._recorded.update_name(name)

    def set_attribute(self, name: str, value: str | int | bool) -> None:
        """Say more of the step."""
        if self._recorded is not None:
            self._recorded.set_attribute(name, value)

    def fail(self) -> None:
        """Say that the step failed, as it does itself when its block ends with an exception."""
        if self._recorded is not None:
            self._recorded.set_status(StatusCode.ERROR)

    def __enter__(self) -> Self:
        self._token = _CURRENT.set(self.traceparent)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        _CURRENT.reset(self._token)
        if self._recorded is not None:
            if isinstance(error, Exception):
                self.fail()
            self._recorded.end()


class Tracing:
    """A process's tracer.

    Args:
        service: whose steps they are.
        trace_file: where they are written; None for nowhere.
        ratio: how much of the traces that begin here is written, 0 to 1. It is decided once for all
            processes: the traceparent says so.
    """

    def __init__(self, service: str, trace_file: Path | None = None, ratio: float = 1.0) -> None:
        self._sampled_below = round(ratio * _RANDOM_END)
        self._provider: TracerProvider | None = None
        if trace_file is not None:
            self._provider = TracerProvider(ALWAYS_ON, Resource.create({"service.name": service}))
            exporter = BatchSpanProcessor(FileSpanExporter(trace_file), schedule_delay_millis=EXPORT_DELAY_MS)
            self._provider.add_span_processor(exporter)
            self._tracer = self._provider.get_tracer("payhub")

    def span(
        self,
        name: str,
        traceparent: str = "",
        kind: SpanKind = SpanKind.INTERNAL,
        **attributes: str | int | bool,
    ) -> Span:
        """Return a span that continues ``traceparent``, or begins a trace when that is empty or malformed."""
        parent = _TRACEPARENT.fullmatch(traceparent)
        random = os.urandom(_TRACE_BYTES + _SPAN_BYTES).hex()
        trace_id, span_id = random[: 2 * _TRACE_BYTES], random[2 * _TRACE_BYTES :]
        if parent is not None:
            trace_id, flags = parent[1], parent[3]
        else:
            flags = "01" if int(span_id, 16) < self._sampled_below else "00"
        if self._provider is None or not int(flags, 16) & TraceFlags.SAMPLED:
            return Span(f"00-{trace_id}-{span_id}-{flags}")
        within = Context() if parent is None else set_span_in_context(NonRecordingSpan(_remote(parent)))
        recorded = self._tracer.start_span(name, within, kind, attributes)
        context = recorded.get_span_context()
        return Span(f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}", recorded)

    def shutdown(self) -> None:
        """Write what is still held."""
        if self._provider is not None:
            self._provider.shutdown()


def current_traceparent() -> str:
    """Return the W3C traceparent of the innermost span that runs here; empty outside of all."""
    return _CURRENT.get()


def _remote(parent: re.Match[str]) -> SpanContext:
    flags = TraceFlags(int(parent[3], 16))
    return SpanContext(int(parent[1], 16), int(parent[2], 16), is_remote=True, trace_flags=flags)


def _document(span: ReadableSpan) -> dict[str, Any]:
    context, parent = span.get_span_context(), span.parent
    return {
        "trace_id": f"{context.trace_id:032x}" if context else "",
        "span_id": f"{context.span_id:016x}" if context else "",
        "parent_id": f"{parent.span_id:016x}" if parent else "",
        "service": span.resource.attributes.get("service.name", ""),
        "name": span.name,
        "kind": span.kind.name,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
    }
