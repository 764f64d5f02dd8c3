"""DiffusionNFT (arXiv 2509.16117): reinforcement learning on the forward process, without noisy steps and log-probabilities.

Edits are sampled by plain Euler steps from the old policy, which follows the trained one slowly. (The authors' code takes a
second-order solver for FLUX.1 Kontext; the loss does not depend on how edits were sampled.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from torch import Tensor

from rl.clock import Clock
from rl.engine.base import Engine
from rl.flow_algorithm import FlowAlgorithm
from rl.flow_config import NFTConfig
from rl.flow_credit import CreditedEdit, by_shape
from rl.flow_rollouts import FlowSampler
from rl.flow_update import update_metrics
from rl.losses import LossOutputs
from rl.nft_loss import nft_loss, old_decay, optimality, velocity_distance
from rl.policies.base import FrozenPolicy
from rl.policies.flow import FlowBatch, step_seed
from rl.policies.velocity import noised_batch
from rl.rollouts import counter_seed
from rl.update import MicroBatch, update
from rl.watch import Watch


@dataclass(frozen=True, eq=False)
class NoisedEdit:
    """A credited edit, the times at which it is trained, and its noise there."""

    edit: CreditedEdit
    sigma_T: Tensor
    noise_TNC: Tensor


@dataclass(frozen=True)
class Frozen:
    """Velocities [B, T, N, C] of the old policy, and of the start where its distance is part of the loss."""

    old_BTNC: Tensor
    start_BTNC: Tensor | None


class NFT(FlowAlgorithm[NFTConfig]):
    """`old`, the policy that is sampled from, must be the sampler's."""

    def __init__(
        self,
        config: NFTConfig,
        engine: Engine[FlowBatch],
        sampler: FlowSampler,
        old: FrozenPolicy[FlowBatch],
        watch: Watch | None = None,
    ) -> None:
        super().__init__(config, engine, sampler, watch, old)
        self.old = old
        self.start = engine.frozen_copy() if config.kl_weight > 0 else None

    def follow(self, k: int) -> None:
        """After step k - 1 the old policy keeps its share of itself; step 0 has the start weights on both sides."""
        if k > 0:
            self.old.follow(self.engine.trained_parameters(), old_decay(self.config.old_decay, k - 1))

    def has_gradient(self, item: CreditedEdit) -> bool:
        """Edits of average reward pull the velocity towards the old one, so they are trained too."""
        return item.present

    def update(
        self, k: int, items: Sequence[CreditedEdit], trained: Sequence[CreditedEdit], clock: Clock
    ) -> dict[str, float]:
        config = self.config
        noised = [self._noised(k, item) for item in trained]
        times = config.trained_times or config.sampling_steps
        info, outputs = update(
            self.engine,
            noised,
            lambda part: noised_batch(
                [n.edit.rollout.trajectory for n in part], [n.noise_TNC for n in part], [n.sigma_T for n in part]
            ),
            lambda part: by_shape(part, [n.edit for n in part], config.micro_batch_size),
            self._loss,
            normaliser=float(len(trained) * times),
            idle=noised[0] if noised else self._noised(k, items[0]),
            reference=self._frozen,
            passes=config.updates_per_batch,
            clock=clock,
        )
        return update_metrics(self.engine, info, outputs)

    def _noised(self, k: int, item: CreditedEdit) -> NoisedEdit:
        """Times and noise are functions of the seed, the step and the edit's own trajectory."""
        trajectory, config = item.rollout.trajectory, self.config
        seed = counter_seed(self.sampler.seed, k, item.place, item.number)
        count = len(trajectory.sigma_S) - 1
        chosen = sorted(Random(seed).sample(range(count), config.trained_times or count))
        conditioning = trajectory.conditioning.select([0] * len(chosen))
        noise = self.sampler.policy.flow.noise(conditioning, [step_seed(seed, t) for t in chosen])
        return NoisedEdit(item, trajectory.sigma_S[chosen], noise)

    def _frozen(self, batch: FlowBatch) -> Frozen:
        old = self.old(batch).mean
        assert old is not None
        return Frozen(old, None if self.start is None else self.start(batch).mean)

    def _loss(self, items: Sequence[NoisedEdit], micro: MicroBatch[Frozen]) -> LossOutputs:
        config, batch, now, frozen = self.config, micro.batch, micro.now.mean, micro.reference
        assert now is not None and frozen is not None
        r_B = optimality(now.new_tensor([n.edit.advantage for n in items]), config.advantage_clip)
        terms = nft_loss(
            now, frozen.old_BTNC, batch.before_BTNC, batch.after_BTNC, batch.sigma_BT, r_B, config.beta, config.advantage_clip
        )  # fmt: skip
        loss_BT = terms.loss
        sums = {"loss": terms.loss, "positive": terms.positive, "negative": terms.negative}
        sums["old_distance"] = velocity_distance(now, frozen.old_BTNC)
        if frozen.start_BTNC is not None:
            sums["kl"] = velocity_distance(now, frozen.start_BTNC)
            loss_BT = loss_BT + config.kl_weight * sums["kl"]
        totals = {name: float(value.detach().double().sum()) for name, value in sums.items()}
        return LossOutputs(loss_BT.sum() / micro.normaliser, totals | {"tokens": float(loss_BT.numel())})

    def state_dict(self) -> dict[str, Any]:
        trained = {name for name, _ in self.engine.trained_parameters()}
        mine = self.old.policy.model.named_parameters()
        return super().state_dict() | {"old": {name: p.detach() for name, p in mine if name in trained}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.old.follow(iter(state["old"].items()))


__all__ = ["NFT"]
