"""Session RL (Edit-R2, arXiv 2606.05950): one objective for the intents that are written and the edits that are made.

A session's trajectories are compared with each other, and each turn has one advantage for both: for the tokens of its intent and
for the noisy denoising steps of its edit,

    L = text.weight * mean over intents of L_text + flow.weight * mean over turns and steps of L_flow

The writer and the editor share no parameters here, so each has an engine of its own and the gradient of L is that of both terms.
(The authors' model is one network; there L_text is added to the loss of the first of the two noisy steps.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from agents.backends.base import fingerprint
from common.errors import BadInput
from rl.clock import Clock
from rl.engine.base import Engine
from rl.flow_update import FlowUpdate
from rl.loop import Ranks, StepResult
from rl.policies.base import FrozenPolicy
from rl.policies.flow import FlowBatch
from rl.policies.text import TextBatch
from rl.rollouts import Collector, counter_seed
from rl.session_config import SessionRLConfig
from rl.session_credit import CreditedTurn, corrupted_shares, credit_turns
from rl.session_rollouts import SessionSampler, describe_sessions, session_rows
from rl.text_update import TextUpdate
from rl.weight_sync import weights_for


class SessionGRPO:
    """`Algorithm`. An engine that is None belongs to a side that is not trained. Metrics of a side's update begin with "text/" or
    "edit/". `actor`: the whole copy of a sharded editor that edits are sampled from."""

    def __init__(
        self,
        config: SessionRLConfig,
        ranks: Ranks,
        sampler: SessionSampler,
        text: Engine[TextBatch] | None,
        flow: Engine[FlowBatch] | None,
        actor: FrozenPolicy[FlowBatch] | None = None,
    ) -> None:
        if ranks.world_size > config.sessions_per_step:
            raise BadInput(f"{ranks.world_size} ranks cannot share {config.sessions_per_step} sessions per step")
        self.config, self.ranks, self.sampler, self.actor = config, ranks, sampler, actor
        self.text, self.flow = text, flow
        writer = sampler.writer
        self.trains_text = self.trains_flow = None
        if text is not None and writer is not None:
            reference = text.frozen_copy() if config.text.kl_coef > 0 else None
            self.trains_text = TextUpdate(config.text, text, writer.max_new_tokens, reference)
        if flow is not None:
            self.trains_flow = FlowUpdate(config.flow, flow, sampler.drawer.policy.noise, sampler.seed)
        engines: dict[str, Engine[Any] | None] = {"text": text, "flow": flow}
        self.engines = {name: engine for name, engine in engines.items() if engine is not None}
        self.origin = {name: fingerprint(e.named_parameters()).checksum for name, e in self.engines.items()}
        self.collector = Collector(sampler, config.sessions_per_step, 1, ranks.rank, ranks.world_size)

    def identity(self) -> dict[str, Any]:
        """What another training in the same folder would differ in."""
        return self.config.identity() | {"seed": self.sampler.seed, "start weights": self.origin}

    def step(self, k: int, clock: Clock) -> StepResult:
        torch.manual_seed(counter_seed(self.sampler.seed, k))
        with clock("sync"):
            self.follow()
        groups, _ = self.collector.collect(k, clock)
        clock.safe_point()
        turns = credit_turns(groups, self.ranks, self.config)
        advantages = {id(t.rollout): t.advantage for t in turns}
        own = [row for g in groups for row in session_rows(g, lambda r: advantages[id(r)], k + 1)]
        gathered = self.ranks.all_gather((own, [not g.differs for g in groups], corrupted_shares(turns)))
        rows = sorted((row for part in gathered for row in part[0]), key=lambda row: (row["j"], row["g"], row["turn"]))
        metrics = describe_sessions(rows, [flag for part in gathered for flag in part[1]])
        metrics |= _shares([part[2] for part in gathered])
        metrics |= self._train(k, turns, clock)
        made = {"tokens": sum(row["tokens"] for row in rows), "images": len(rows)}
        metrics |= clock.read(len(rows), what="turns", more=made)
        return StepResult(metrics, rows, usable=any(row["reward"] is not None for row in rows))

    def follow(self) -> None:
        """Give what draws rollouts the weights of now."""
        if self.text is not None and self.sampler.writer is not None:
            backend = self.sampler.writer.backend
            backend.sync(weights_for(backend, self.text)())
        if self.actor is not None and self.flow is not None:
            self.actor.follow(self.flow.trained_parameters())

    def _train(self, k: int, turns: Sequence[CreditedTurn], clock: Clock) -> dict[str, float]:
        metrics: dict[str, float] = {}
        if self.trains_text is not None:
            answers = [(a, t.text_counts) for t in turns if (a := t.answer()) is not None]
            all_answers, kept_answers = [a for a, _ in answers], [a for a, counts in answers if counts]
            trained = sum(self.ranks.all_gather(sum(map(self.trains_text.has_gradient, kept_answers))))
            weight = self.config.text.weight
            own = self.trains_text(kept_answers, clock, weight=weight, counted=all_answers) if trained else {}
            metrics |= {f"text/{name}": value for name, value in own.items()} | {"text/sequences": float(trained)}
        if self.trains_flow is not None:
            edits = [(t.edit(self.config.advantage_clip), t.edit_counts) for t in turns]
            all_edits, kept_edits = [e for e, _ in edits], [e for e, counts in edits if counts]
            trained = sum(self.ranks.all_gather(sum(map(self.trains_flow.has_gradient, kept_edits))))
            weight = self.config.flow.weight
            metrics |= {f"edit/{name}": value for name, value in self.trains_flow.drift(k, all_edits, clock).items()}
            own = self.trains_flow(k, kept_edits, clock, weight=weight, counted=all_edits) if trained else {}
            metrics |= {f"edit/{name}": value for name, value in own.items()} | {"edit/edits": float(trained)}
        return metrics

    def state_dict(self) -> dict[str, Any]:
        return {name: engine.state_dict() for name, engine in self.engines.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, engine in self.engines.items():
            engine.load_state_dict(state[name])


def _shares(parts: Sequence[dict[str, tuple[float, float]]]) -> dict[str, float]:
    """Which share of |advantage| corrupted turns have, over all ranks."""
    out = {}
    for name in parts[0]:
        corrupted, whole = (sum(part[name][i] for part in parts) for i in (0, 1))
        out[f"corrupted/{name}"] = corrupted / whole if whole else 0.0
    return out


__all__ = ["SessionGRPO"]
