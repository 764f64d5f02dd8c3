"""The logged KL: which completions, and the estimators by hand."""

import math
from dataclasses import dataclass

import pytest
import torch

from agents.backends.base import Completion
from rl.drift import drift_metrics, drift_sample, drift_sums
from rl.engine.base import LogProbs
from rl.policies.text import TextBatch
from rl.rollouts import Group


@dataclass(eq=False)
class FakeRollout:
    prompt: str
    completion: Completion

    @property
    def token_ids(self) -> tuple[int, ...]:
        return self.completion.token_ids


def group(name: str, logprobs: list[list[float]]) -> Group:
    answers = [Completion((1,) * len(row), tuple(row), "", "stop") for row in logprobs]
    return Group(0, name, [[FakeRollout(name, c)] for c in answers], torch.zeros(len(answers), 1))


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (5, 5), (16, 16), (999, 48)])
def test_the_sample_has_its_size_and_turns_with_the_step(count: int, expected: int) -> None:
    groups = [group(str(i), [[0.0]] * 8) for i in range(6)]
    rollouts = drift_sample(groups, count, 0)
    assert len(rollouts) == len(set(map(id, rollouts))) == expected
    assert rollouts == drift_sample(groups, count, 0)
    seen = {r.prompt for step in range(6) for r in drift_sample(groups, count, step)}
    assert len(seen) == (6 if count else 0)  # no prompt's place is left out for ever
    assert drift_sample([], count, 0) == []


def test_estimators_by_hand() -> None:
    """Two completions, three tokens: log p - log q is 0.5, -0.25 and 0."""
    g = group("p", [[-1.0, -2.0], [-3.0]])

    def reference(batch: TextBatch) -> LogProbs:
        assert batch.prompts == ["p", "p"] and [len(c) for c in batch.completions] == [2, 1]
        logp = torch.tensor([[-1.5, -1.75], [-3.0, 0.0]])
        return LogProbs(logp, torch.tensor([[True, True], [True, False]]))

    sums = drift_sums([r for (r,) in g.rollouts], reference)
    result = drift_metrics([sums, {}], "k2")
    assert result["kl/k1"] == pytest.approx(0.25 / 3)
    assert result["kl/k2"] == pytest.approx((0.125 + 0.03125) / 3)
    assert result["kl/k3"] == pytest.approx(((math.exp(-0.5) - 1 + 0.5) + (math.exp(0.25) - 1 - 0.25)) / 3)
    assert result["kl/mean"] == result["kl/k2"]
    assert drift_metrics([{}], "k3") == {} and drift_sums([], reference) == {}
