"""A whole GRPO run small enough for a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from agents.backends.base import ModelRequest, fingerprint
from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from benchmarks.base import EditSample
from common.jsonl import read_jsonl
from rl.config import GRPOConfig, LossConfig
from rl.engine.base import Engine
from rl.engine.torch import TorchEngine
from rl.grpo import train_grpo
from rl.policies.text import TextBatch, TextPolicy
from rl.prompts import Prompts
from rl.text_rollouts import TextSampler

CONFIG = GRPOConfig(
    steps=6, prompts_per_step=3, group_size=4, micro_batch_size=5, lr=3e-3, warmup_steps=2, weight_decay=0.01,
    checkpoint_every=2, kl_coef=0.05, dual_clip=3.0,
)  # fmt: skip
SEED, MAX_NEW_TOKENS = 7, 8
VARIANTS = ("grpo", "dr_grpo", "dapo", "gspo", "cispo")


def settings_of(variant: str) -> dict[str, Any]:
    """What conf/algo/<variant>.yaml changes of the defaults."""
    path = Path(__file__).parents[2] / "conf" / "algo" / f"{variant}.yaml"
    known = {f.name for f in fields(GRPOConfig)}
    return {k: v for k, v in yaml.safe_load(path.read_text()).items() if k in known}


def loss_of(variant: str, **changes: Any) -> LossConfig:
    known = {f.name for f in fields(LossConfig)}
    return LossConfig(**{k: v for k, v in settings_of(variant).items() if k in known} | changes)


@dataclass(frozen=True)
class Ended:
    """Where a run ended: completed steps, the last step's metrics, checksum of the weights."""

    step: int
    metrics: dict[str, float]
    checksum: str


@dataclass
class Scored:
    total: float | None
    components: dict[str, float | None] = field(default_factory=dict)


def sample(step: int, j: int) -> EditSample:
    picture = Image.new("RGB", (32, 32), (step * 37 % 256, j * 53 % 256, 100)) if j % 3 else None
    return EditSample(f"{step}-{j}", "write letters " + "x" * (j % 4), (), picture=picture)


def to_request(s: EditSample) -> ModelRequest:
    return ModelRequest(s.request, () if s.image is None else (s.image,))


def letters(samples: list[EditSample], texts: list[str], seeds: list[int]) -> list[Scored]:
    """Share of lower-case letters: what a policy over bytes learns in a few steps."""
    shares = [sum(c.isascii() and c.islower() for c in t) / max(1, len(t)) for t in texts]
    return [Scored(x, {"letters": x, "length": min(1.0, len(t) / 8)}) for x, t in zip(shares, texts, strict=True)]


def train(
    config: GRPOConfig,
    engine: Engine[TextBatch],
    backend: HFBackend,
    out: Path,
    reward: Callable[..., Any] = letters,
    samples: Callable[..., Any] = sample,
    seed: int = SEED,
    **kw: Any,
) -> Ended:
    """`train_grpo` on the samples and the reward of this file."""
    encode = getattr(backend, "vlm", None) or backend.backend.vlm
    prompts = None
    if config.pool.size:
        prompts = Prompts(config.pool, config.prompts_per_step, config.prompts_per_step, seed)
        stream, samples = samples, lambda step, j: stream(0, prompts.index(step, j))
    sampler = TextSampler(
        backend=backend, encode=encode.encode, samples=samples, to_request=to_request, reward=reward,
        units_per_step=config.prompts_per_step, group_size=config.group_size, max_new_tokens=MAX_NEW_TOKENS,
        temperature=config.temperature, seed=seed, prompts=prompts,
    )  # fmt: skip
    state = train_grpo(config, engine, sampler, out, **kw)
    return Ended(state.step, state.metrics, fingerprint(engine.named_parameters()).checksum)


def run(model: Path, out: Path, config: GRPOConfig = CONFIG, reward: Callable[..., Any] = letters, **kw: Any) -> Ended:
    vlm = load_vlm(model)
    engine = TorchEngine(TextPolicy(vlm, config.temperature), config, config.schedule())
    backend = HFBackend(load_vlm(model) if config.max_offpolicy_steps else vlm)
    backend = kw.pop("wrap", lambda b: b)(backend)
    return train(config, engine, backend, out, reward, **kw)


def outcome(state: Ended, out: Path) -> list[Any]:
    """What two equal runs must share: weights and every logged number that is no time or memory."""
    metrics = [
        {k: v for k, v in r.items() if not k.startswith(("time/", "memory/", "perf/", "tokens_per_s"))}
        for r in read_jsonl(out / "metrics.jsonl")
    ]
    return [state.checksum, metrics, read_jsonl(out / "samples.jsonl")]


__all__ = [
    "CONFIG",
    "Scored",
    "letters",
    "loss_of",
    "outcome",
    "replace",
    "run",
    "sample",
    "settings_of",
    "to_request",
    "train",
]
