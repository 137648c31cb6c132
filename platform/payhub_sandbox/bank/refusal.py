"""How the bank refuses: Fineract's error envelopes, word for word where they are known."""

from typing import Any, Final

import msgspec

from payhub_platform.errors import PayhubError

PARTY_NOT_FOUND: Final = "error.msg.interop.account.not.found"
ACCOUNT_NOT_FOUND: Final = "error.msg.saving.account.id.invalid"
HOLD_MISSING: Final = "error.msg.interop.onhold.transfer.missing"
NOT_ALLOWED: Final = "error.msg.interop.transaction.not.allowed"
DIFFERENT_CURRENCIES: Final = "error.msg.accounttransfer.different.currencies"
INSUFFICIENT: Final = "error.msg.savingsaccount.transaction.insufficient.account.balance"
INSUFFICIENT_AT_QUOTE: Final = INSUFFICIENT + ".withdraw"
CODE_COMMITTED: Final = "error.msg.interop.transfer.already.committed"
CODE_ON_HOLD: Final = "error.msg.interop.transfer.already.on.hold"
BLOCKED: Final = "error.msg.saving.account.blocked.transaction.not.allowed"
DEBITS_BLOCKED: Final = "error.msg.savings.account.debit.transaction.not.allowed"
CREDITS_BLOCKED: Final = "error.msg.savings.account.credit.transaction.not.allowed"
DUPLICATE_IDENTIFIER: Final = "error.msg.interop.duplicate.account.identifier"
LOAN_NOT_FOUND: Final = "error.msg.loan.account.id.invalid"
IDENTIFIER_TAKEN: Final = "error.msg.interop.unknown.data.integrity.issue"

_DOMAIN: Final = "validation.msg.domain.rule.violation"
_VALIDATION: Final = "validation.msg.validation.errors.exist"
_RESOURCE: Final = "error.msg.resource.not.found"

_TEXTS: Final = {
    _DOMAIN: (
        "Request was understood but caused a domain rule violation.",
        "Errors contain reason for domain rule violation.",
    ),
    _VALIDATION: (
        "The request was invalid. This typically will happen due to validation errors which are provided.",
        "Validation errors exist.",
    ),
    _RESOURCE: ("The requested resource is not available.", "The requested resource is not available."),
}
_INTEGRITY_TEXT: Final = "The request caused a data integrity issue to be fired by the database."


class BankRefusalError(PayhubError):
    """An answer of the bank that is an error.

    Attributes:
        http_status: status of the answer.
        body: the complete JSON body.
        challenges: whether the answer asks for Basic credentials (WWW-Authenticate).
    """

    def __init__(self, http_status: int, body: dict[str, Any], *, challenges: bool = False) -> None:
        super().__init__("bank-refusal", str(body.get("userMessageGlobalisationCode", http_status)))
        self.http_status = http_status
        self.body = msgspec.json.encode(body)
        self.challenges = challenges


def parameter_error(code: str, text: str, parameter: str, value: Any = None) -> dict[str, Any]:
    """Return one entry of the envelope's ``errors``."""
    return {
        "developerMessage": text,
        "defaultUserMessage": text,
        "userMessageGlobalisationCode": code,
        "parameterName": parameter,
        "value": value,
        "args": [] if value is None else [{"value": value}],
    }


def _envelope(
    status: int, code: str, texts: tuple[str, str], errors: list[dict[str, Any]]
) -> BankRefusalError:
    body = {
        "developerMessage": texts[0],
        "httpStatusCode": str(status),
        "defaultUserMessage": texts[1],
        "userMessageGlobalisationCode": code,
        "errors": errors,
    }
    return BankRefusalError(status, body)


def invalid(errors: list[dict[str, Any]]) -> BankRefusalError:
    """400: validation errors."""
    return _envelope(400, _VALIDATION, _TEXTS[_VALIDATION], errors)


def rule_violation(code: str, text: str, *args: Any) -> BankRefusalError:
    """403: a business rule."""
    entry = parameter_error(code, text, "id") | {"args": [{"value": value} for value in args]}
    return _envelope(403, _DOMAIN, _TEXTS[_DOMAIN], [entry])


def not_found(code: str, text: str) -> BankRefusalError:
    """404: a resource of the bank."""
    return _envelope(404, _RESOURCE, _TEXTS[_RESOURCE], [parameter_error(code, text, "id")])


def integrity(code: str, text: str, parameter: str) -> BankRefusalError:
    """403: a constraint of the database; the specific code stands at the top."""
    return _envelope(403, code, (_INTEGRITY_TEXT, text), [parameter_error(code, text, parameter)])


def invalid_body(text: str) -> BankRefusalError:
    """400: the body is no JSON object; Fineract answers a lone error object."""
    return BankRefusalError(400, parameter_error("error.msg.invalid.request.body", text, "id"))


def filtered(status: int, reason: str, path: str, timestamp: str) -> BankRefusalError:
    """400 or 401 of the security filter: the servlet container's default body, and a challenge."""
    body = {"timestamp": timestamp, "status": status, "error": reason, "path": path}
    return BankRefusalError(status, body, challenges=True)


def no_such_path() -> BankRefusalError:
    """404 of the framework, without Fineract's envelope."""
    return BankRefusalError(404, {"status": 404, "error": "Not Found"})


def server_error() -> BankRefusalError:
    """500: what Fineract answers when it fails on an unforeseen value."""
    return BankRefusalError(500, {"status": 500, "error": "Internal Server Error"})


def unavailable() -> BankRefusalError:
    """503: the bank holds as much as it can."""
    code, text = (
        "error.msg.platform.service.unavailable",
        "The service is unavailable, please try after some time.",
    )
    return _envelope(503, code, (text, text), [])


def gateway_down() -> BankRefusalError:
    """503 of what stands before the bank: nothing reached it."""
    return BankRefusalError(503, {"status": 503, "error": "Service Unavailable"})


def unauthenticated() -> BankRefusalError:
    """401 of the OAuth2 configuration: Fineract's envelope, without errors."""
    body = {
        "developerMessage": "Invalid authentication details were passed in api request.",
        "httpStatusCode": "401",
        "defaultUserMessage": "Unauthenticated. Please login.",
        "userMessageGlobalisationCode": "error.msg.not.authenticated",
        "errors": None,
    }
    return BankRefusalError(401, body)


def oauth_error(status: int, error: str) -> BankRefusalError:
    """What an issuer of tokens refuses (RFC 6749 section 5.2)."""
    return BankRefusalError(status, {"error": error})
