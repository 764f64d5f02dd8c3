"""Session RL, put together from what a job gives it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM
from benchmarks.base import EditSession
from editors.flow import FlowModel
from rl.engine.base import Engine
from rl.flow_edits import EditDrawer
from rl.flow_training import whole_flow
from rl.loop import Log, LoopState, OneProcess, Progress, Ranks, run_loop
from rl.policies.flow import FlowBatch, FlowPolicy, StepNoise
from rl.policies.lora import Lora
from rl.policies.text import TextBatch, TextPolicy
from rl.session_config import SessionRLConfig
from rl.session_grpo import SessionGRPO
from rl.session_rollouts import IntentSampler, SessionSampler
from rl.window import noisy_steps

if TYPE_CHECKING:
    from rl.parts import SessionTools


class SessionTraining:
    """A writer and an editor; `vlm` and `flow` have the trained weights after `run`. A side with weight 0 keeps its start weights,
    and an editor that is not trained makes its edits without noise."""

    def __init__(self, config: SessionRLConfig, tools: SessionTools) -> None:
        self.config, self.tools = config, tools
        self.text: Engine[TextBatch] | None = None
        self.flow_engine: Engine[FlowBatch] | None = None
        self.vlm = self._writer()
        self.policy = self._editor()
        self._flow: FlowModel | None = None
        actor = self.flow_engine.frozen_copy() if self.flow_engine is not None and tools.sharded else None
        ranks: Ranks = self.text or self.flow_engine or OneProcess()
        drawer = EditDrawer(
            policy=self.policy if actor is None else actor.policy,  # type: ignore[arg-type]
            steps=config.flow.sampling_steps,
            batch_size=config.flow.rollout_batch_size,
            **({"products": self.flow_engine.products} if self.flow_engine is not None else {}),
        )
        writer = IntentSampler(
            backend=tools.backend(self.vlm),
            encode=self.vlm.encode,
            to_request=tools.to_request,
            max_new_tokens=tools.max_new_tokens,
            temperature=config.text.temperature,
        )
        sampler = SessionSampler(
            writer=writer,
            drawer=drawer,
            sessions=self._session,
            reward=tools.reward,
            noisy=self._noisy(),
            units_per_step=config.sessions_per_step,
            group_size=config.group_size,
            seed=tools.seed,
            same_noise=config.flow.same_noise,
        )
        self.algorithm = SessionGRPO(config, ranks, sampler, self.text, self.flow_engine, actor)
        self.ranks = ranks

    def _writer(self) -> VLM:
        """The model that writes intents; the engine's own where it is whole."""
        config, tools = self.config.text, self.tools
        if not config.weight:
            return tools.load_writer()
        loaded: list[VLM] = []

        def policy() -> TextPolicy:
            loaded.append(tools.load_writer())
            return TextPolicy.of(loaded[-1], config, entropy_gradient=config.entropy_coef > 0)

        self.text = tools.text_engine(policy, config, self.config.schedule(config))
        return tools.load_writer() if tools.sharded or config.lora.rank else loaded[0]

    def _editor(self) -> FlowPolicy:
        config, tools = self.config.flow, self.tools
        noise = StepNoise(config.noise_level, config.noise_kind)  # type: ignore[arg-type]
        if not config.weight:
            return FlowPolicy(tools.load_editor(), noise)
        loaded: list[FlowPolicy] = []

        def policy() -> FlowPolicy:
            lora = Lora(config.lora.rank, config.lora.alpha) if config.lora.rank else None
            loaded.append(FlowPolicy(tools.load_editor(), noise, config.gradient_checkpointing, lora))
            return loaded[-1]

        self.flow_engine = tools.flow_engine(policy, config, self.config.schedule(config))
        return loaded[0]

    def _noisy(self) -> Callable[[int], range]:
        if not self.config.flow.weight:
            return lambda step: range(0)
        return partial(noisy_steps, self.config.flow, seed=self.tools.seed)

    def _session(self, step: int, j: int) -> EditSession:
        return self.tools.session(step * self.config.sessions_per_step + j)

    def run(self, folder: Path, log: Log | None = None, progress: Progress | None = None) -> LoopState:
        """Raises what `run_loop` raises."""
        config, algorithm = self.config, self.algorithm
        state = run_loop(
            algorithm, name="", steps=config.steps, identity=algorithm.identity(), folder=folder, ranks=self.ranks,
            checkpoint_every=config.checkpoint_every, keep_checkpoints=config.keep_checkpoints,
            max_missing_steps=config.max_missing_steps, log=log, progress=progress,
        )  # fmt: skip
        if self.text is not None:  # rollouts need not have brought the final weights there
            HFBackend(self.vlm).sync(self.text.named_parameters())
        if self.flow_engine is not None:
            apart = bool(config.flow.lora.rank) or self.tools.sharded
            self._flow = whole_flow(self.tools.load_editor, self.flow_engine) if apart else self.policy.flow
        return state

    @property
    def flow(self) -> FlowModel:
        return self.policy.flow if self._flow is None else self._flow


__all__ = ["SessionTraining"]
