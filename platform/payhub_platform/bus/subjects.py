"""Names on the bus, in one place."""

from typing import Final

AUDIT_STREAM: Final = "PAYHUB_AUDIT"
AUDIT_SUBJECTS: Final = "payhub.audit.>"
CONFIG_BUCKET: Final = "payhub-config"
TENANT_KEY_PREFIX: Final = "tenants."
USAGE_BUCKET: Final = "payhub-usage"


def audit(engine: str) -> str:
    """Where an engine exports its log; stored in ``AUDIT_STREAM``."""
    return f"payhub.audit.{engine}"


def replay(engine: str) -> str:
    """Where operations asks an engine for records again (request and reply)."""
    return f"payhub.replay.{engine}"


def replay_held(engine: str) -> str:
    """Where operations asks all replicas of an engine for records that its leader no longer holds."""
    return f"payhub.replay.{engine}.held"


def confirmed(engine: str) -> str:
    """Where an engine asks operations how far its log is stored (request and reply)."""
    return f"payhub.confirmed.{engine}"


def handover(engine: str) -> str:
    """Where an engine takes callbacks that reached another (request and reply)."""
    return f"payhub.handover.{engine}"


def recall(engine: str) -> str:
    """Where an engine is asked whether it has begun something (request and reply)."""
    return f"payhub.recall.{engine}"
