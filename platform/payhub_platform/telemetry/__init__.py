"""OpenTelemetry: one trace id from channel to audit."""
