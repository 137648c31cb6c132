"""What a payee finds true before it takes a transfer (FSPIOP 1.1 section 6.7.2.8)."""

import msgspec
import pytest
from unit.engines.connectors.connector_kit import NOW_MS
from unit.engines.connectors.test_fspiop_sent import KES, QUOTE, UGX

from payhub_engines.connectors.job import BpmnError
from payhub_engines.connectors.mojaloop import ilp, terms
from payhub_engines.connectors.variables import PreparedTransfer
from payhub_platform import ids
from payhub_platform.clock import iso
from payhub_platform.contracts.tenant import SchemeConnection

EXPIRATION = iso(NOW_MS + 30_000)
OTHER = ilp.agree(
    ilp.transaction_of(msgspec.structs.replace(QUOTE, note="other"), KES, EXPIRATION),
    "secret",
    SchemeConnection(base_url="", switch_fsp_id="switch", switch_public_key_pem=""),
)


@pytest.fixture(params=[{}, {"ilp_version": 4}, {"iso20022": True}], ids=["v1", "v4", "iso20022"])
def prepared(request):
    """A transfer of buffalo's member as lion quoted it, in each form of packets."""
    scheme = SchemeConnection(base_url="", switch_fsp_id="switch", switch_public_key_pem="", **request.param)
    agreed = ilp.agree(ilp.transaction_of(QUOTE, KES, EXPIRATION), "secret", scheme)
    shared = {"expiration": EXPIRATION, "ilpPacket": agreed.packet, "condition": agreed.condition}
    money = msgspec.to_builtins(KES)
    return {
        "quote": msgspec.to_builtins(QUOTE),
        "requesterFsp": "buffalo",
        "quoteTerms": {"transferAmount": money, "payeeReceiveAmount": money, "expiration": EXPIRATION},
        "payeeAccount": "A2",
        "ownQuote": {"transferAmount": money, **shared},
        "transfer": {
            "transferId": ids.derive("transfer"),
            "payerFsp": "buffalo",
            "payeeFsp": "lion",
            "amount": money,
            **shared,
        },
    }


def check(variables, now_ms=NOW_MS):
    terms.check_prepare(msgspec.convert(variables, PreparedTransfer), "lion", now_ms)


def test_the_quoted_transfer_is_taken(prepared):
    check(prepared)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": {"currency": "KES", "amount": "100.51"}}, "3106"),
        ({"amount": msgspec.to_builtins(UGX)}, "3106"),
        ({"payerFsp": "rhino"}, "3106"),
        ({"payeeFsp": "rhino"}, "3106"),
        ({"condition": OTHER.condition}, "3106"),
        ({"ilpPacket": OTHER.packet}, "3106"),
        ({"expiration": iso(NOW_MS)}, "3303"),
    ],
)
def test_any_other_transfer_is_refused(prepared, change, code):
    with pytest.raises(BpmnError, match="transfer-refused") as refused:
        check({**prepared, "transfer": prepared["transfer"] | change})
    assert refused.value.variables["error"]["code"] == code


def test_a_transfer_after_its_quote_is_refused(prepared):
    late = {**prepared, "transfer": prepared["transfer"] | {"expiration": iso(NOW_MS + 90_000)}}
    with pytest.raises(BpmnError) as refused:
        check(late, NOW_MS + 30_000)
    assert refused.value.variables["error"]["code"] == "3302"
