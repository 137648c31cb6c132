import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.shared_data import shared_file
from unit.engines.connectors.test_fspiop_sent import QUOTE

from payhub_engines.connectors.mojaloop import ilp
from payhub_platform.clock import iso
from payhub_platform.contracts.fspiop import Party
from payhub_platform.contracts.tenant import SchemeConnection
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


def scheme(**settings):
    return SchemeConnection(base_url="", switch_fsp_id="switch", switch_public_key_pem="", **settings)


def test_packets_of_version_four_are_those_of_mojaloops_own_library():
    vectors = json.loads(shared_file("vectors", "sdk_standard_components_vectors.json").read_text())["ilp"]
    checked = 0
    for vector in (vector for vector in vectors if vector["version"] == "v4"):
        quote, response, result = vector["quoteRequest"], vector["quoteResponse"], vector["result"]
        names = ("quoteId", "transactionId", "transactionType", "payee", "payer")
        transaction = {name: quote[name] for name in names}
        transaction |= {"expiration": response["expiration"], "amount": response["transferAmount"]}
        transaction |= {"note": response["note"]} if response.get("note") else {}
        data = json.dumps(transaction, separators=(",", ":"), ensure_ascii=False).encode()
        packet = ilp.build_prepare_of(
            data, Money.parse(**response["transferAmount"]), result["condition"], response["expiration"]
        )
        assert packet == result["ilpPacket"]
        fulfilment = ilp.fulfilment_of(packet, vector["secret"])
        assert (fulfilment, ilp.condition_of(fulfilment)) == (result["fulfilment"], result["condition"])
        parsed, decoded = ilp.parse_packet(packet), vector["decoded"]
        assert str(parsed.amount_minor) == decoded["amount"]
        assert (parsed.version, parsed.address) == (4, decoded["destination"])
        assert parsed.condition == result["condition"]
        assert iso(parsed.expires_at_ms) == decoded["expiresAt"]
        checked += 1
    assert checked >= 8


@pytest.mark.parametrize(
    ("settings", "version"),
    [({}, 1), ({"ilp_version": 4}, 4), ({"iso20022": True}, 4)],
)
def test_an_agreement_has_the_schemes_form_and_is_fulfilled_from_its_packet(settings, version):
    transaction = ilp.transaction_of(QUOTE, QUOTE.amount, QUOTE.expiration)
    terms = ilp.agree(transaction, "secret", scheme(**settings))
    parsed = ilp.parse_packet(terms.packet)
    assert parsed.version == version
    assert (parsed.ids.quote_id, parsed.ids.transaction_id) == (QUOTE.quote_id, QUOTE.transaction_id)
    assert ilp.fulfilment_of(terms.packet, "secret") == terms.fulfilment
    assert ilp.fulfils(terms.fulfilment, terms.condition)
    assert parsed.condition in (None, terms.condition)
    assert ilp.agree(transaction, "secret", scheme(**settings)) == terms
    assert ilp.agree(transaction, "other", scheme(**settings)).condition != terms.condition


@pytest.mark.parametrize("settings", [{}, {"ilp_version": 4}])
def test_an_open_quote_outlives_a_change_of_secret(settings):
    terms = ilp.agree(ilp.transaction_of(QUOTE, QUOTE.amount, QUOTE.expiration), "old", scheme(**settings))
    assert ilp.secret_for(terms.packet, terms.condition, ["new", "old"]) == "old"
    assert ilp.secret_for(terms.packet, terms.condition, ["new", "newer"]) is None


@pytest.mark.parametrize(
    "packet",
    ["", "!!", "AA", "AQ", "AYI", "AQIAAA", "DAEA", "é", "A" * 32_769, "AYP___8", "AYD_"],
)
def test_what_is_no_packet_is_refused(packet):
    with pytest.raises(ilp.PacketError):
        ilp.parse_packet(packet)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser(data):
    for kind in (b"\x01", b"\x0c"):
        for raw in (kind + data, kind + ilp._octets(data)):
            with contextlib.suppress(ilp.PacketError):
                ilp.parse_packet(ilp._b64(raw).decode())


@pytest.mark.parametrize("fulfilment", ["", "x", "A" * 42, "A" * 44, "ü" * 43])
def test_a_malformed_fulfilment_meets_no_condition(fulfilment):
    assert not ilp.fulfils(fulfilment, "A" * 43)


def test_the_ilp_secret_is_of_the_key_and_not_the_key():
    assert ilp.secret_of("pem one") != ilp.secret_of("pem two")
    assert "pem one" not in ilp.secret_of("pem one")
