"""GCPO (arXiv 2604.27505, "Reasoning-Reinforced Reward Learning"): a reward model learns from pairs of edits which one is better.

For both edits of a pair N traces are drawn and their scores are read. With tau^w of the preferred edit and tau^l of the other one

    r^w_j = mean_k 1{tau^w_j > tau^l_k}        r^l_j = mean_k 1{tau^l_j < tau^w_k}        (ties earn nothing)
    A^w_j = r^w_j - mean_j r^w                 A^l_j = r^l_j - mean_j r^l                 (no division by a deviation)

and the loss is the clipped one of GRPO with the mean over each trace's own tokens, averaged over both groups: so GCPO is
`rl.grpo.GRPO` with the units, rewards and settings of this file, and has its engines and rollout backends. The formula is
followed, not the prose of the paper, which describes r^l the other way round.

Not stated there, so ours: a trace without a readable score earns 0 among its own and is no opponent to the others; where one
side has no readable trace at all, nothing can be compared and the pair has no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image

from agents.backends.base import ModelRequest, Sampling
from benchmarks.base import EditSample
from rewards.compose import Reward
from rl.clock import Clock
from rl.config import GRPOConfig
from rl.grpo import train_grpo
from rl.loop import Log, LoopState, Progress
from rl.rollouts import Group, counter_seed
from rl.text_rollouts import AnswerSampler, TextGroup, TextRollout
from rl.text_training import TextTrainer

if TYPE_CHECKING:
    from rl.parts import PairTools

SIDES = ("preferred", "other")


@dataclass(frozen=True, eq=False)
class EditPair:
    """Two edits of a sample's picture, of which one was preferred; they are opened when they are needed."""

    sample: EditSample
    preferred: Callable[[], Image.Image]
    other: Callable[[], Image.Image]


# the sample and an edited picture -> what the reward model is asked, and what reads its trace's score (None: unreadable)
Ask = Callable[[EditSample, Image.Image], tuple[ModelRequest, Callable[[str], "float | None"]]]


def contrastive_rewards(
    preferred: Sequence[float | None], other: Sequence[float | None]
) -> tuple[list[float], list[float]]:
    """(r^w, r^l) from the scores of the traces of both edits; None: unreadable, earning 0. NaN throughout where one side has no
    score. The mean of both is the same number: the share of pairs of readable traces in the right order, where all are readable."""
    readable_w, readable_l = ([s for s in scores if s is not None] for scores in (preferred, other))
    if not readable_w or not readable_l:
        return [math.nan] * len(preferred), [math.nan] * len(other)
    won = [0.0 if s is None else sum(s > t for t in readable_l) / len(readable_l) for s in preferred]
    lost = [0.0 if s is None else sum(s < t for t in readable_w) / len(readable_w) for s in other]
    return won, lost


@dataclass(frozen=True, kw_only=True)
class PairSampler(AnswerSampler):
    """A pair is a unit of two places, never split: `group_size` traces of the preferred edit, and as many of the other one.
    `pairs(step, j)` must be a pure function."""

    pairs: Callable[[int, int], EditPair]
    ask: Ask

    def draw(self, step: int, places: Sequence[int], clock: Clock) -> list[TextGroup]:
        with clock("rollout"):
            pairs = [self.pairs(step, j) for j in places]
            asked = [self.ask(p.sample, opens()) for p in pairs for opens in (p.preferred, p.other)]
            requests = [request for request, _ in asked]
            prompts = self.encode(requests)
            first = places[0] - places[0] % self.units_per_step
            rows = tuple(2 * (j % self.units_per_step) + side for j in places for side in (0, 1))
            seed = counter_seed(self.seed, step, first, 0)
            sampling = Sampling(self.max_new_tokens, self.temperature, seed=seed, rows=rows)
            answers = self.backend.generate(requests, self.group_size, sampling)
        groups: list[TextGroup] = []
        for k, (place, pair) in enumerate(zip(places, pairs, strict=True)):
            sides = (2 * k, 2 * k + 1)
            scores = [[asked[s][1](c.text) for c in answers[s]] for s in sides]
            rewards = contrastive_rewards(*scores)
            rollouts = [
                [
                    TextRollout(requests[s], prompts[s], answers[s][g], trace_reward(rewards[i][g], scores[i][g]))
                    for i, s in enumerate(sides)
                ]
                for g in range(self.group_size)
            ]
            reward_GK = torch.tensor(rewards, dtype=torch.float64).T.contiguous()
            groups.append(Group(place, pair.sample, rollouts, reward_GK, sides=SIDES))
        return groups


def trace_reward(reward: float, score: float | None) -> Reward:
    total = None if math.isnan(reward) else reward
    return Reward(total, {"readable": float(score is not None), "score": score})


class GCPOTraining(TextTrainer):
    """GCPO with the model and pairs of a job: `rl.parts.TextTraining`."""

    def __init__(self, config: GRPOConfig, tools: PairTools) -> None:
        super().__init__(config, tools)
        per_step = config.prompts_per_step * (config.max_tries if config.dynamic_sampling else 1)

        def pairs(step: int, j: int) -> EditPair:
            return tools.pair(step * per_step + j)

        self.sampler = PairSampler(
            backend=tools.backend(self.vlm),
            encode=self.vlm.encode,
            samples=lambda step, j: pairs(step, j).sample,
            units_per_step=config.prompts_per_step,
            group_size=config.group_size,
            max_new_tokens=tools.max_new_tokens,
            temperature=config.temperature,
            seed=tools.seed,
            pairs=pairs,
            ask=tools.ask,
        )

    def run(self, folder: Path, log: Log | None = None, progress: Progress | None = None, name: str = "") -> LoopState:
        state = train_grpo(self.config, self.engine, self.sampler, folder, log, progress, self.anchors, name=name)
        self.finish()
        return state


__all__ = ["SIDES", "EditPair", "GCPOTraining", "PairSampler", "contrastive_rewards", "trace_reward"]
