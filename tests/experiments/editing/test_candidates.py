"""Candidates of different seeds share a plan, and the judge picks among those that have a picture."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from agents.steps import Planned, Step
from agents.traces import Trace
from benchmarks.base import EditSample
from common.errors import BadInput, RunFailed
from experiments.editing.candidates import Candidates, check_judge, from_request, make_candidates, score
from judges.base import OVERALL, Verdict
from judges.question import Usage
from tests.experiments.editing.stand_ins import NoisyEditor, team


def sample(request: str = "moon star") -> EditSample:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8))
    return EditSample("s", request, (), picture=picture)


class Says:
    """A judge whose k-th verdict is given."""

    concurrency, usage = 1, Usage()

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        self.verdicts = iter(verdicts)

    def judge(self, before: Any, after: Any, item: Any, /) -> Verdict:
        assert item.request == "moon star" and before.size == after.size
        return next(self.verdicts)


def test_each_candidate_is_what_its_seed_gives_alone() -> None:
    """The plan is made once: the decomposer is greedy, so every seed would make the same one."""
    steps: list[Step] = []
    editor = NoisyEditor()
    made = make_candidates(from_request(team(editor=editor), sample()), 3, 3, None, steps.append)
    alone = [next(iter(team().run([sample()], seed)))[0] for seed in (3, 4, 5)]
    assert list(made.traces) == alone and made.pick == 0 and not made.judged
    assert sum(isinstance(s, Planned) for s in steps) == 1 and len(editor.told) == 6
    assert len({trace.digests[-1] for trace in made.traces}) == 3


VERDICTS = st.lists(st.one_of(st.none(), st.floats(0, 10).map(lambda value: value)), min_size=1, max_size=4)


@settings(max_examples=15, deadline=None)
@given(values=VERDICTS)
def test_the_pick_is_the_first_of_the_best_valid_verdicts(values: list[float | None]) -> None:
    verdicts = [Verdict.invalid("?") if v is None else Verdict({OVERALL: v, "other": 10.0}) for v in values]
    made = make_candidates(from_request(team(), sample()), 0, len(values), Says(verdicts))
    valid = [v for v in values if v is not None]
    assert made.pick == (values.index(max(valid)) if valid else 0) and made.judged == bool(valid)


def test_without_an_overall_score_the_mean_counts() -> None:
    assert score(Verdict({"a": 2.0, "b": 4.0})) == 3.0 and score(None) == score(Verdict.invalid("x")) == float("-inf")


def test_a_candidate_without_a_picture_is_not_picked_and_none_at_all_is_an_error() -> None:
    plain = from_request(team(), sample())

    def make(seed: int, watch: Any) -> Trace:
        from dataclasses import replace

        trace = plain(seed, watch)
        return replace(trace, failure="call 1: no") if seed < 2 else trace

    made = make_candidates(make, 0, 3, Says([Verdict({OVERALL: 1.0})]))
    assert isinstance(made, Candidates) and made.pick == 2 and made.verdicts[:2] == (None, None)
    with pytest.raises(RunFailed, match="call 1: no.*1 other seeds"):
        make_candidates(make, 0, 2, None)


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ({"exact": True}, "free request has none"),
        ({"sessions": True}, "whole sessions"),
        ({"points": "sandbox"}, "points from gold"),
        ({"needed_facts": ("kind",)}, "needs kind"),
    ],
)
def test_judges_that_need_more_than_a_request_are_refused(judge: dict[str, Any], said: str) -> None:
    plain = {"name": "j", "verdicts": True, "exact": False, "sessions": False, "needed_facts": ()}
    check_judge(None)
    check_judge(SimpleNamespace(**plain))
    check_judge(SimpleNamespace(name="none", verdicts=False))
    with pytest.raises(BadInput, match=said):
        check_judge(SimpleNamespace(**plain | judge))
