"""Tokens per second of every way of decoding at Qwen2.5-VL-3B's sizes, and whether they draw the same."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from agents.backends.base import Backend, Completion, ModelRequest, Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, load_vlm
from benchmarks.sandbox.generate import SandboxBenchmark
from common.errors import RunFailed
from experiments.benches.rl.gpu import ANSWER, GROUP, PROMPT, PROMPTS, SIDE, long_request
from experiments.benches.rl.models import published_3b
from experiments.benches.rl.work import endless

ALIKE = 0.9  # of the answers at least: a draw that falls on the border of two tokens goes either way by rounding


@dataclass(frozen=True)
class DecodeShape:
    side: int
    prompt: int
    answer: int
    by_python: int  # tokens of an answer where Python runs every step: as many as tell its speed
    prompts: int = PROMPTS
    group: int = GROUP


AT_3B = DecodeShape(SIDE, PROMPT, ANSWER, by_python=40)
AT_TINY = DecodeShape(64, 100, 8, by_python=8)


def same_draws(folder: Path, device: str) -> dict[str, Any]:
    """The tiny decomposer in float32, both loops. Raises RunFailed where they draw other tokens than rounding explains."""
    vlm, sampling = load_vlm(folder, device=device), Sampling(24, seed=3)
    requests = tiny_requests(AT_TINY)
    one, other = (HFBackend(vlm, graphs=graphs).generate(requests, GROUP, sampling) for graphs in (False, True))
    share, difference = compared(one, other)
    if share < ALIKE or difference > 0.01:
        raise RunFailed(
            f"rollouts=hf draws other tokens with CUDA graphs than without: {share:.1%} of the answers are equal, and before "
            f"the first other token log-probabilities differ by up to {difference:.2g}"
        )
    return {"answers equal": share, "largest difference of log-probabilities": difference}


def tiny_requests(shape: DecodeShape) -> list[ModelRequest]:
    bench = SandboxBenchmark("train", 5, size=shape.side)
    samples = [bench.sample(i) for i in range(shape.prompts)]
    return [ModelRequest(s.request, () if s.image is None else (s.image,)) for s in samples]


def compared(one: Sequence[Sequence[Completion]], other: Sequence[Sequence[Completion]]) -> tuple[float, float]:
    """(share of equal answers, largest difference of a log-probability before the first token that differs)"""
    pairs = [(a, b) for row, others in zip(one, other, strict=True) for a, b in zip(row, others, strict=True)]
    equal, largest = 0, 0.0
    for a, b in pairs:
        equal += a.token_ids == b.token_ids
        for s, t, p, q in zip(a.token_ids, b.token_ids, a.logprobs, b.logprobs, strict=False):
            if s != t:
                break
            largest = max(largest, abs(p - q))
    return equal / max(1, len(pairs)), largest


def speeds(
    checkpoint: Path,
    shape: DecodeShape,
    device: str,
    build: Callable[[Path, int, torch.dtype, str], VLM] = published_3b,
    with_vllm: bool = True,
) -> dict[str, Any]:
    """Answer tokens per second, prompts included, of a model in bfloat16 that never ends an answer by itself."""
    vlm = endless(build(checkpoint, shape.side, torch.bfloat16, device))
    bench = SandboxBenchmark("train", 5, size=shape.side)
    requests = [long_request(vlm, bench.sample(i), shape.prompt) for i in range(shape.prompts)]
    found: dict[str, Any] = {}
    with_graphs = "hf, graphs" if device == "cuda" else "hf, static buffers"
    for name, graphs, answer in ((with_graphs, True, shape.answer), ("hf, shared rows", False, shape.by_python)):
        found[name] = tokens_per_s(HFBackend(vlm, shape.prompts * shape.group, graphs), requests, shape, answer)
    if not with_vllm or importlib.util.find_spec("vllm") is None:
        return found | {"vllm": "not installed" if with_vllm else "left out"}
    from agents.backends.vllm import VLLMBackend
    from agents.backends.vllm_shared import owned_engines

    with tempfile.TemporaryDirectory() as scratch, owned_engines():
        vlm.model.config.architectures = [vlm.family.model_class]
        for part in (vlm.model.config, vlm.tokenizer, vlm.image_processor):  # the weights come by a sync
            part.save_pretrained(scratch)
        asked = endless(replace(vlm, path=Path(scratch)))
        tokens = shape.prompt + shape.answer + 128
        cuda = device == "cuda"
        engine = VLLMBackend(
            asked, shape.prompts * shape.group, max_tokens=tokens, cache_gib=4 if cuda else 0.25, graphs=cuda
        )
        found["vllm"] = tokens_per_s(engine, requests, shape, shape.answer)
    return found


def tokens_per_s(backend: Backend, requests: Sequence[ModelRequest], shape: DecodeShape, answer: int) -> float:
    """Of the second call, the first compiles or captures; answers come back to the host, so that nothing is left to do."""
    for seed in (0, 1):
        start = time.perf_counter()
        backend.generate(requests, shape.group, Sampling(answer, seed=seed))
    return shape.prompts * shape.group * answer / (time.perf_counter() - start)


__all__ = ["AT_3B", "AT_TINY", "DecodeShape", "compared", "same_draws", "speeds"]
