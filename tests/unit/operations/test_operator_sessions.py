"""Who is let in, and where to."""

import pytest

from payhub_operations.payments.errors import InvalidSearchError
from payhub_operations.payments.service import read_search
from payhub_operations.payments.views import read_cursor
from payhub_operations.sessions.errors import OperatorTokenError
from payhub_operations.sessions.model import SESSION_MS, safe_next
from payhub_operations.sessions.service import SessionService
from payhub_operations.settings import Settings
from payhub_platform.errors import InvalidInputError
from payhub_platform.settings import load

TOKEN = "an-operator-token-of-a-test"


class Hands:
    """A clock whose hands are moved by the test."""

    def __init__(self) -> None:
        self.now_ms = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now_ms


def _service(clock: Hands, token: str = TOKEN, code: str = "") -> SessionService:
    return SessionService(token, code, "installation-key", clock)


def test_the_operator_token_opens_a_session_that_ends():
    clock = Hands()
    service = _service(clock)
    cookie = service.login(TOKEN)
    assert cookie is not None
    assert service.is_valid(cookie)
    clock.now_ms += SESSION_MS
    assert not service.is_valid(cookie)


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN.upper()])
def test_nothing_else_opens_one(token: str):
    assert _service(Hands()).login(token) is None


@pytest.mark.parametrize("cookie", ["", ".", "x.y", "99999999999999.", "é.é", "9" * 5000])
def test_a_made_up_cookie_holds_nothing(cookie: str):
    assert not _service(Hands()).is_valid(cookie)


def test_a_longer_life_is_not_signed():
    service = _service(Hands())
    ends, _, signature = (service.login(TOKEN) or "").partition(".")
    assert not service.is_valid(f"{int(ends) + 1}.{signature}")


def test_another_token_ends_all_sessions():
    cookie = _service(Hands()).login(TOKEN) or ""
    assert not _service(Hands(), token="another-operator-token").is_valid(cookie)


def test_the_code_lets_in_once():
    service = _service(Hands(), code="one-time")
    assert service.redeem("other") is None
    assert service.is_valid(service.redeem("one-time") or "")
    assert service.redeem("one-time") is None


def test_without_a_code_none_lets_in():
    assert _service(Hands()).redeem("") is None


def test_programs_need_the_token():
    service = _service(Hands())
    service.require_bearer(f"Bearer {TOKEN}")
    for header in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN} "):
        with pytest.raises(OperatorTokenError):
            service.require_bearer(header)


def test_a_token_that_could_be_guessed_is_refused():
    with pytest.raises(InvalidInputError):
        _service(Hands(), token="short")


@pytest.mark.parametrize(
    ("wanted", "goes"),
    [
        ("/payments?q=1", "/payments?q=1"),
        ("/payments/lion/p", "/payments/lion/p"),
        ("/audit", "/audit"),
        ("", "/payments"),
        ("//evil.example", "/payments"),
        ("https://evil.example/payments", "/payments"),
        ("/payments\\evil", "/payments"),
        ("/payments\r\nx: y", "/payments"),
        ("/logout", "/payments"),
    ],
)
def test_after_the_login_only_pages_of_ours(wanted: str, goes: str):
    assert safe_next(wanted) == goes


@pytest.mark.parametrize(
    "query",
    [
        {"q": "x" * 129},
        {"q": "\0"},
        {"state": "DONE"},
        {"direction": "sideways"},
        {"before": "nonsense"},
        {"before": "é"},
    ],
)
def test_filters_that_are_not_understood_are_refused(query: dict[str, str]):
    with pytest.raises(InvalidSearchError):
        read_search(query)


def test_a_cursor_without_offset_is_refused():
    with pytest.raises(InvalidSearchError):
        read_cursor(
            "eyJzdGFydGVkX2F0IjoiMjAyNi0wMS0wMVQwMDowMDowMCIsInBheW1lbnQiOiJ4IiwiZGlyZWN0aW9uIjoib3V0Z29pbmcifQ=="
        )


def test_settings_come_from_the_environment():
    environment = {
        "PAYHUB_PORT": "8080",
        "PAYHUB_DATABASE_URL": "postgresql://u:p@h/d",
        "PAYHUB_NATS_URL": "nats://h",
        "PAYHUB_OPERATOR_TOKEN": TOKEN,
        "PAYHUB_SECRETS_KEY": "k",
        "PAYHUB_TRACE_FILE": "spans.jsonl",
    }
    settings = load(Settings, environment)
    assert (settings.port, settings.host, settings.trace_file) == (8080, "127.0.0.1", "spans.jsonl")
