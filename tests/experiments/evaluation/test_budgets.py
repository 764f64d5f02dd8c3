"""Quality against calls: which picture stands after each call, and what was spent by then."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.backends.base import ModelRequest, Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM
from benchmarks.base import EditSample
from experiments.evaluation.budgets import Meter, after_each_call, answer_flops, curve, flops_by_call
from experiments.runs.budgets import best_so_far
from tests.agents.test_loop import AGAIN_TEXT, EDIT_TEXT, STOP_TEXT, Adder, grey, loop, value


def test_the_picture_that_stands_after_each_call() -> None:
    trace, _, _ = loop([EDIT_TEXT, AGAIN_TEXT, STOP_TEXT])
    assert [value(p) for p in after_each_call(trace)] == [value(p) for p in trace.pictures] and len(trace.calls) == 2
    failed, _, _ = loop([EDIT_TEXT, AGAIN_TEXT, EDIT_TEXT, STOP_TEXT], Adder(["green"]))
    shown = [value(p) for p in after_each_call(failed)]
    assert shown[1] == shown[2] and len(shown) == 4  # the call that failed left it as it was
    plain = replace(trace, turns=(), calls=trace.calls * 2, failure="call 3: refused")
    assert len(after_each_call(plain)) == 5 and after_each_call(plain)[-1] is trace.pictures[-1]
    assert [value(p) for p in after_each_call(loop([STOP_TEXT])[0])] == [10]


def test_what_was_spent_by_each_call() -> None:
    assert flops_by_call([5.0], 3, 10.0, looped=False) == [0.0, 15.0, 25.0, 35.0]
    assert flops_by_call([5.0, 6.0, 7.0], 2, 10.0, looped=True) == [0.0, 15.0, 31.0 + 7.0]
    assert flops_by_call([5.0, 6.0], 2, 10.0, looped=True) == [0.0, 15.0, 31.0]
    assert flops_by_call([5.0], 0, 10.0, looped=True) == [5.0]  # it stopped at once


ROWS = st.lists(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1e9)), min_size=1, max_size=4).map(
        lambda pairs: {"scores": [p[0] for p in pairs], "flops": sorted(p[1] for p in pairs)}
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=8, deadline=None)  # every point draws an interval
@given(ROWS)
def test_more_budget_never_costs_less_and_ends_at_the_last_pictures(rows: list[dict]) -> None:
    points = curve(rows, 4)
    assert [p["k"] for p in points] == [0, 1, 2, 3, 4]
    assert all(a["calls"] <= b["calls"] and a["flops"] <= b["flops"] for a, b in zip(points, points[1:], strict=False))
    assert points[-1]["overall"] == pytest.approx(sum(r["scores"][-1] for r in rows) / len(rows))
    assert points[-1]["calls"] == sum(len(r["scores"]) - 1 for r in rows) / len(rows)


def test_a_missing_verdict_is_left_out_and_counted() -> None:
    rows = [{"scores": [0.0, None], "flops": [0.0, 1.0]}, {"scores": [0.0, 4.0], "flops": [0.0, 1.0]}]
    assert (curve(rows, 1)[1]["overall"], curve(rows, 1)[1]["invalid"]) == (4.0, 1)
    assert best_so_far([None, 3.0, 1.0, None, 5.0]) == [None, 3.0, 3.0, 3.0, 5.0]


def test_the_meter_counts_every_answer(tiny_vlm: VLM) -> None:
    """Twice the weights of every matrix for each token, and more for attention and the picture."""
    meter = Meter(HFBackend(tiny_vlm), tiny_vlm)
    sample = EditSample("a", "go", (), picture=grey(10).resize((32, 32)))
    requests = [ModelRequest("a longer text " * 3), ModelRequest("go", (sample.image,))]  # type: ignore[arg-type]
    rows = meter.generate(requests, 1, Sampling(6, seed=1))
    assert len(meter.spent) == 2 and all(flops > 0 for flops in meter.spent)
    prompts = tiny_vlm.encode(requests)
    bare = answer_flops(tiny_vlm, len(prompts[1]), len(rows[1][0].token_ids), [])
    assert meter.spent[1] > bare > meter.spent[0] * 0.05
    layers = [p for n, p in tiny_vlm.model.named_parameters() if "language_model.layers" in n and p.ndim == 2]
    least = 2 * sum(p.numel() for p in layers) * (len(prompts[1]) + len(rows[1][0].token_ids))
    assert least < bare < 2 * least
