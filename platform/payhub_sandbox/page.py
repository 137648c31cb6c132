"""The guide as a page for people: plain HTML, made of the same document as the JSON."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from payhub_sandbox.bank import cases as bank_cases
from payhub_sandbox.switch import forced

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #bbb;padding:.25rem .6rem;"
    "text-align:left;vertical-align:top}pre{background:#f3f3f3;padding:.8rem;overflow:auto}"
    "h2{margin-top:2.5rem}"
)

_INTRODUCTION: Final = (
    "<p>A Mojaloop switch (FSPIOP 1.0, 1.1 and 2.0) and four core banks shaped like Apache Fineract, with"
    " made-up members and money. It keeps nothing: a restart begins again.</p>"
)


def page(document: dict[str, Any]) -> str:
    """Return the guide page of a sandbox.

    Args:
        document: what ``payhub_sandbox.guide.guide`` returns.
    """
    sections = [
        "<h1>payhub sandbox</h1>",
        _INTRODUCTION,
        _connect(document),
        _banks(document),
        *([_counterparties(document)] if "counterparties" in document else []),
        *([_forced_cases()] if "forcedCases" in document else []),
        _operate(document),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>payhub sandbox</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>"
    )


def _connect(document: dict[str, Any]) -> str:
    switch = document["switch"]
    registration = (
        f"curl -X POST {switch['adminUrl']}/participants -d '"
        '{"fspId":"mydfsp","currency":"KES","callbackUrls":["http://127.0.0.1:4000"],'
        '"publicKeyPem":"-----BEGIN PUBLIC KEY-----\\n...","netDebitCap":"100000"}\''
    )
    member = (
        f'POST {switch["baseUrl"]}/participants/MSISDN/254711000001   {{"fspId":"mydfsp","currency":"KES"}}'
    )
    return (
        "<h2>Connect your DFSP</h2><ol>"
        f"<li>Register it, with its callback address and its public key:{_code(registration)}</li>"
        f"<li>Register your members with signed FSPIOP messages:{_code(member)}</li>"
        f"<li>Send look-ups, quotes and transfers to {_word(switch['baseUrl'])}; answers come to your"
        " callback address.</li>"
        f"<li>Verify what the switch itself says (FSPIOP-Source {_word(switch['fspId'])}) with its key:"
        f"{_code(switch['publicKeyPem'])}</li></ol>"
    )


def _banks(document: dict[str, Any]) -> str:
    access = _table(
        ("bank", "Fineract API", "tenant", "user", "password", "OAuth2 token"),
        (
            (
                bank["fspId"],
                bank["amsBaseUrl"],
                bank["platformTenant"],
                bank["username"],
                bank["password"],
                bank["tokenUrl"],
            )
            for bank in document["banks"]
        ),
    )
    members = _table(
        ("bank", "account", "reached by", "name"),
        (
            row
            for bank in document["banks"]
            for row in [
                *((bank["fspId"], one["accountId"], one["msisdn"], one["name"]) for one in bank["members"]),
                *(
                    (bank["fspId"], one["accountId"], f"{one['businessId']}/{one['till']}", one["name"])
                    for one in bank["businesses"]
                ),
                *((bank["fspId"], one["accountNo"], "loan", one["name"]) for one in bank["loans"]),
            ]
        ),
    )
    return f"<h2>Banks and members</h2>{access}{members}"


def _counterparties(document: dict[str, Any]) -> str:
    dfsp, provider = document["counterparties"]
    order = (
        f"curl -X POST {dfsp['adminUrl']}/payments -d '"
        '{"kind":"transfer","partyType":"MSISDN","partyId":"254711000001","amount":"25"}\'\n'
        f"curl {dfsp['adminUrl']}/payments"
    )
    parties = _table(("party", "name"), ((one["party"], one["name"]) for one in dfsp["parties"]))
    rates = _table(
        ("from", "to", "rate"), ((one["source"], one["target"], one["rate"]) for one in provider["rates"])
    )
    return (
        f"<h2>Somebody to pay: the test DFSP {_word(dfsp['fspId'])}</h2>"
        "<p>It answers look-ups, quotes, transfers, bulks and requests to pay for these parties."
        f" The OTP is 1234.</p>{parties}"
        "<p>It pays one of your members when it is told to; kind <code>request-to-pay</code> asks your"
        f" member to pay instead, with <code>otp</code> for one that needs a code.</p>{_code(order)}"
        f"<p>It signs with this key:</p>{_code(dfsp['publicKeyPem'])}"
        f"<h2>Currency provider {_word(provider['fspId'])}</h2>"
        f"<p>Fixed rates, rounded to its advantage.</p>{rates}{_code(provider['publicKeyPem'])}"
    )


def _forced_cases() -> str:
    switch = _table(
        ("resource", "amount ends in", "identifier begins", "behaviour", "error"),
        ((row.resource, row.amount, row.identifier, row.behaviour, row.error_code) for row in forced.TABLE),
    )
    bank = _table(
        ("operation", "amount ends in", "identifier begins", "behaviour"),
        ((row.operation, row.amount, row.identifier, row.behaviour) for row in bank_cases.TABLE),
    )
    return (
        "<h2>Forced cases</h2><p>The last three digits of an amount's whole units, or the beginning of an"
        " identifier, force an outcome: 1,803.00 meets the row 803.</p>"
        f"<h3>Switch</h3>{_table(('behaviour', 'meaning'), forced.BEHAVIOURS.items())}{switch}"
        f"<h3>Banks</h3>{_table(('behaviour', 'meaning'), bank_cases.BEHAVIOURS.items())}{bank}"
    )


def _operate(document: dict[str, Any]) -> str:
    admin = document["switch"]["adminUrl"]
    rows = (
        ("GET positions", "each DFSP's position, reservations and net debit cap"),
        ("POST limits", "change a net debit cap, or set a DFSP inactive"),
        ("GET transfers, conversions", "the books"),
        ("GET settlement-windows", "POST .../1/close and .../1/settle move them on"),
        ("PUT climate", "latency, losses, duplicates and reordering by chance, with a seed"),
        ("PUT manner", "extra properties, other versions than asked, PATCH /error"),
        ("POST rules", "what goes wrong for one payee"),
    )
    return (
        f"<h2>Operate the scheme</h2><p>From this machine only, under {_word(admin)}:</p>"
        f"{_table(('call', 'for'), rows)}"
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(one))}</td>' for one in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _code(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _word(text: str) -> str:
    return f"<code>{escape(text)}</code>"
