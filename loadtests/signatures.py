"""Counts what FSPIOP costs a message, in microseconds of processor time.

``python loadtests/signatures.py`` prints a table, with ``--json`` one line.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from payhub_engines.connectors.mojaloop import ilp
from payhub_platform.contracts.fspiop import (
    FspMoney,
    Party,
    PartyIdInfo,
    QuoteRequest,
    TransactionType,
    TransferPrepare,
)
from payhub_platform.contracts.tenant import SchemeConnection
from payhub_platform.security import jws

ROUNDS: Final = 7  # the best of them counts: what else the machine does only adds
CALLS: Final = 300
EXPIRATION: Final = "2026-11-20T23:24:28.000Z"
HEADERS: Final = {
    "FSPIOP-Source": "lion",
    "FSPIOP-Destination": "rhino",
    "Date": "Fri, 20 Nov 2026 23:24:28 GMT",
}
ALGORITHMS: Final[tuple[jws.Algorithm, ...]] = ("ES256", "RS256")


def cost_us(call: Callable[[], object]) -> float:
    """Return the processor time of one call."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(CALLS):
            call()
        best = min(best, (time.process_time() - started) / CALLS)
    return round(best * 1e6, 1)


def figures() -> dict[str, float]:
    """Return microseconds by what is done to a transfer's message."""
    parties = [
        Party(party_id_info=PartyIdInfo(party_id_type="MSISDN", party_identifier=number, fsp_id=fsp))
        for number, fsp in (("254700200001", "lion"), ("254700100001", "rhino"))
    ]
    amount = FspMoney(currency="KES", amount="100.5")
    quote = QuoteRequest(
        quote_id="7c23e80c-d078-4077-8263-2c047876fcf6",
        transaction_id="85feac2f-39b2-491b-817e-4a03203d4f14",
        payer=parties[0],
        payee=parties[1],
        amount_type="SEND",
        amount=amount,
        transaction_type=TransactionType(scenario="TRANSFER", initiator="PAYER", initiator_type="CONSUMER"),
    )
    scheme = SchemeConnection(base_url="", switch_fsp_id="switch", switch_public_key_pem="")
    transaction = ilp.transaction_of(quote, amount, EXPIRATION)
    terms = ilp.agree(transaction, "secret", scheme)
    transfer = TransferPrepare(
        transfer_id=quote.transaction_id,
        payer_fsp="lion",
        payee_fsp="rhino",
        amount=amount,
        ilp_packet=terms.packet,
        condition=terms.condition,
        expiration=EXPIRATION,
    )
    body = msgspec.json.encode(transfer)
    found = {
        "decode": cost_us(lambda: msgspec.json.decode(body, type=TransferPrepare)),
        "ilp_agree": cost_us(lambda: ilp.agree(transaction, "secret", scheme)),
        "ilp_fulfil": cost_us(lambda: ilp.fulfilment_of(terms.packet, "secret")),
    }
    for algorithm in ALGORITHMS:
        key = jws.load_private_key(jws.new_private_key_pem(algorithm))
        public = key.public_key()
        sent = HEADERS | jws.sign(body, HEADERS, "/transfers", "POST", key)
        received = {name.lower(): value for name, value in sent.items()}
        sign = partial(jws.sign, body, HEADERS, "/transfers", "POST", key)
        verify = partial(jws.verify, body, received, "/transfers", "POST", public)
        found |= {f"{algorithm}_sign": cost_us(sign), f"{algorithm}_verify": cost_us(verify)}
    return found


if __name__ == "__main__":
    measured = figures()
    if "--json" in sys.argv[1:]:
        sys.stdout.write(json.dumps({f"{name}_us": value for name, value in measured.items()}) + "\n")
    else:
        sys.stdout.writelines(f"{name:14} {value:8.1f} us\n" for name, value in measured.items())
