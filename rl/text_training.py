"""Algorithms for language models, put together from what a job gives them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM
from common.errors import BadInput
from rl.anchors import tokenized
from rl.config import GRPOConfig
from rl.grpo import train_grpo
from rl.loop import Log, LoopState, Progress
from rl.loop_rollouts import LoopSampler
from rl.policies.text import TextPolicy
from rl.prompts import Prompts
from rl.text_rollouts import AnswerSampler, TextSampler
from rl.thoughts import ThoughtTokens

if TYPE_CHECKING:
    from benchmarks.base import EditSample
    from rl.parts import PairTools, TextTools


class TextTrainer:
    """What is trained, by which engine, and what draws its rollouts; the examples of a supervised term."""

    def __init__(self, config: GRPOConfig, tools: TextTools | PairTools) -> None:
        loaded: list[VLM] = []  # the model under training is the first one

        def policy() -> TextPolicy:
            loaded.append(tools.load())
            return TextPolicy.of(loaded[-1], config, entropy_gradient=config.entropy_coef > 0)

        self.config = config
        self.engine = tools.engine(policy, config, config.schedule())
        own = tools.sharded or config.lora.rank > 0 or config.max_offpolicy_steps > 0  # whole, merged or older weights
        self.vlm = tools.load() if own else loaded[0]
        examples = tools.anchors
        self.anchors = (
            None if examples is None else lambda step: tokenized(self.vlm, examples(step, config.anchor.examples))
        )

    def finish(self) -> None:
        """`vlm` holds what was trained, merged and whole. Rollouts need not have brought it there: vLLM has weights of its own.
        Every rank must call."""
        HFBackend(self.vlm).sync(self.engine.named_parameters())


class GRPOTraining(TextTrainer):
    """GRPO with the models, samples and reward of a job."""

    def __init__(self, config: GRPOConfig, tools: TextTools) -> None:
        super().__init__(config, tools)
        draws = config.prompts_per_step * config.max_tries  # samples that a step may need
        self.sampler = self._sampler(config, tools, Prompts(config.pool, config.prompts_per_step, draws, tools.seed))

    def _sampler(self, config: GRPOConfig, tools: TextTools, prompts: Prompts) -> AnswerSampler:
        def samples(step: int, j: int) -> EditSample:
            return tools.sample(prompts.index(step, j))

        shared: dict[str, Any] = {
            "backend": tools.backend(self.vlm),
            "encode": self.vlm.encode,
            "samples": samples,
            "units_per_step": config.prompts_per_step,
            "group_size": config.group_size,
            "max_new_tokens": tools.max_new_tokens,
            "temperature": config.temperature,
            "seed": tools.seed,
            "prompts": prompts,
        }
        if tools.loop is not None:
            if config.pool.group_size or config.pool.component:
                raise BadInput(
                    "algo.pool.group_size and algo.pool.component are for answers of one step, not for execution=loop"
                )
            return LoopSampler(**shared, loop=tools.loop)
        return TextSampler(**shared, to_request=tools.to_request, reward=tools.reward)

    def run(self, folder: Path, log: Log | None = None, progress: Progress | None = None) -> LoopState:
        thought = ThoughtTokens(self.vlm.tokenizer)
        state = train_grpo(self.config, self.engine, self.sampler, folder, log, progress, self.anchors, thought)
        self.finish()
        return state


__all__ = ["GRPOTraining", "TextTrainer"]
