"""Supervised fine-tuning: cross-entropy on the answer's tokens. Batches are a function of the step, so a resumed run is the same
run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agents.backends.base import ModelRequest, fingerprint
from agents.backends.vlm import VLM, EncodedPrompt
from rl.clock import Clock
from rl.config import SFTConfig
from rl.engine.torch import TorchEngine
from rl.loop import Log, LoopState, Progress, StepResult, run_loop
from rl.losses import LossOutputs
from rl.microbatch import micro_batches
from rl.policies.answers import AnswerPolicy
from rl.policies.text import TextBatch
from rl.update import MicroBatch, update


@dataclass(frozen=True)
class SFTExample:
    """A prompt and the answer to learn, as text."""

    request: ModelRequest
    answer: str


@dataclass(frozen=True, eq=False)
class TokenizedExample:
    """An example in tokens, with the end token."""

    prompt: EncodedPrompt
    token_ids: Sequence[int]


Examples = Callable[[int], Sequence[SFTExample]]  # step -> its batch, a pure function


class SFT:
    """`Algorithm`: trains `vlm.model` in place."""

    def __init__(self, config: SFTConfig, vlm: VLM, examples: Examples) -> None:
        self.config, self.vlm, self.examples = config, vlm, examples
        policy = AnswerPolicy(vlm, not config.vision, config.gradient_checkpointing)
        self.engine: TorchEngine[TextBatch] = TorchEngine(policy, config, config.schedule())
        self.origin = fingerprint(vlm.model.named_parameters()).checksum

    def identity(self) -> dict[str, Any]:
        """What another training in the same folder would differ in."""
        free = ("micro_batch_size", "checkpoint_every", "keep_checkpoints", "gradient_checkpointing")
        return {k: v for k, v in asdict(self.config).items() if k not in free} | {"start weights": self.origin}

    def step(self, k: int, clock: Clock) -> StepResult:
        start = time.perf_counter()
        batch = self.examples(k)
        prompts = self.vlm.encode([e.request for e in batch])
        items = [TokenizedExample(p, answer_ids(self.vlm, e.answer)) for p, e in zip(prompts, batch, strict=True)]
        tokens = sum(len(item.token_ids) for item in items)
        info, outputs = update(
            self.engine,
            items,
            lambda part: TextBatch([i.prompt for i in part], [i.token_ids for i in part]),
            partial(micro_batches, size=self.config.micro_batch_size, shared_prefix=False),
            answer_loss,
            normaliser=float(tokens),
            idle=items[0],
            clock=clock,
        )
        return StepResult(
            clock.read(tokens)
            | {
                "sft/loss": sum(o.sums["loss"] for o in outputs) / tokens,
                "sft/token_accuracy": sum(o.sums["right"] for o in outputs) / tokens,
                "sft/grad_norm": info.grad_norm,
                "sft/lr": info.lr,
                "sft/examples_per_s": len(batch) / (time.perf_counter() - start),
            }
        )

    def state_dict(self) -> dict[str, Any]:
        return self.engine.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.engine.load_state_dict(state)


def answer_ids(vlm: VLM, answer: str) -> list[int]:
    """The answer's tokens with the end token."""
    return [*vlm.tokenizer(answer, add_special_tokens=False)["input_ids"], vlm.eos_id]


def answer_loss(items: Sequence[TokenizedExample], batch: MicroBatch[Any]) -> LossOutputs:
    """Summed cross-entropy over the whole batch's tokens; `right` counts tokens that are the most likely ones."""
    loss = -batch.now.logp_BT.sum()
    right = 0 if batch.now.greedy_BT is None else batch.now.greedy_BT.sum()
    return LossOutputs(loss / batch.normaliser, {"loss": loss.detach(), "right": right})


def train_sft(
    config: SFTConfig,
    vlm: VLM,
    examples: Examples,
    folder: str | Path,
    log: Log | None = None,
    progress: Progress | None = None,
    name: str = "sft",
) -> LoopState:
    """Train `vlm.model` in place until `config.steps`, going on from `folder/checkpoints-<name>`. Raises what `run_loop` raises."""
    algorithm = SFT(config, vlm, examples)
    vlm.model.train()
    try:
        return run_loop(
            algorithm, name=name, steps=config.steps, identity=algorithm.identity(), folder=folder,
            checkpoint_every=config.checkpoint_every, keep_checkpoints=config.keep_checkpoints, log=log, progress=progress,
        )  # fmt: skip
    finally:
        vlm.model.eval()
        if config.gradient_checkpointing:
            vlm.model.gradient_checkpointing_disable()
        vlm.model.requires_grad_(True)


__all__ = ["SFT", "SFTExample", "answer_ids", "answer_loss", "train_sft"]
