"""The part `parity`: what vLLM says of the tokens that it samples against the trainer, adapters merged and alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from agents.backends.base import ModelRequest, Sampling
from agents.backends.lora import AdapterShape, is_adapter
from agents.backends.vllm import VLLMBackend
from agents.backends.vllm_shared import owned_engines
from agents.backends.vlm import load_vlm
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import RunFailed
from common.places import assets_folder
from experiments.benches.gpu.setting import device
from rl.config import OptimizerConfig
from rl.engine.torch import TorchEngine
from rl.policies.lora import Lora
from rl.policies.text import TextBatch, TextPolicy
from rl.weight_sync import Weights, weights_for

BOUND = {"float32": 1e-3, "bfloat16": 0.2}  # nats, docs/gpu.md
PROMPTS, ANSWERS, TOKENS = 8, 4, 64
LORA = Lora(rank=8, alpha=16)


def parity() -> dict[str, Any]:
    """The largest difference for each type and kind of sync. Raises RunFailed where one is beyond its bound."""
    found: dict[str, Any] = {}
    for dtype in BOUND:
        found |= {f"{dtype}, {how}": values for how, values in _differences(dtype).items()}
    if beyond := [name for name, row in found.items() if not row["largest difference"] <= row["bound"]]:
        raise RunFailed("; ".join(f"{name}: {found[name]['largest difference']:.3g} nats apart" for name in beyond))
    return found


def _differences(dtype: str) -> dict[str, dict[str, float]]:
    checkpoint = Path(assets_folder()) / "tiny" / "decomposer"
    policy = TextPolicy(load_vlm(checkpoint, dtype, device()), lora=LORA, frozen_vision=True)
    _move(policy)
    engine = TorchEngine(policy, OptimizerConfig())
    samples = [SandboxBenchmark("train", 3).sample(i) for i in range(PROMPTS)]
    asked = [ModelRequest(s.request, () if s.image is None else (s.image,)) for s in samples]
    with owned_engines(adapters=AdapterShape(LORA.rank, LORA.alpha)):
        backend = VLLMBackend(load_vlm(checkpoint, dtype, device()), max_sequences=32, max_tokens=1024)
        ways: dict[str, Weights] = {"adapters merged": engine.named_parameters}
        if weights_for(backend, engine) == engine.trained_parameters:
            ways["adapters alone"] = engine.trained_parameters
        found = {}
        for how, weights in ways.items():
            if how == "adapters alone":
                backend.sync(load_vlm(checkpoint, dtype, device()).model.named_parameters())
            backend.sync(weights())
            found[how] = _apart(policy, asked, backend) | {"bound": BOUND[dtype]}
    return found


def _apart(policy: TextPolicy, asked: list[ModelRequest], backend: VLLMBackend) -> dict[str, float]:
    flat = [a for row in backend.generate(asked, ANSWERS, Sampling(TOKENS, seed=1)) for a in row]
    with torch.no_grad():
        out = policy(TextBatch([p for p in policy.encode(asked) for _ in range(ANSWERS)], [a.token_ids for a in flat]))
    told = torch.tensor([x for a in flat for x in a.logprobs], device=out.logp_BT.device)
    apart = (out.logp_BT[out.mask_BT] - told).abs()
    return {"largest difference": float(apart.max()), "mean": float(apart.mean())}


def _move(policy: TextPolicy) -> None:
    """Adapters begin at zero and would then say nothing."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in policy.model.named_parameters():
            if is_adapter(name):
                p.add_((torch.randn(p.shape, generator=generator) * 0.02).to(p))


__all__ = ["BOUND", "parity"]
