"""Who is let in, and where to."""

import base64
import json

import pytest

from payhub_operations.payments.errors import InvalidSearchError
from payhub_operations.payments.service import read_search
from payhub_operations.payments.views import read_cursor
from payhub_operations.sessions.attempts import ADDRESSES_MAX, TRIES_MAX, TRIES_WINDOW_MS, Attempts
from payhub_operations.sessions.errors import OperatorTokenError, TooManyAttemptsError
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


def test_one_address_has_few_tries_a_minute_and_disturbs_no_other():
    clock = Hands()
    service = _service(clock, code="one-time")
    for number in range(TRIES_MAX):
        if number % 3 == 0:
            assert service.login("guess", "10.0.0.1") is None
        elif number % 3 == 1:
            assert service.redeem("guess", "10.0.0.1") is None
        else:
            with pytest.raises(OperatorTokenError):
                service.require_bearer("Bearer guess", "10.0.0.1")
    for attempt in (service.login, service.redeem, service.require_bearer):
        with pytest.raises(TooManyAttemptsError) as caught:
            attempt(TOKEN, "10.0.0.1")
        assert (caught.value.status, caught.value.headers()["Retry-After"]) == (429, "60")
    assert service.login(TOKEN, "10.0.0.2") is not None
    clock.now_ms += TRIES_WINDOW_MS
    assert service.login(TOKEN, "10.0.0.1") is not None


def test_the_memory_of_tries_is_bounded():
    attempts = Attempts(Hands())
    for number in range(ADDRESSES_MAX + 5):
        attempts.failed(f"10.0.{number >> 8}.{number & 255}")
    assert len(attempts) == ADDRESSES_MAX


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


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_cursor_from_beyond_the_calendar_is_refused(at: str):
    cursor = {"started_at": at, "payment": "x", "direction": "outgoing"}
    with pytest.raises(InvalidSearchError):
        read_cursor(base64.urlsafe_b64encode(json.dumps(cursor).encode()).decode())


@pytest.mark.parametrize(("name", "value"), [("OPERATOR_TOKEN", "short"), ("SECRETS_KEY", "")])
def test_credentials_that_could_be_guessed_are_refused(name: str, value: str):
    environment = {
        "PAYHUB_PORT": "8080",
        "PAYHUB_DATABASE_URL": "postgresql://u:p@h/d",
        "PAYHUB_NATS_URL": "nats://h",
        "PAYHUB_OPERATOR_TOKEN": TOKEN,
        "PAYHUB_SECRETS_KEY": "k" * 44,
    }
    with pytest.raises(InvalidInputError, match=name.lower()):
        load(Settings, {**environment, f"PAYHUB_{name}": value})


def test_settings_come_from_the_environment():
    environment = {
        "PAYHUB_PORT": "8080",
        "PAYHUB_DATABASE_URL": "postgresql://u:p@h/d",
        "PAYHUB_NATS_URL": "nats://h",
        "PAYHUB_OPERATOR_TOKEN": TOKEN,
        "PAYHUB_SECRETS_KEY": "k" * 44,
        "PAYHUB_TRACE_FILE": "spans.jsonl",
    }
    settings = load(Settings, environment)
    assert (settings.port, settings.host, settings.trace_file) == (8080, "127.0.0.1", "spans.jsonl")
