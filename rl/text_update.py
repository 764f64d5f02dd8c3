"""The update of GRPO on text: the clipped policy gradient on the tokens of credited answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rl.anchors import Anchor
from rl.clock import Clock
from rl.config import TextUpdateConfig
from rl.credit import CreditedRollout
from rl.engine.base import Engine, Evaluate, LogProbs
from rl.losses import LossInputs, LossOutputs, batch_normaliser, merge_metrics, policy_loss
from rl.microbatch import micro_batches
from rl.policies.text import TextBatch
from rl.update import MicroBatch, update

Item = CreditedRollout | Anchor
Thought = Callable[[Sequence[int]], int]  # how many of an answer's first tokens belong to its thought
Anchors = Callable[[float], "list[Item]"]  # from this rank's normaliser to its share of the supervised term


class TextUpdate:
    """Optimiser steps on an engine. `reference`: the frozen start, of which the KL is trained where `kl_coef` > 0."""

    def __init__(
        self,
        config: TextUpdateConfig,
        engine: Engine[TextBatch],
        max_new_tokens: int,
        reference: Evaluate[TextBatch] | None = None,
        thought: Thought | None = None,
    ) -> None:
        self.config, self.engine, self.max_new_tokens = config, engine, max_new_tokens
        self.reference = reference if config.kl_coef > 0 else None
        self.thought = None if config.thought_advantage else thought

    def counts(self, item: CreditedRollout) -> bool:
        """Whether a completion belongs to the loss: its reward is there, and it was not cut off where that disqualifies."""
        cut = self.config.mask_truncated and item.rollout.completion.finish_reason == "length"
        return item.present and not cut

    def has_gradient(self, item: CreditedRollout) -> bool:
        """Without a term for KL or entropy an advantage of 0 has no gradient, and its forward is saved."""
        everywhere = self.config.kl_coef > 0 or self.config.entropy_coef > 0
        return self.counts(item) and (everywhere or item.advantage != 0)

    def __call__(
        self,
        items: Sequence[CreditedRollout],
        clock: Clock,
        anchors: Anchors | None = None,
        weight: float = 1.0,
        counted: Sequence[CreditedRollout] | None = None,
    ) -> dict[str, float]:
        """One update on this rank's items, whose loss counts `weight` times; `counted` are those of the mean where more count than
        are trained. Returns the metrics of all ranks."""
        config, engine = self.config, self.engine
        counted = items if counted is None else counted
        lengths = [len(item.token_ids) for item in counted if self.counts(item)]
        normaliser = batch_normaliser(config.aggregation, lengths, self.max_new_tokens) / weight
        trained: list[Item] = [item for item in items if self.has_gradient(item)]
        info, outputs = update(
            engine,
            trained + (anchors(normaliser) if anchors else []),
            self._batch,
            partial(micro_batches, size=config.micro_batch_size, tokens=config.micro_batch_tokens,
                    shared_prefix=config.shared_prefix),
            self._loss,
            normaliser=normaliser,
            idle=counted[0],
            reference=self.reference,
            passes=config.updates_per_batch,
            clock=clock,
        )  # fmt: skip
        merged = merge_metrics([o for part in engine.all_gather(outputs) for o in part])
        metrics = {k if k.startswith("kl/") else f"trained/{k}": v for k, v in merged.items()}
        return metrics | {"grad_norm": info.grad_norm, "lr": info.lr, "update/skipped": float(info.skipped)}

    def _batch(self, items: Sequence[Item]) -> TextBatch:
        """With what the loss wants beside log-probabilities, so that one transfer takes everything to the device."""
        advantage_B = torch.tensor([item.advantage for item in items])
        reported_BT = pad_sequence([torch.tensor(item.logprobs) for item in items], batch_first=True)
        values = {"advantage": self._advantages(items, advantage_B), "reported": reported_BT}
        return TextBatch([i.prompt for i in items], [i.token_ids for i in items], values)

    def _loss(self, items: Sequence[Item], batch: MicroBatch[LogProbs]) -> LossOutputs:
        old = batch.old_logp_BT
        values = batch.batch.values_on(old.device)
        return policy_loss(
            LossInputs(
                batch.now.logp_BT,
                old,
                values["advantage"],
                batch.now.mask_BT,
                batch.normaliser,
                rollout_logp_BT=values["reported"],
                ref_logp_BT=batch.reference.logp_BT if batch.reference else None,
                entropy_BT=batch.now.entropy_BT,
            ),
            self.config,
        )

    def _advantages(self, items: Sequence[Item], advantage_B: Tensor) -> Tensor:
        """[B, 1], or [B, T] where a thought gets none."""
        if self.thought is None:
            return advantage_B[:, None]
        thought_B = [0 if isinstance(item, Anchor) else self.thought(item.token_ids) for item in items]
        position_T = torch.arange(max(len(item.token_ids) for item in items))
        return advantage_B[:, None] * (position_T >= torch.tensor(thought_B)[:, None])


__all__ = ["TextUpdate"]
