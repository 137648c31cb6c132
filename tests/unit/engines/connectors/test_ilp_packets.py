import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from payhub_engines.connectors.mojaloop import ilp
from payhub_platform.contracts.fspiop import Party
from payhub_platform.money import Money


def test_packets_conditions_and_fulfilments_are_those_of_mojaloops_own_library(shared_data):
    vectors = json.loads((shared_data / "vectors" / "sdk_standard_components_vectors.json").read_text())[
        "ilp"
    ]
    checked = 0
    for vector in (vector for vector in vectors if vector["version"] == "v1"):
        quote, response = vector["quoteRequest"], vector["quoteResponse"]
        names = ("quoteId", "transactionId", "transactionType", "payee", "payer")
        transaction = {name: quote[name] for name in names}
        transaction |= {"expiration": response["expiration"], "amount": response["transferAmount"]}
        if response.get("note"):
            transaction["note"] = response["note"]
        data = json.dumps(transaction, separators=(",", ":"), ensure_ascii=False).encode()
        money = Money.parse(**response["transferAmount"])
        packet = ilp.build_packet_of(data, money, ilp.address_of(msgspec.convert(quote["payee"], Party)))
        fulfilment = ilp.fulfilment_of(packet, vector["secret"])
        assert packet == vector["result"]["ilpPacket"]
        assert fulfilment == vector["result"]["fulfilment"]
        assert ilp.condition_of(fulfilment) == vector["result"]["condition"]
        assert ilp.fulfils(fulfilment, vector["result"]["condition"])
        parsed = ilp.parse_packet(packet)
        assert str(parsed.amount_minor) == vector["decoded"]["amount"]
        assert parsed.address == vector["decoded"]["account"]
        assert parsed.ids.transaction_id == quote["transactionId"]
        checked += 1
    assert checked >= 8


@pytest.mark.parametrize(
    "packet",
    ["", "!!", "AA", "AQ", "AYI", "AQIAAA", "DAEA", "é", "A" * 32_769, "AYP___8", "AYD_"],
)
def test_what_is_no_packet_is_refused(packet):
    with pytest.raises(ilp.PacketError):
        ilp.parse_packet(packet)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(data):
    with contextlib.suppress(ilp.PacketError):
        ilp.parse_packet(ilp._b64(b"\x01" + data).decode())


@pytest.mark.parametrize("fulfilment", ["", "x", "A" * 42, "A" * 44, "ü" * 43])
def test_a_malformed_fulfilment_meets_no_condition(fulfilment):
    assert not ilp.fulfils(fulfilment, "A" * 43)


def test_the_ilp_secret_is_of_the_key_and_not_the_key():
    assert ilp.secret_of("pem one") != ilp.secret_of("pem two")
    assert "pem one" not in ilp.secret_of("pem one")
