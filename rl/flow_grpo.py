"""Flow-GRPO (arXiv 2505.05470) and its variants: the clipped policy gradient on the noisy steps of denoising trajectories.

A variant is a choice of settings (conf/algo/), not code of its own: windows (rl/window.py), kinds of noise (editors/steps.py),
GRPO-Guard (rl/ratio_guard.py). The loss is that of text (rl/losses.py), with a step in the place of a token.
"""

from __future__ import annotations

from collections.abc import Sequence

from rl.clock import Clock
from rl.engine.base import Engine
from rl.flow_algorithm import FlowAlgorithm
from rl.flow_config import FlowGRPOConfig
from rl.flow_credit import CreditedEdit
from rl.flow_rollouts import FlowSampler
from rl.flow_update import FlowUpdate
from rl.policies.base import FrozenPolicy
from rl.policies.flow import FlowBatch
from rl.watch import Watch


class FlowGRPO(FlowAlgorithm[FlowGRPOConfig]):
    """`kl/mean` is logged over all trained steps where the loss has a KL term, else over `kl_log_edits` edits of every step.
    Metrics that begin with "trained/" cover the edits that have a gradient: without a KL term, those whose rewards differ
    within their group. `trained/mismatch` is the distance of the log-probabilities of sampling to those of the update before
    its first step, both in nats per dimension."""

    def __init__(
        self,
        config: FlowGRPOConfig,
        engine: Engine[FlowBatch],
        sampler: FlowSampler,
        watch: Watch | None = None,
        actor: FrozenPolicy[FlowBatch] | None = None,
    ) -> None:
        super().__init__(config, engine, sampler, watch, actor)
        self.trains = FlowUpdate(config, engine, sampler.policy.noise, sampler.seed)

    def has_gradient(self, item: CreditedEdit) -> bool:
        return self.trains.has_gradient(item)

    def drift(self, k: int, items: Sequence[CreditedEdit], clock: Clock) -> dict[str, float]:
        return self.trains.drift(k, items, clock)

    def update(
        self, k: int, items: Sequence[CreditedEdit], trained: Sequence[CreditedEdit], clock: Clock
    ) -> dict[str, float]:
        return self.trains(k, items, clock)


__all__ = ["FlowGRPO"]
