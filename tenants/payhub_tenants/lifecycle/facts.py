"""What requirements are judged by, read from the store."""

from payhub_tenants.certification.model import DOCUMENT as CERTIFICATION_DOCUMENT
from payhub_tenants.certification.model import CertificationRun, state_of
from payhub_tenants.endpoints.model import ENDPOINTS_DOCUMENT, KeptEndpoints
from payhub_tenants.lifecycle.requirements import Facts
from payhub_tenants.store import Transaction
from payhub_tenants.tenants.ams import CHECK_DOCUMENT, AmsCheck
from payhub_tenants.tenants.model import Tenant
from payhub_tenants.terms.model import LIMITS_DOCUMENT, Limits


async def facts_of(transaction: Transaction, tenant: Tenant, now_ms: int) -> Facts:
    """Read the facts of one tenant."""
    tenant_id, documents = tenant.tenant_id, transaction.documents
    check = await documents.get(tenant_id, CHECK_DOCUMENT, AmsCheck)
    run = await documents.get(tenant_id, CERTIFICATION_DOCUMENT, CertificationRun)
    endpoints = await documents.get(tenant_id, ENDPOINTS_DOCUMENT, KeptEndpoints)
    approvals = await transaction.approvals.all(tenant_id)
    keys = await transaction.keys.all(tenant_id)
    return Facts(
        status=tenant.status,
        now_ms=now_ms,
        clients=len(await transaction.clients.of_tenant(tenant_id)),
        ams_checked_at_ms=check.at_ms if check is not None and check.answered else None,
        certification=state_of(run),
        failed_cases=[] if run is None else run.failed,
        has_limits=await documents.get(tenant_id, LIMITS_DOCUMENT, Limits) is not None,
        identifiers=(await transaction.identifiers.counts(tenant_id)).get("registered", 0),
        endpoints=0 if endpoints is None else len(endpoints.endpoints),
        key_expires_at_ms=next((key.expires_at_ms for key in keys if key.state == "current"), None),
        approval_waits=any(each.action == "go-live" and each.state == "waiting" for each in approvals),
    )
