"""What Flow-GRPO and DiffusionNFT have in common: a step draws edits, credits them, watches the pictures and updates the policy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from agents.backends.base import fingerprint
from common.errors import BadInput
from rl.clock import Clock
from rl.engine.base import Engine
from rl.flow_config import FlowTrainingConfig
from rl.flow_credit import Credit, CreditedEdit
from rl.flow_rollouts import FlowSampler, describe_edits, flow_rows
from rl.loop import StepResult
from rl.moving_average import MovingAverage
from rl.policies.base import FrozenPolicy
from rl.policies.flow import FlowBatch
from rl.rollouts import Collector
from rl.watch import Watch

C = TypeVar("C", bound=FlowTrainingConfig)


class FlowAlgorithm(ABC, Generic[C]):
    """`Algorithm`. The engine must hold the start weights. Everything random is a function of (seed, step), so that a run that was
    killed and resumed ends like one that was not.

    `actor`: the copy that edits are sampled from where that is not the trained model itself, such as the whole weights beside
    an engine that shards them; it takes the trained weights over at every step.
    """

    def __init__(
        self,
        config: C,
        engine: Engine[FlowBatch],
        sampler: FlowSampler,
        watch: Watch | None = None,
        actor: FrozenPolicy[FlowBatch] | None = None,
    ) -> None:
        if engine.world_size > config.prompts_per_step:
            raise BadInput(f"{engine.world_size} ranks cannot share {config.prompts_per_step} prompts per step")
        self.config, self.engine, self.sampler, self.actor = config, engine, sampler, actor
        self.watch = watch or Watch(config.watch)
        self.credit = Credit(config)
        self.origin = fingerprint(engine.named_parameters()).checksum
        self.average = MovingAverage(engine.trained_parameters(), config.ema.decay) if config.ema.decay else None
        self.collector = Collector(sampler, config.prompts_per_step, 1, engine.rank, engine.world_size)

    def identity(self) -> dict[str, Any]:
        """What another training in the same folder would differ in."""
        return self.config.identity() | {"seed": self.sampler.seed, "start weights": self.origin}

    def step(self, k: int, clock: Clock) -> StepResult:
        engine = self.engine
        if self.actor is not None:
            with clock("sync"):
                self.follow(k)
        groups, _ = self.collector.collect(k, clock)
        clock.safe_point()
        items = self.credit(groups, engine)
        advantages = {id(item.rollout): item.advantage for item in items}
        own = [row for group in groups for row in flow_rows(group, lambda r: advantages[id(r)], k + 1)]
        trained = [item for item in items if self.has_gradient(item)]
        gathered = engine.all_gather((own, [not g.differs for g in groups], len(trained)))
        rows = sorted((row for part in gathered for row in part[0]), key=lambda row: (row["j"], row["g"]))
        metrics = describe_edits(rows, [flag for part in gathered for flag in part[1]])
        with clock("reward"):
            metrics |= self.watch.observe(k, groups, engine)
        metrics |= self.drift(k, items, clock)
        metrics["update/edits"] = float(sum(part[2] for part in gathered))
        metrics |= self.update(k, items, trained, clock) if metrics["update/edits"] else {"update/skipped": 1.0}
        if self.average is not None and (k + 1) % self.config.ema.every == 0:
            self.average.update(engine.trained_parameters())
        metrics |= clock.read(len(rows), what="images")
        return StepResult(metrics, rows, usable=any(row["reward"] is not None for row in rows))

    def follow(self, k: int) -> None:
        """Bring the actor to where it samples step k from."""
        assert self.actor is not None
        self.actor.follow(self.engine.trained_parameters())

    @abstractmethod
    def has_gradient(self, item: CreditedEdit) -> bool:
        """Whether an edit's forward is worth its time."""

    def drift(self, k: int, items: Sequence[CreditedEdit], clock: Clock) -> dict[str, float]:
        """How far the policy of step k is from its start, over all ranks; nothing where an algorithm does not log it."""
        return {}

    @abstractmethod
    def update(
        self, k: int, items: Sequence[CreditedEdit], trained: Sequence[CreditedEdit], clock: Clock
    ) -> dict[str, float]:
        """Update the policy on the trained ones of this rank's items; the metrics of all ranks."""

    def stopped(self) -> str:
        """Why the training is to end before its last step; "" while it goes on."""
        return self.watch.stopped

    def state_dict(self) -> dict[str, Any]:
        state = {"engine": self.engine.state_dict(), "watch": self.watch.state_dict()}
        state["statistics"] = self.credit.statistics.state_dict()
        return state if self.average is None else state | {"average": self.average.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.engine.load_state_dict(state["engine"])
        self.watch.load_state_dict(state["watch"])
        self.credit.statistics.load_state_dict(state["statistics"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])


__all__ = ["FlowAlgorithm"]
