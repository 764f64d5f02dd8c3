"""Known answers of the rate limiter and the budget, on a clock that only waiting moves."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput
from judges.question import BudgetSpent
from judges.rate import RateLimiter, TokenBucket
from judges.spending import Ledger, Prices


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_sixty_requests_a_minute_are_one_a_second():
    clock = Clock()
    limiter = RateLimiter(60, 0, clock, clock.sleep)
    starts = []
    for _ in range(4):
        limiter.wait(1000)
        starts.append(clock.now)
    assert starts == [0, 1, 2, 3]  # a second's worth, one request, is there at the start


def test_tokens_are_paid_for_by_waiting():
    # 6000 a minute are 100 a second, and 100 are there at the start. A call of 250 leaves -150: 1.5 s. At 1.5 s the level is
    # 0; the next one of 100 leaves -100: 1 s more.
    clock = Clock()
    limiter = RateLimiter(0, 6000, clock, clock.sleep)
    limiter.wait(250)
    assert clock.now == pytest.approx(1.5)
    limiter.wait(100)
    assert clock.now == pytest.approx(2.5)
    limiter.correct(100, 300)  # it was 200 more: two seconds
    limiter.wait(0)
    assert clock.now == pytest.approx(4.5)
    limiter.correct(50, 0)  # and this one 50 less, which are there at once
    limiter.wait(50)
    assert clock.now == pytest.approx(4.5)


def test_the_slower_of_both_limits_holds():
    clock = Clock()
    limiter = RateLimiter(120, 600, clock, clock.sleep)  # a request per 0.5 s, 10 tokens per second
    for _ in range(3):
        limiter.wait(10)
    assert clock.now == pytest.approx(2.0)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 40)), max_size=30), st.floats(60, 6000))
def test_no_window_ever_gets_more_than_the_rate_and_one_burst(steps, per_minute):
    clock, rate = Clock(), per_minute / 60
    bucket = TokenBucket(per_minute, rate, clock)
    started: list[tuple[float, float]] = []
    for pause, amount in steps:
        clock.now += pause
        clock.now += bucket.take(amount)
        started.append((clock.now, amount))
    for i, (begin, _) in enumerate(started):
        for j in range(i + 1, len(started)):
            taken = sum(amount for _, amount in started[i + 1 : j + 1])
            assert taken <= rate * (started[j][0] - begin) + rate + 1e-6


def test_limits_below_zero_are_refused():
    with pytest.raises(BadInput, match="requests_per_minute"):
        RateLimiter(-1)


def test_prices_are_per_million_tokens():
    # 2.5 $/M * 400,000 + 10 $/M * 30,000 = 1.00 + 0.30
    assert Prices(2.5, 10).dollars(400_000, 30_000) == pytest.approx(1.30)


def test_the_budget_stops_before_the_call_that_would_go_over():
    ledger = Ledger(1.0)
    calls = 0
    with pytest.raises(BudgetSpent, match=r"\$1.00"):
        while True:
            ledger.settle(ledger.reserve(0.5), 0.3)
            calls += 1
    assert calls == 3 and ledger.spent == pytest.approx(0.9)  # a fourth of 0.30 would make it 1.20


def test_the_first_call_is_guessed_and_a_call_without_reply_costs_nothing():
    with pytest.raises(BudgetSpent):
        Ledger(0.4).reserve(0.5)
    ledger = Ledger(0.6)
    ledger.settle(ledger.reserve(0.5), None)
    assert ledger.spent == 0 and ledger.reserve(0.5) == 0.5


def test_near_the_end_a_call_waits_for_those_under_way():
    ledger = Ledger(1.0)
    first = ledger.reserve(0.6)  # leaves 0.4 of the budget, less than another 0.6 may need
    reserved: list[float] = []
    waiting = threading.Thread(target=lambda: reserved.append(ledger.reserve(0.6)))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive() and not reserved
    ledger.settle(first, 0.1)  # it cost less, and calls are now expected to cost that
    waiting.join(10)
    assert reserved == [0.1]


@given(st.floats(0.01, 5), st.lists(st.floats(0.001, 1), min_size=1, max_size=40))
def test_a_budget_is_overrun_by_less_than_the_call_that_was_dearer_than_any_before(budget, costs):
    ledger, dearest, spent = Ledger(budget), 0.0, 0.0
    try:
        for cost in costs:
            ledger.settle(ledger.reserve(0.01), cost)
            spent += cost
            dearest = max(dearest, cost)
    except BudgetSpent:
        pass
    assert spent == pytest.approx(ledger.spent) and spent <= budget + dearest


def test_no_budget_is_no_limit():
    ledger = Ledger(None)
    for _ in range(3):
        ledger.settle(ledger.reserve(1e9), 1e9)
    assert ledger.spent == 3e9
