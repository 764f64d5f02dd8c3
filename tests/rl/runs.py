"""A whole GRPO run small enough for a test, and a way to be killed in the middle of it.

`python -m tests.rl.runs <model folder> <out folder>` plays every kill point of KILLS in forked children (SIGKILL, then the
same run again until it ends) and prints one JSON object: point -> [checksum of the weights, metrics rows, sample rows].
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

from agents.backends.base import ModelRequest
from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from benchmarks.base import EditSample
from common.jsonl import read_jsonl
from rl import checkpoint
from rl.config import GRPOConfig, LossConfig
from rl.engine.base import Engine
from rl.engine.torch import TorchEngine
from rl.grpo import GRPOState, train_grpo
from rl.policies.text import TextBatch, TextPolicy
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
) -> GRPOState:
    """`train_grpo` on the samples and the reward of this file."""
    encode = getattr(backend, "vlm", None) or backend.backend.vlm
    sampler = TextSampler(
        backend, encode.encode, samples, to_request, reward, config.prompts_per_step, config.group_size, MAX_NEW_TOKENS,
        config.temperature, seed,
    )  # fmt: skip
    return train_grpo(config, engine, sampler, out, **kw)


def run(
    model: Path, out: Path, config: GRPOConfig = CONFIG, reward: Callable[..., Any] = letters, **kw: Any
) -> GRPOState:
    vlm = load_vlm(model)
    engine = TorchEngine(TextPolicy(vlm, config.temperature), config, config.schedule())
    backend = HFBackend(load_vlm(model) if config.max_offpolicy_steps else vlm)
    backend = kw.pop("wrap", lambda b: b)(backend)
    return train(config, engine, backend, out, reward, **kw)


def outcome(state: GRPOState, out: Path) -> list[Any]:
    """What two equal runs must share: weights and every logged number that is no time or memory."""
    metrics = [
        {k: v for k, v in r.items() if not k.startswith(("time/", "memory/", "tokens_per_s"))}
        for r in read_jsonl(out / "metrics.jsonl")
    ]
    return [state.checksum, metrics, read_jsonl(out / "samples.jsonl")]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _at_call(f: Callable[..., Any], n: int) -> Callable[..., Any]:
    """f, but the n-th call (from 1) kills the process instead."""
    calls = [0]

    def g(*a: Any, **k: Any) -> Any:
        calls[0] += 1
        if calls[0] == n:
            die()
        return f(*a, **k)

    return g


def _in_checkpoint(method: str, n: int) -> dict[str, Any]:
    setattr(checkpoint._Hashing, method, _at_call(getattr(checkpoint._Hashing, method), n))
    return {}


def _between_rename(n: int) -> dict[str, Any]:
    checkpoint.os.replace = _at_call(os.replace, n)
    return {}


KILLS: dict[str, Callable[[], dict[str, Any]]] = {
    "before the first checkpoint": lambda: {"samples": _at_call(sample, 5)},
    "in a reward": lambda: {"reward": _at_call(letters, 4)},
    "after the row, before the checkpoint": lambda: {"log": _at_call(lambda m: None, 4)},
    "while the second checkpoint is written": lambda: _in_checkpoint("write", 300),
    "before the second checkpoint gets its name": lambda: _between_rename(2),
}


def _fork(work: Callable[[], None]) -> int:
    """Run in a child; its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(model: Path, out: Path) -> dict[str, list[Any]]:
    torch.set_num_threads(1)  # forking is safe only before any thread pool exists
    results = {}
    for name, arm in KILLS.items():
        folder = out / name.replace(" ", "_").replace(",", "")
        if (code := _fork(lambda f=folder, a=arm: run(model, f, **a()))) != -signal.SIGKILL:
            raise SystemExit(f"{name}: the run was to be killed and ended with {code}")

        def finish(f: Path = folder) -> None:
            f.joinpath("outcome.json").write_text(json.dumps(outcome(run(model, f), f)))

        if code := _fork(finish):
            raise SystemExit(f"{name}: the resumed run ended with {code}")
        results[name] = json.loads(folder.joinpath("outcome.json").read_text())
    return results


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]))))

__all__ = ["CONFIG", "KILLS", "Scored", "letters", "outcome", "replace", "run", "sample", "to_request"]
