"""Rollouts of a language model: G answers to each sample's request, their rewards, and what is logged of them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from agents.backends.base import Backend, Completion, ModelRequest, Sampling
from agents.backends.vlm import EncodedPrompt
from benchmarks.base import EditSample
from common.errors import BadInput, RunFailed
from rl.clock import Clock
from rl.prompts import Prompts
from rl.reward_values import RewardLike, Samples, finite, mean_std
from rl.rollouts import Group, counter_seed

ToRequest = Callable[[EditSample], ModelRequest]
Encode = Callable[[Sequence[ModelRequest]], list[EncodedPrompt]]
# per completion, with seeds
RewardFn = Callable[[Sequence[EditSample], Sequence[str], Sequence[int]], Sequence[RewardLike]]


@dataclass(frozen=True, eq=False)
class TextRollout:
    """One answer to a prompt, and its reward."""

    request: ModelRequest
    prompt: EncodedPrompt
    completion: Completion
    reward: RewardLike

    @property
    def token_ids(self) -> Sequence[int]:
        return self.completion.token_ids


TextGroup: TypeAlias = Group[TextRollout]


@dataclass(frozen=True, kw_only=True)
class AnswerSampler(ABC):
    """What samplers of a language model's answers have in common: `units_per_step` samples of a step with `group_size` rollouts
    each. `samples` must be a pure function; `encode` is that of the backend's model."""

    backend: Backend
    encode: Encode
    samples: Samples
    units_per_step: int
    group_size: int
    max_new_tokens: int
    temperature: float
    seed: int
    prompts: Prompts | None = None  # what chooses the samples, where that depends on earlier steps

    def prepare(self, step: int) -> None:
        if self.prompts is not None:
            self.prompts.choose(step)

    def observe(self, step: int, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Tell what chooses the samples how a step's were answered, from all ranks' rows; its metrics."""
        if self.prompts is None:
            return {}
        outcomes: dict[int, list[float | None]] = {}
        for row in filter(self.ends, rows):
            outcomes.setdefault(row["j"], []).append(self.outcome(row))
        return self.prompts.observe(step, outcomes)

    @abstractmethod
    def draw(self, step: int, places: Sequence[int], clock: Clock) -> list[TextGroup]:
        """The groups of these places of a step: a function of its arguments and of the weights."""

    def ends(self, row: Mapping[str, Any]) -> bool:
        """Whether a row is the last one of its rollout."""
        return True

    def outcome(self, row: Mapping[str, Any]) -> float | None:
        """What came of the rollout that a row ends, in [0, 1]."""
        component = "" if self.prompts is None else self.prompts.config.component
        if component and component not in row["components"]:
            raise BadInput(
                f"algo.pool.component={component} is no component of this reward; it has {', '.join(row['components'])}"
            )
        return row["components"][component] if component else row["reward"]  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class TextSampler(AnswerSampler):
    """A sample is a unit of one place. `reward` must be a pure function; it gets one seed per completion."""

    to_request: ToRequest
    reward: RewardFn

    def draw(self, step: int, places: Sequence[int], clock: Clock) -> list[TextGroup]:
        with clock("rollout"):
            samples = [self.samples(step, j) for j in places]
            requests = [self.to_request(s) for s in samples]
            prompts = self.encode(requests)
            answers = self._answers(step, places, requests)
        with clock("reward"):
            flat = [(s, c.text, counter_seed(self.seed, step, j, 1 + g))
                    for j, s, row in zip(places, samples, answers, strict=True) for g, c in enumerate(row)]  # fmt: skip
            rewards = list(self.reward(*map(list, zip(*flat, strict=True))))
        if len(rewards) != len(flat):
            raise RunFailed(f"step {step}: the reward gave {len(rewards)} values for {len(flat)} completions")
        values = iter(rewards)
        return [
            text_group(j, sample, [[TextRollout(request, prompt, c, next(values))] for c in row])
            for j, sample, request, prompt, row in zip(places, samples, requests, prompts, answers, strict=True)
        ]

    def _answers(self, step: int, places: Sequence[int], requests: Sequence[ModelRequest]) -> list[list[Completion]]:
        """The completions of each place. Places of another group size are drawn on their own, with a seed of their own."""
        first = places[0] - places[0] % self.units_per_step
        usual = self.group_size
        sizes = [self.prompts.completions(step, j, usual) if self.prompts else usual for j in places]
        answers: dict[int, list[Completion]] = {}
        for size in sorted(set(sizes)):
            at = [k for k, own in enumerate(sizes) if own == size]
            seed = counter_seed(self.seed, step, first, 0, *(() if size == usual else (size,)))
            rows = tuple(places[k] % self.units_per_step for k in at)
            sampling = Sampling(self.max_new_tokens, self.temperature, seed=seed, rows=rows)
            answers |= zip(at, self.backend.generate([requests[k] for k in at], size, sampling), strict=True)
        return [answers[k] for k in range(len(places))]


def text_group(place: int, sample: EditSample, rollouts: list[list[TextRollout]]) -> TextGroup:
    """G rollouts with their turns. A turn that a rollout does not have is NaN, as a missing reward is."""
    reward_GK = torch.full((len(rollouts), max(map(len, rollouts))), math.nan, dtype=torch.float64)
    for g, turns in enumerate(rollouts):
        for k, r in enumerate(turns):
            reward_GK[g, k] = math.nan if r.reward.total is None else float(r.reward.total)
    return Group(place, sample, rollouts, reward_GK)


def text_rows(group: TextGroup, advantage: Callable[[TextRollout], float], step: int) -> list[dict[str, Any]]:
    """One JSON row per completion, for samples.jsonl and the step's metrics; those of a closed loop say which turn they are."""
    return [
        {
            "step": step,
            "sample": group.unit.id,
            "j": group.place,
            "g": g,
            **({} if group.credit_GK is None else {"turn": k}),
            **({"side": group.sides[k]} if group.sides else {}),
            "request": r.request.text,
            "text": r.completion.text,
            "tokens": len(r.completion.token_ids),
            "finish_reason": r.completion.finish_reason,
            "reward": finite(r.reward.total),
            "components": {name: finite(v) for name, v in r.reward.components.items()},
            "advantage": advantage(r),
        }
        for g, turns in enumerate(group.rollouts)
        for k, r in enumerate(turns)
    ]


def describe(rows: Sequence[Mapping[str, Any]], no_spread: Sequence[bool]) -> dict[str, float]:
    """Metrics of all completions of a step: rewards and components (mean, std over present ones), lengths, shares."""
    out = mean_std("reward", [r["reward"] for r in rows])
    for name in sorted({k for r in rows for k in r["components"]}):
        out |= mean_std(f"reward/{name}", [r["components"].get(name) for r in rows])
    lengths = [r["tokens"] for r in rows]
    n = max(1, len(rows))
    return out | {
        "groups/drawn": len(no_spread),
        "groups/no_spread": sum(no_spread) / max(1, len(no_spread)),
        "reward/missing": sum(r["reward"] is None for r in rows) / n,
        "tokens/mean": sum(lengths) / n,
        "tokens/max": float(max(lengths, default=0)),
        "tokens/truncated": sum(r["finish_reason"] == "length" for r in rows) / n,
    }


def logprob_sums(groups: Sequence[TextGroup]) -> dict[str, float]:
    """Sums over all answers that were drawn, of the log-probabilities that the rollout engine reported for their tokens."""
    values = [x for g in groups for turns in g.rollouts for r in turns for x in r.completion.logprobs]
    known = [x for x in values if math.isfinite(x)]
    return {"nats": -math.fsum(known), "known": float(len(known)), "unknown": float(len(values) - len(known))}


def logprob_metrics(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """From the ranks' sums: `entropy/mean` in nats per token, and how many tokens came without a log-probability.

    The mean of -log p over tokens that were drawn from p itself is an unbiased estimate of its entropy, here over all answers
    and for free; the exact entropy is known only where the update passes through the model (`trained/entropy/mean`).
    """
    nats, known, unknown = (sum(p[k] for p in parts) for k in ("nats", "known", "unknown"))
    return ({"entropy/mean": nats / known} if known else {}) | {"rollout/logp_missing": unknown}


__all__ = [
    "AnswerSampler",
    "Encode",
    "RewardFn",
    "RewardLike",
    "Samples",
    "TextGroup",
    "TextRollout",
    "TextSampler",
    "ToRequest",
    "describe",
    "text_group",
    "logprob_metrics",
    "logprob_sums",
    "text_rows",
]
