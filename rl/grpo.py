"""GRPO (arXiv 2402.03300) and its variants on text. A variant is a choice of settings (conf/algo/), not code of its own.

Everything random is a function of (seed, step): a run that was killed and resumed ends bit for bit like one that was not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from agents.backends.base import fingerprint
from common.errors import BadInput
from rl.anchors import Anchor
from rl.async_rollouts import AsyncRollouts, Pending, SyncRollouts
from rl.clock import Clock
from rl.config import GRPOConfig
from rl.credit import CreditedRollout, credit, credited_rows
from rl.drift import drift_metrics, drift_sample, drift_sums
from rl.engine.base import Engine
from rl.loop import Log, LoopState, Progress, StepResult, run_loop
from rl.losses import batch_normaliser
from rl.policies.text import TextBatch
from rl.rollouts import Collector, counter_seed
from rl.text_rollouts import AnswerSampler, describe, logprob_metrics, logprob_sums
from rl.text_update import TextUpdate
from rl.weight_sync import weights_for

logger = logging.getLogger(__name__)


class GRPO:
    """`Algorithm`. The engine must hold the start weights: the KL of every step is measured from them (`kl/k1..k3` on
    `kl_log_sequences` completions; `kl/mean` over all where it is trained on).

    Rewards, lengths and `entropy/mean` are logged over all answers. Metrics that begin with "trained/" (ratio, clipping,
    mismatch, exact entropy) cover the answers that have a gradient: without a KL term, those whose rewards differ within their
    group. The others need no pass through the model and get none. Examples of `algo.anchor` are among those of "trained/"."""

    def __init__(
        self,
        config: GRPOConfig,
        engine: Engine[TextBatch],
        sampler: AnswerSampler,
        anchors: Callable[[int], Sequence[Anchor]] | None = None,
        thought: Callable[[Sequence[int]], int] | None = None,
    ) -> None:
        """`anchors`: the examples of a step's supervised term, the same on every rank. `thought`: how many of an answer's first
        tokens belong to its thought, for `thought_advantage=false`."""
        if config.anchor.examples and anchors is None:
            raise BadInput("algo.anchor.examples needs a start whose own examples are known; set it to 0")
        if not config.thought_advantage and thought is None:
            raise BadInput("algo.thought_advantage=false needs a model whose answers have a thought; set it to true")
        if engine.world_size > config.prompts_per_step:
            raise BadInput(f"{engine.world_size} ranks cannot share {config.prompts_per_step} prompts per step")
        self.config, self.engine, self.sampler = config, engine, sampler
        self.anchors = anchors if config.anchor.examples else None
        self.origin = fingerprint(engine.named_parameters()).checksum
        watched = config.kl_coef > 0 or config.kl_log_sequences > 0
        self.reference = engine.frozen_copy() if watched else None
        self.trains = TextUpdate(config, engine, sampler.max_new_tokens, self.reference, thought)
        tries = config.max_tries if config.dynamic_sampling else 1
        collector = Collector(sampler, config.prompts_per_step, tries, engine.rank, engine.world_size)
        self.rollouts: SyncRollouts | AsyncRollouts = SyncRollouts(collector, sampler.backend)
        if lag := config.max_offpolicy_steps:
            self.rollouts = AsyncRollouts(collector, sampler, lag, config.steps)
        self.weights = weights_for(sampler.backend, engine)
        self.pending: Pending | None = {}  # of a checkpoint: rollouts that no step has seen; None after the first step

    def identity(self) -> dict[str, Any]:
        """What another training in the same folder would differ in."""
        s = self.sampler
        return self.config.identity() | {
            "seed": s.seed, "max_new_tokens": s.max_new_tokens, "start weights": self.origin,
        }  # fmt: skip

    def step(self, k: int, clock: Clock) -> StepResult:
        engine, config = self.engine, self.config
        torch.manual_seed(counter_seed(self.sampler.seed, k))
        if self.pending is not None:
            self.rollouts.start(k, self.pending, self.weights)
            self.pending = None
        batch = self.rollouts.take(k, self.weights, clock)
        items = credit(batch.groups, engine, config.advantage_scale, config.advantage_clip)
        rows = credited_rows(batch.drawn, items, k + 1)
        drift: dict[str, float] = {}
        if self.reference is not None:
            count = -(-config.kl_log_sequences // engine.world_size)
            with clock("logprob"):
                drift = drift_sums(drift_sample(batch.drawn, count, k), self.reference)
        trained = sum(self.trains.has_gradient(item) for item in items)
        gathered = engine.all_gather(
            (rows, [not g.differs for g in batch.drawn], trained, drift, logprob_sums(batch.drawn))
        )
        rows = sorted(
            (row for part in gathered for row in part[0]),
            key=lambda row: (row["j"], row["g"], row.get("turn", 0), row.get("side", "")),
        )
        metrics = describe(rows, [s for part in gathered for s in part[1]])
        metrics |= logprob_metrics([part[4] for part in gathered])
        metrics |= self.sampler.observe(k, rows)
        metrics |= drift_metrics([part[3] for part in gathered], config.kl_estimator)
        metrics |= {"update/sequences": sum(part[2] for part in gathered), "rollout/steps_old": batch.lag}
        metrics |= self._update(k, items, clock) if metrics["update/sequences"] else {"update/skipped": 1.0}
        metrics |= clock.read(sum(row["tokens"] for row in rows), batch.seconds)
        return StepResult(metrics, rows, usable=any(row["reward"] is not None for row in rows))

    def _update(self, k: int, items: Sequence[CreditedRollout], clock: Clock) -> dict[str, float]:
        metrics = self.trains(items, clock, partial(self._anchors, k))
        if (report := self.rollouts.trained(self.weights, clock)) is not None:
            metrics["sync/parameters"] = report.names
        return metrics

    def _anchors(self, k: int, normaliser: float) -> list[CreditedRollout | Anchor]:
        """This rank's share of the step's examples. Their advantage makes the term weight x their cross-entropy, averaged over all
        ranks' examples as the loss averages over answers."""
        if self.anchors is None:
            return []
        config, engine = self.config, self.engine
        examples = self.anchors(k)
        own = batch_normaliser(config.aggregation, [len(e.token_ids) for e in examples], self.sampler.max_new_tokens)
        advantage = config.anchor.weight * sum(engine.all_gather(normaliser)) / own
        return [replace(e, advantage=advantage) for e in examples[engine.rank :: engine.world_size]]

    def state_dict(self) -> dict[str, Any]:
        state = {"engine": self.engine.state_dict(), "pending": self.engine.all_gather(self.rollouts.state())}
        return state | ({"prompts": self.sampler.prompts.state_dict()} if self.sampler.prompts else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.engine.load_state_dict(state["engine"])
        if self.sampler.prompts is not None:
            self.sampler.prompts.load_state_dict(state["prompts"])
        ranks = state["pending"]
        if len(ranks) == self.engine.world_size:
            self.pending = ranks[self.engine.rank]
        elif any(ranks):
            logger.warning("rollouts that %d ranks drew ahead are drawn anew by %d", len(ranks), self.engine.world_size)


def train_grpo(
    config: GRPOConfig,
    engine: Engine[TextBatch],
    sampler: AnswerSampler,
    folder: str | Path,
    log: Log | None = None,
    progress: Progress | None = None,
    anchors: Callable[[int], Sequence[Anchor]] | None = None,
    thought: Callable[[Sequence[int]], int] | None = None,
    name: str = "",
) -> LoopState:
    """Train until `config.steps`, going on from the checkpoints in `folder` where there are any (`name`: of this training, where it
    is not the folder's main one); the rollout backend then holds the
    final weights. Raises what `run_loop` raises."""
    algorithm = GRPO(config, engine, sampler, anchors, thought)
    with closing(algorithm.rollouts):
        state = run_loop(
            algorithm, name=name, steps=config.steps, identity=algorithm.identity(), folder=folder, ranks=engine,
            checkpoint_every=config.checkpoint_every, keep_checkpoints=config.keep_checkpoints,
            max_missing_steps=config.max_missing_steps, log=log, progress=progress,
        )  # fmt: skip
    if config.max_offpolicy_steps or algorithm.pending is not None:  # the backend's weights are older ones
        sampler.backend.sync(algorithm.weights())
    return state


__all__ = ["GRPO", "train_grpo"]
