"""Algorithms for flow editors, put together from what a job gives them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor

from editors.flow import FlowModel
from rl.engine.base import Engine
from rl.flow_algorithm import FlowAlgorithm
from rl.flow_config import FlowGRPOConfig, FlowTrainingConfig, NFTConfig
from rl.flow_edits import EditDrawer
from rl.flow_grpo import FlowGRPO
from rl.flow_rollouts import FlowSampler
from rl.loop import Log, LoopState, Progress, run_loop
from rl.nft import NFT
from rl.policies.flow import FlowBatch, FlowPolicy, StepNoise
from rl.policies.lora import Lora
from rl.policies.velocity import VelocityPolicy
from rl.watch import Watch
from rl.window import noisy_steps

if TYPE_CHECKING:
    from benchmarks.base import EditSample
    from rl.parts import FlowTools

C = TypeVar("C", bound=FlowTrainingConfig)


class _Training(ABC, Generic[C]):
    """A flow editor under training with the samples and the reward of a job."""

    policy_class: type[FlowPolicy] = FlowPolicy

    def __init__(self, config: C, tools: FlowTools) -> None:
        loaded: list[FlowPolicy] = []  # the one under training is the first

        def policy() -> FlowPolicy:
            lora = Lora(config.lora.rank, config.lora.alpha) if config.lora.rank else None
            loaded.append(self.policy_class(tools.load(), self.noise(config), config.gradient_checkpointing, lora))
            return loaded[-1]

        self.config, self.tools = config, tools
        self.engine = tools.engine(policy, config, config.schedule())
        self.policy = loaded[0]
        self._flow: FlowModel | None = None
        self.algorithm = self.make(Watch(config.watch, tools.watch))

    def noise(self, config: C) -> StepNoise:
        """Of the policy's noisy steps; the window is the algorithm's."""
        return StepNoise()

    @abstractmethod
    def make(self, watch: Watch) -> FlowAlgorithm[Any]:
        """The algorithm on this engine."""

    def sampler(self, policy: FlowPolicy, noisy: Callable[[int], range]) -> FlowSampler:
        config, tools = self.config, self.tools

        def samples(step: int, j: int) -> EditSample:
            return tools.sample(step * config.prompts_per_step + j)

        drawer = EditDrawer(
            policy=policy,
            steps=config.sampling_steps,
            batch_size=config.rollout_batch_size,
            products=self.engine.products,
        )
        return FlowSampler(
            drawer=drawer,
            samples=samples,
            instruction=tools.instruction,
            reward=tools.reward,
            noisy=noisy,
            group_size=config.group_size,
            seed=tools.seed,
            same_noise=config.same_noise,
        )

    def run(self, folder: Path, log: Log | None = None, progress: Progress | None = None) -> LoopState:
        """Raises what `run_loop` raises. A training that the watch has ended is not taken up again."""
        config, algorithm = self.config, self.algorithm
        state = run_loop(
            algorithm, name="", steps=config.steps, identity=algorithm.identity(), folder=folder, ranks=self.engine,
            checkpoint_every=config.checkpoint_every, keep_checkpoints=config.keep_checkpoints,
            max_missing_steps=config.max_missing_steps, log=log, progress=progress, stopped=algorithm.stopped,
        )  # fmt: skip
        self._flow = self._finished()
        return state

    @property
    def flow(self) -> FlowModel:
        return self.policy.flow if self._flow is None else self._flow

    def _finished(self) -> FlowModel:
        """A model of its own where the trained one has adapters, is sharded, or is not what is kept."""
        average = self.algorithm.average
        if average is None and not self.config.lora.rank and not self.tools.sharded:
            return self.policy.flow
        return whole_flow(self.tools.load, self.engine, None if average is None else average.values)


@torch.no_grad()
def whole_flow(
    load: Callable[[], FlowModel], engine: Engine[FlowBatch], instead: Mapping[str, Tensor] | None = None
) -> FlowModel:
    """A model with the engine's weights, adapters merged; `instead` has other values for some of the trained ones."""
    flow = load()
    parameters = dict(flow.transformer.named_parameters())
    for name, value in engine.named_parameters(instead):
        parameters[name].copy_(value)
    return flow


class FlowGRPOTraining(_Training[FlowGRPOConfig]):
    """Edits are sampled from the trained model itself, or from a whole copy where the engine shards its weights."""

    def noise(self, config: FlowGRPOConfig) -> StepNoise:
        return StepNoise(config.noise_level, config.noise_kind)  # type: ignore[arg-type]

    def make(self, watch: Watch) -> FlowAlgorithm[Any]:
        actor = self.engine.frozen_copy() if self.tools.sharded else None
        policy = self.policy if actor is None else actor.policy
        noisy = partial(noisy_steps, self.config, seed=self.tools.seed)
        return FlowGRPO(self.config, self.engine, self.sampler(policy, noisy), watch, actor)


class NFTTraining(_Training[NFTConfig]):
    """Edits are sampled from the old policy, a copy that shares what is not trained."""

    policy_class = VelocityPolicy

    def make(self, watch: Watch) -> FlowAlgorithm[Any]:
        old = self.engine.frozen_copy()
        return NFT(self.config, self.engine, self.sampler(old.policy, lambda step: range(0)), old, watch)


__all__ = ["FlowGRPOTraining", "NFTTraining", "whole_flow"]
