"""Spans, and the W3C traceparent that joins the processes of one payment.

Spans are written as one JSON document a line to ``PAYHUB_TRACE_FILE``; without it nothing is recorded
and only the trace id travels. A collector reads the file or takes its place.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags

_TRACEPARENT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
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


class Tracing:
    """A process's tracer."""

    def __init__(self, service: str, trace_file: Path | None = None) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        if trace_file is not None:
            exporter = BatchSpanProcessor(FileSpanExporter(trace_file), schedule_delay_millis=EXPORT_DELAY_MS)
            self._provider.add_span_processor(exporter)
        self._tracer = self._provider.get_tracer("payhub")

    @contextlib.contextmanager
    def span(
        self,
        name: str,
        traceparent: str = "",
        kind: SpanKind = SpanKind.INTERNAL,
        **attributes: str | int | bool,
    ) -> Iterator[Span]:
        """Run a block in a span that continues ``traceparent``, or starts a trace when it is empty."""
        parent = remote_context(traceparent)
        context = trace.set_span_in_context(NonRecordingSpan(parent)) if parent else None
        with self._tracer.start_as_current_span(
            name, context=context, kind=kind, attributes=attributes
        ) as span:
            yield span

    def shutdown(self) -> None:
        """Write what is still held."""
        self._provider.shutdown()


def traceparent_of(span: Span) -> str:
    """Write a span's W3C traceparent."""
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def remote_context(traceparent: str) -> SpanContext | None:
    """Read a W3C traceparent; None where it is absent or malformed."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    flags = TraceFlags(int(found[3], 16))
    return SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=flags)


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
