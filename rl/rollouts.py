"""One step's batch: prompts by counter, G completions each, their rewards and advantages; groups that teach nothing may be
drawn again (dynamic sampling, DAPO, arXiv 2503.14476 sec. 3.2)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from agents.backends.base import Backend, Completion, Request, Sampling
from agents.backends.vlm import Encoded
from benchmarks.base import EditSample
from common.errors import RunFailed
from rl.advantages import group_advantages


class RewardLike(Protocol):
    """`total` None (or NaN): the reward could not be computed. `components` are logged, None where missing."""

    @property
    def total(self) -> float | None: ...

    @property
    def components(self) -> Mapping[str, float | None]: ...


Samples = Callable[[int, int], EditSample]  # (step, j) -> sample, a pure function of its arguments
ToRequest = Callable[[EditSample], Request]
Encode = Callable[[Sequence[Request]], list[Encoded]]
RewardFn = Callable[
    [Sequence[EditSample], Sequence[str], Sequence[int]], Sequence[RewardLike]
]  # per completion, with seeds


@dataclass(frozen=True)
class Group:
    """The G completions of one prompt. advantage_G is 0 and present_G False where the reward is missing."""

    j: int
    sample: EditSample
    request: Request
    prompt: Encoded
    completions: list[Completion]
    rewards: list[RewardLike]
    advantage_G: Tensor
    present_G: Tensor
    spread: bool

    def rows(self, step: int) -> list[dict[str, Any]]:
        """One JSON row per completion, for samples.jsonl and the step's metrics."""
        return [
            {
                "step": step,
                "sample": self.sample.id,
                "j": self.j,
                "g": g,
                "request": self.request.text,
                "text": c.text,
                "tokens": len(c.token_ids),
                "finish_reason": c.finish_reason,
                "reward": _number(r.total),
                "components": {k: _number(v) for k, v in r.components.items()},
                "advantage": float(self.advantage_G[g]),
            }
            for g, (c, r) in enumerate(zip(self.completions, self.rewards, strict=True))
        ]


def counter_seed(*counters: int) -> int:
    """A 63-bit seed from counters: batch = f(seed, step), so there is no sampler state to save or to repeat."""
    return int.from_bytes(hashlib.blake2b(repr(counters).encode(), digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True)
class Collector:
    """Draws the groups of a step. `slots` are this rank's places in the batch of `prompts_per_step`."""

    backend: Backend
    samples: Samples
    to_request: ToRequest
    reward: RewardFn
    encode: Encode
    sampling: Sampling
    prompts_per_step: int
    group_size: int
    normalise_std: bool
    tries: int  # 1: no dynamic sampling
    seed: int
    slots: Sequence[int]

    def collect(self, step: int, clock: Callable[[str], Any]) -> tuple[list[Group], list[Group]]:
        """(groups to train on, all groups drawn). With several tries groups without spread are replaced by fresh prompts
        while tries last; what is then still short is filled with the first ones drawn."""
        kept: list[Group] = []
        drawn: list[Group] = []
        for attempt in range(self.tries):
            short = len(self.slots) - len(kept)
            groups = self._draw(step, [attempt * self.prompts_per_step + s for s in self.slots[:short]], clock)
            drawn += groups
            kept += [g for g in groups if g.spread or self.tries == 1]
            if len(kept) == len(self.slots):
                break
        spare = [g for g in drawn if not g.spread and self.tries > 1]
        return kept + spare[: len(self.slots) - len(kept)], drawn

    def _draw(self, step: int, places: Sequence[int], clock: Callable[[str], Any]) -> list[Group]:
        G = self.group_size
        with clock("rollout"):
            samples = [self.samples(step, j) for j in places]
            requests = [self.to_request(s) for s in samples]
            prompts = self.encode(requests)
            rows = tuple(j % self.prompts_per_step for j in places)
            seed = counter_seed(self.seed, step, places[0] - rows[0], 0)
            sampling = Sampling(self.sampling.max_new_tokens, self.sampling.temperature, seed=seed, rows=rows)
            answers = self.backend.generate(requests, G, sampling)
        with clock("reward"):
            flat = [(s, c.text, counter_seed(self.seed, step, j, 1 + g))
                    for j, s, row in zip(places, samples, answers, strict=True) for g, c in enumerate(row)]  # fmt: skip
            rewards = list(self.reward(*map(list, zip(*flat, strict=True))))
        if len(rewards) != len(flat):
            raise RunFailed(f"step {step}: the reward gave {len(rewards)} values for {len(flat)} completions")
        totals = [math.nan if r.total is None else float(r.total) for r in rewards]
        adv = group_advantages(torch.tensor(totals, dtype=torch.float64).view(-1, G), self.normalise_std)
        return [
            Group(j, samples[p], requests[p], prompts[p], answers[p], rewards[p * G : (p + 1) * G],
                  adv.advantage_PG[p], adv.present_PG[p], bool(adv.spread_P[p]))
            for p, j in enumerate(places)
        ]  # fmt: skip


def describe(rows: Sequence[Mapping[str, Any]], no_spread: Sequence[bool]) -> dict[str, float]:
    """Metrics of all completions of a step: rewards and components (mean, std over present ones), lengths, shares."""
    out = _mean_std("reward", [r["reward"] for r in rows])
    for name in sorted({k for r in rows for k in r["components"]}):
        out |= _mean_std(f"reward/{name}", [r["components"].get(name) for r in rows])
    lengths = [r["tokens"] for r in rows]
    n = max(1, len(rows))
    return out | {
        "groups/no_spread": sum(no_spread) / max(1, len(no_spread)),
        "reward/missing": sum(r["reward"] is None for r in rows) / n,
        "tokens/mean": sum(lengths) / n,
        "tokens/max": float(max(lengths, default=0)),
        "tokens/truncated": sum(r["finish_reason"] == "length" for r in rows) / n,
    }


def _mean_std(name: str, values: Sequence[float | None]) -> dict[str, float]:
    present = torch.tensor([v for v in values if v is not None], dtype=torch.float64)
    if not len(present):
        return {}
    return {f"{name}/mean": float(present.mean()), f"{name}/std": float(present.std(correction=0))}


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


__all__ = ["Collector", "Encode", "Group", "RewardFn", "RewardLike", "Samples", "ToRequest", "counter_seed", "describe"]
