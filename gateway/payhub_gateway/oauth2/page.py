"""The consent page, as small as it can be: no script, nothing from elsewhere, all text escaped."""

import base64
import hashlib
import html
from typing import Final
from urllib.parse import urlsplit

from payhub_gateway.oauth2 import details
from payhub_gateway.oauth2.authorization import Pending
from payhub_gateway.oauth2.identity import Question

_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:2rem auto;padding:0 1rem}"
    "textarea{width:100%;min-height:6rem}button{font:inherit;padding:.5rem 1rem;margin:.5rem .5rem 0 0}"
    ".error{color:#a00000}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def headers(redirect_uri: str | None, *, secure: bool) -> dict[str, str]:
    """Return what keeps the page to itself: no frames, no script, no referrer, no cache.

    Browsers hold ``form-action`` against the redirect that follows the form too, so the page of a request
    names the client's origin.
    """
    target = ""
    if redirect_uri is not None:
        parts = urlsplit(redirect_uri)
        target = f" {parts.scheme}://{parts.netloc}"
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'{target}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
    transport = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"} if secure else {}
    return {
        "Content-Security-Policy": policy,
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
        **transport,
    }


def consent(pending: Pending, questions: list[Question], csrf: str, error: str = "") -> str:
    """Write the page that names the client, the institution and what is asked for."""
    client, tenant = pending.client, pending.client.tenant
    wanted = [f"use the scope {name}" for name in pending.scope.split()]
    wanted += [details.spoken(detail) for detail in pending.pushed.details]
    listed = "".join(f"<li>{html.escape(text)}</li>" for text in wanted)
    asked = "".join(
        f'<p><label>{html.escape(question.label)}<br><textarea name="{html.escape(question.field)}" '
        'autocomplete="off" spellcheck="false"></textarea></label></p>'
        for question in questions
    )
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
        for name, value in (
            ("client_id", client.client_id),
            ("request_uri", pending.request_uri),
            ("csrf", csrf),
        )
    )
    told = f'<p class="error" role="alert">{html.escape(error)}</p>' if error else ""
    return _document(
        f"<h1>{html.escape(tenant.name)}</h1>{told}"
        f"<p><strong>{html.escape(client.metadata.client_name)}</strong> asks to:</p><ul>{listed}</ul>"
        f'<form method="post" action="authorize">{hidden}{asked}'
        '<button name="decision" value="approve">Allow</button>'
        '<button name="decision" value="deny">Refuse</button></form>'
    )


def failure(text: str) -> str:
    """Write the page for a request that cannot go on."""
    return _document(f'<h1>This does not work</h1><p class="error" role="alert">{html.escape(text)}</p>')


def _document(body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Consent</title>'
        '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )
