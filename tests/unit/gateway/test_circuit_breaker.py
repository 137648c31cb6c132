from hypothesis import given
from hypothesis import strategies as st

from payhub_gateway.circuit_breaker import FAILURES_MAX, OPEN_MAX_S, OPEN_S, CircuitBreaker


def opened(now_s: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(FAILURES_MAX):
        assert breaker.begin(now_s) == 0
        breaker.failed(now_s)
    return breaker


def test_it_opens_after_failures_in_a_row_only():
    breaker = CircuitBreaker()
    for _ in range(3 * FAILURES_MAX):
        breaker.failed(0)
        breaker.succeeded()
    assert breaker.begin(0) == 0
    assert opened().begin(0) == OPEN_S


def test_one_call_tries_and_closes_it():
    breaker = opened()
    assert breaker.begin(OPEN_S) == 0
    assert breaker.begin(OPEN_S) > 0
    breaker.succeeded()
    assert [breaker.begin(OPEN_S) for _ in range(3)] == [0, 0, 0]


def test_a_try_that_fails_opens_it_for_twice_as_long_up_to_a_bound():
    breaker, now_s, waited = opened(), 0.0, []
    for _ in range(6):
        waited.append(breaker.begin(now_s))
        now_s += waited[-1]
        assert breaker.begin(now_s) == 0
        breaker.failed(now_s)
    assert waited == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


def test_a_caller_that_went_away_leaves_the_try_to_the_next():
    breaker = opened()
    assert breaker.begin(1) == 0
    breaker.gave_up()
    assert breaker.begin(1) == 0


def test_calls_from_before_it_opened_do_not_keep_it_open():
    breaker = opened()
    for _ in range(50):
        breaker.failed(0.4)
    assert breaker.begin(OPEN_S) == 0


@given(st.lists(st.tuples(st.floats(0, 3), st.sampled_from(["begin", "ok", "bad", "gone"])), max_size=80))
def test_whatever_happens_a_call_is_allowed_again_in_time(steps: list[tuple[float, str]]):
    breaker, now_s, open_calls = CircuitBreaker(), 0.0, 0
    for pause, act in steps:
        now_s += pause
        if act == "begin":
            open_calls += breaker.begin(now_s) == 0
        elif open_calls:
            open_calls -= 1
            if act == "ok":
                breaker.succeeded()
            elif act == "bad":
                breaker.failed(now_s)
            else:
                breaker.gave_up()
    if not open_calls:
        assert breaker.begin(now_s + OPEN_MAX_S) == 0
