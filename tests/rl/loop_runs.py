"""A training of closed loops small enough for a test: random models write bytes, so the bytes of an answer decide what it does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from agents.backends.base import ModelRequest, fingerprint
from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from agents.editing import Call
from agents.loop import LoopState, Turn
from benchmarks.base import EditSample
from rl.engine.torch import TorchEngine
from rl.grpo import train_grpo
from rl.loop_rollouts import LoopSampler, LoopTools
from rl.policies.text import TextPolicy
from rl.prompts import Prompts
from tests.rl.runs import CONFIG, MAX_NEW_TOKENS, SEED, Ended, replace

MAX_CALLS = 3
LOOP_CONFIG = replace(CONFIG, prompts_per_step=2)


def sample(step: int, j: int) -> EditSample:
    return EditSample(f"{step}-{j}", "go " + "x" * (j % 3), (), picture=grey(20 + 10 * (j % 4)))


def grey(value: int) -> Image.Image:
    return Image.new("RGB", (32, 32), (value, value, value))


def to_request(s: EditSample, steps: Sequence[str]) -> ModelRequest:
    assert s.image is not None
    return ModelRequest("\n".join((*steps, s.request)), (s.image,))


def play(states: Sequence[LoopState], texts: Sequence[str], ids: Sequence[str]) -> list[LoopState]:
    """A text of lower-case letters makes the picture brighter by their number; the kind is chosen by the first byte."""
    return [after(state, text) for state, text in zip(states, texts, strict=True)]


def after(state: LoopState, text: str) -> LoopState:
    mark = sum(text.encode()) % 10
    if mark == 0:
        return state.ended(text, "stop")
    if mark == 1:
        return state.ended(text, "malformed", "no decision")
    again = mark < 4 and len(state.stack) > 1
    base = state.stack[-2] if again else state.stack[-1]
    turn = Turn(text, "again" if again else "edit", sub_requests=("more",), base=base)
    light = int(np.asarray(state.pictures[base])[0, 0, 0]) + 10 * sum(c.isascii() and c.islower() for c in text)
    return state.called(turn, Call("more", len(state.calls)), None if mark == 9 else grey(min(255, light)))


def score(samples: Sequence[EditSample], pictures: Sequence[Image.Image]) -> list[float | None]:
    return [float(np.asarray(p)[0, 0, 0]) / 255 for p in pictures]


TOOLS = LoopTools(to_request, play, score, MAX_CALLS, call_cost=0.01)


def run(model: Path, out: Path, config: Any = LOOP_CONFIG, tools: LoopTools = TOOLS, **kw: Any) -> Ended:
    return run_whole(model, out, config, tools, **kw)[0]


def run_whole(
    model: Path, out: Path, config: Any = LOOP_CONFIG, tools: LoopTools = TOOLS, **kw: Any
) -> tuple[Ended, dict[str, Tensor]]:
    """Where it ended, and the weights."""
    vlm = load_vlm(model)
    engine = TorchEngine(
        TextPolicy(vlm, config.temperature, shared_prefix=config.shared_prefix), config, config.schedule()
    )
    backend = HFBackend(load_vlm(model) if config.max_offpolicy_steps else vlm)
    draws = config.prompts_per_step * config.max_tries
    prompts = Prompts(config.pool, config.prompts_per_step, draws, SEED) if config.pool.size else None
    samples = sample if prompts is None else lambda step, j: sample(0, prompts.index(step, j))
    sampler = LoopSampler(
        backend=backend, encode=vlm.encode, samples=samples, loop=tools, units_per_step=config.prompts_per_step,
        group_size=config.group_size, max_new_tokens=MAX_NEW_TOKENS, temperature=config.temperature, seed=SEED,
        prompts=prompts,
    )  # fmt: skip
    state = train_grpo(config, engine, sampler, out, **kw)
    ended = Ended(state.step, state.metrics, fingerprint(engine.named_parameters()).checksum)
    return ended, {name: p.detach().clone() for name, p in vlm.model.named_parameters()}
