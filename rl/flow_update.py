"""The update of Flow-GRPO: the clipped policy gradient on the noisy steps of credited edits."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from common.errors import RunFailed
from editors.steps import noise_scales
from rl.clock import Clock
from rl.engine.base import Engine, LogProbs, StepInfo
from rl.flow_config import NoisyStepsConfig
from rl.flow_credit import CreditedEdit, by_shape
from rl.losses import LossInputs, LossOutputs, merge_metrics, policy_loss
from rl.policies.flow import FlowBatch, StepNoise, collate, step_kl
from rl.ratio_guard import normalised_logp, step_weights
from rl.update import MicroBatch, update
from rl.window import noisy_steps, trained_places

logger = logging.getLogger(__name__)


class FlowUpdate:
    """Optimiser steps on an engine. The reference of its KL, where there is one, is a copy of the weights that it has now."""

    def __init__(self, config: NoisyStepsConfig, engine: Engine[FlowBatch], noise: StepNoise, seed: int) -> None:
        self.config, self.engine, self.noise, self.seed = config, engine, noise, seed
        watched = config.kl_coef > 0 or config.kl_log_edits > 0
        self.reference = engine.frozen_copy() if watched else None

    def has_gradient(self, item: CreditedEdit) -> bool:
        """Without a KL term an advantage of 0 has no gradient, and its forward is saved."""
        return item.present and (self.config.kl_coef > 0 or item.advantage != 0)

    def __call__(
        self,
        k: int,
        items: Sequence[CreditedEdit],
        clock: Clock,
        weight: float = 1.0,
        counted: Sequence[CreditedEdit] | None = None,
    ) -> dict[str, float]:
        """Train step k on this rank's items. The loss is `weight` times the mean over the steps of all ranks' present edits;
        `counted` are those of the mean where more count than are trained. Returns the metrics of all ranks."""
        config = self.config
        counted = items if counted is None else counted
        places = trained_places(config, len(noisy_steps(config, k, self.seed)), k, self.seed)
        info, outputs = update(
            self.engine,
            [item for item in items if self.has_gradient(item)],
            lambda part: collate([item.rollout.trajectory for item in part], places),
            lambda part: by_shape(part, part, config.micro_batch_size),
            partial(self._loss, places),
            normaliser=float(sum(item.present for item in counted) * len(places)) / weight,
            idle=counted[0],
            reference=self.reference if config.kl_coef > 0 else None,
            passes=config.updates_per_batch,
            clock=clock,
        )
        return update_metrics(self.engine, info, outputs) | self._ratios(k, outputs)

    def drift(self, k: int, items: Sequence[CreditedEdit], clock: Clock) -> dict[str, float]:
        """`kl/mean` of `kl_log_edits` edits, where the loss has no KL: that of their noisy steps (`step_kl`), before the update."""
        config = self.config
        if self.reference is None or config.kl_coef > 0:
            return {}
        count = min(len(items), -(-config.kl_log_edits // self.engine.world_size))
        chosen = [items[(k * count + i) % len(items)] for i in range(count)]
        parts = by_shape(chosen, chosen, config.micro_batch_size)
        turns = max(self.engine.all_gather(len(parts)))  # a sharded engine's forward is one of all ranks
        total, steps = 0.0, 0
        with clock("logprob"), torch.no_grad():
            for turn in range(turns):
                part = parts[turn] if turn < len(parts) else []
                batch = collate([item.rollout.trajectory for item in part or items[:1]])
                now, start = self.engine.forward(batch).mean, self.reference(batch).mean
                assert now is not None and start is not None
                if part:
                    kl_BT = step_kl(now, start, batch, self.noise, config.kl_exact)
                    total, steps = total + float(kl_BT.sum()), steps + kl_BT.numel()
        sums = self.engine.all_gather((total, steps))
        return {"kl/mean": sum(s for s, _ in sums) / sum(n for _, n in sums)}

    def _ratios(self, k: int, outputs: Sequence[LossOutputs]) -> dict[str, float]:
        """The greatest distance of a ratio to 1 in the first and in the last pass over the batch, over all ranks. In the first one
        the weights are those of the old log-probabilities; later ratios that stay at 1 show weights that do not move."""
        passes = self.config.updates_per_batch
        micro = len(outputs) // passes
        own = [[o.maxima["ratio_apart"] for o in part] for part in (outputs[:micro], outputs[len(outputs) - micro :])]
        first, last = (
            max(map(max, filter(None, part)), default=0.0) for part in zip(*self.engine.all_gather(own), strict=True)
        )
        if first != 0:
            raise RunFailed(
                f"step {k + 1}: a ratio of the first update on new edits is {first:.3g} away from 1; the old log-probabilities are "
                "not those of the weights that are trained"
            )
        if passes == 1:
            return {"trained/ratio_first": first}
        if last == 0:
            logger.warning(
                "step %d: all ratios are 1 after an update; the weights do not move (see lr and dtype)", k + 1
            )
        return {"trained/ratio_first": first, "trained/ratio_last": last}

    def _loss(self, places: Sequence[int], items: Sequence[CreditedEdit], micro: MicroBatch[LogProbs]) -> LossOutputs:
        config, now, batch = self.config, micro.now, micro.batch
        old_BT, logp_BT = micro.old_logp_BT, now.logp_BT
        assert now.mean is not None and micro.old_mean is not None
        if config.ratio_normalisation:
            std_BT, _ = noise_scales(batch.sigma_BT, batch.sigma_next_BT, self.noise.level, self.noise.kind)
            logp_BT = normalised_logp(logp_BT, old_BT, now.mean, micro.old_mean, std_BT, self.noise.kind)
        advantage_BT = old_BT.new_tensor([[item.advantage] for item in items]).expand_as(old_BT)
        if config.gradient_reweighting:  # of the policy gradient alone, not of the KL
            advantage_BT = advantage_BT * step_weights(batch.sigma_BT, batch.sigma_next_BT)
        kl_BT = None
        if micro.reference is not None:
            assert micro.reference.mean is not None
            kl_BT = step_kl(now.mean, micro.reference.mean, batch, self.noise, config.kl_exact)
        sampled_BT = torch.stack([item.rollout.trajectory.logp_T[list(places)] for item in items])
        inputs = LossInputs(
            logp_BT, old_BT, advantage_BT, now.mask_BT, micro.normaliser, rollout_logp_BT=sampled_BT, kl_BT=kl_BT
        )
        outputs = policy_loss(inputs, config.loss())
        apart = (logp_BT.detach() - old_BT).expm1().abs().max()
        return replace(outputs, maxima={**outputs.maxima, "ratio_apart": apart})


def update_metrics(engine: Engine[FlowBatch], info: StepInfo, outputs: Sequence[LossOutputs]) -> dict[str, float]:
    """Of an update, over all ranks."""
    merged = merge_metrics([o for part in engine.all_gather(outputs) for o in part])
    metrics = {name if name.startswith("kl/") else f"trained/{name}": v for name, v in merged.items()}
    return metrics | {"grad_norm": info.grad_norm, "lr": info.lr, "update/skipped": float(info.skipped)}


__all__ = ["FlowUpdate", "update_metrics"]
