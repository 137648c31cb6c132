"""All handlers of the channel API."""

from typing import Any, Final

from payhub_gateway.channel import api, bulk_api, members_api, payment_hub_api, requests_api

MOST_ASKED: Final[tuple[Any, ...]] = (
    api.start_transfer,
    api.transfer_status,
    payment_hub_api.start_hub_transfer,
    payment_hub_api.hub_transfer_status,
    payment_hub_api.transaction_state,
)
CHANNEL_ROUTES: Final[tuple[Any, ...]] = (
    api.start_transfer,
    api.transfer_status,
    api.confirm_transfer,
    api.refund_transfer,
    bulk_api.start_bulk_payment,
    bulk_api.bulk_payment_status,
    requests_api.request_payment,
    requests_api.request_status,
    requests_api.authorize_request,
    requests_api.received_requests,
    members_api.look_account_up,
    members_api.account_status,
    members_api.look_party_up,
    members_api.party_status,
    members_api.register_party,
    members_api.registration_status,
    payment_hub_api.start_hub_transfer,
    payment_hub_api.start_gsma_transfer,
    payment_hub_api.hub_transfer_status,
    payment_hub_api.transaction_state,
    payment_hub_api.start_hub_request,
    payment_hub_api.register_alias,
    payment_hub_api.hub_account_status,
    payment_hub_api.hub_account_balance,
    payment_hub_api.not_offered_post,
    payment_hub_api.not_offered_get,
)
