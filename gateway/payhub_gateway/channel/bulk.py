"""Many payments of one payer: each is checked as the transfer that it is. Pure: no clock, no I/O."""

from typing import Final

from payhub_gateway.channel import checks, model
from payhub_platform import ids
from payhub_platform.contracts.bulk_payments import (
    PATH_BULK_PAYMENTS,
    BulkPaymentItem,
    BulkPaymentRequest,
    BulkPaymentStatus,
    StartBulkItem,
    StartBulkPayment,
)
from payhub_platform.contracts.channel import TransferRequest
from payhub_platform.contracts.engine import StartPayment
from payhub_platform.contracts.tenant import TenantConfig
from payhub_platform.errors import InvalidInputError, UnprocessableError

_OF_ALL: Final = ("/payer", "/expiration")  # what the payments of a bulk have in common


def bulk_payment(request: BulkPaymentRequest, tenant: TenantConfig, client_id: str, key: str) -> model.Act:
    """Check a bulk. Whether it has expired is asked elsewhere.

    Raises:
        PayhubError: as ``model.transfer``, with the payment's place in the bulk.
    """
    checked = [
        _checked(request, number, one, tenant, client_id, key) for number, one in enumerate(request.payments)
    ]
    checks.text(request.client_ref_id, "/clientRefId")
    command = StartBulkPayment(
        payment_id=ids.derive("bulk-payment", tenant.tenant_id, client_id, key),
        idempotency_key=key,
        fingerprint=checks.fingerprint(request),
        client_id=client_id,
        payer=checked[0].payer,
        payments=[
            StartBulkItem(
                payee=one.payee,
                amount=one.amount,
                amount_type="RECEIVE" if one.amount_type == "RECEIVE" else "SEND",
                client_ref_id=one.client_ref_id,
                note=one.note,
            )
            for one in checked
        ],
        client_ref_id=request.client_ref_id,
        expires_at_ms=checked[0].expires_at_ms,
    )
    return model.Act(
        path=PATH_BULK_PAYMENTS,
        command=command,
        status=BulkPaymentStatus,
        expires_at_ms=command.expires_at_ms,
    )


def _checked(
    bulk: BulkPaymentRequest,
    number: int,
    item: BulkPaymentItem,
    tenant: TenantConfig,
    client_id: str,
    key: str,
) -> StartPayment:
    transfer = TransferRequest(
        payer=bulk.payer,
        payee=item.payee,
        amount=item.amount,
        amount_type=item.amount_type,
        client_ref_id=item.client_ref_id,
        note=item.note,
        expiration=bulk.expiration,
    )
    try:
        return model.start_payment(transfer, tenant, client_id, key)
    except (InvalidInputError, UnprocessableError) as error:
        if error.where.startswith(_OF_ALL):
            raise
        raise type(error)(error.code, error.detail, f"/payments/{number}{error.where}") from error
