"""The kernel that every payhub process shares: money, ids, errors, contracts, bus, security, telemetry."""
