"""A GRPO step's phases on a GPU with Qwen2.5-VL-3B's sizes and random weights: tokens a second, model FLOPs utilisation,
memory; the training phase with a shared prefix and without."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from agents.backends.base import ModelRequest, Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, EncodedPrompt
from benchmarks.base import EditSample
from benchmarks.sandbox.generate import SandboxBenchmark
from experiments.benches.rl.flops import Rows, training_flops
from experiments.benches.rl.lockstep import in_turns, row, timed
from experiments.benches.rl.models import published_3b
from experiments.benches.rl.training import Pass, random_answers
from experiments.benches.rl.work import endless
from rl.config import OptimizerConfig
from rl.engine.torch import TorchEngine
from rl.memory import peak, reset_peak

SIDE, PROMPT, ANSWER, GROUP, PROMPTS = (
    1036,
    1400,
    200,
    8,
    4,
)  # 37 x 37 picture tokens; PROMPT by as many words as it takes
AT_ONCE = {True: 8, False: 4}  # completions in one forward: shared and unshared then need about the same memory


def matmul_peak(device: str, dtype: torch.dtype, size: int = 8192, repeats: int = 20) -> float:
    """FLOP/s of square products one after the other, the most that this device gives."""
    a = torch.randn(size, size, device=device, dtype=dtype)
    _ = a @ a
    _sync(device)
    start = time.perf_counter()
    for _ in range(repeats):
        _ = a @ a
    _sync(device)
    return 2 * size**3 * repeats / (time.perf_counter() - start)


def long_request(vlm: VLM, sample: EditSample, tokens: int) -> ModelRequest:
    """The sample's picture and request, lengthened word by word until the prompt has at least so many tokens."""
    images = () if sample.image is None else (sample.image,)
    text = sample.request
    missing = tokens - len(vlm.encode([ModelRequest(text, images)])[0])
    while missing > 0:
        text += " and then" * max(1, missing // 2)
        missing = tokens - len(vlm.encode([ModelRequest(text, images)])[0])
    return ModelRequest(text, images)


def measure_gpu(
    checkpoint: Path,
    repeats: int,
    say: Callable[[str], None] = print,
    device: str = "cuda",
    build: Callable[[Path, int, torch.dtype, str], VLM] = published_3b,
    side: int = SIDE,
    prompt_tokens: int = PROMPT,
    answer_tokens: int = ANSWER,
    peak_size: int = 8192,
    also: Callable[[VLM, Sequence[EncodedPrompt], list[list[int]]], dict[str, Any]] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the measure shared against unshared, everything else). The smaller arguments are for tests of this very code.
    `also`: more to measure at the end on the same model, prompts and answers (details["also"])."""
    dtype = torch.bfloat16
    top = matmul_peak(device, dtype, peak_size)
    vlm = endless(build(checkpoint, side, dtype, device))
    bench = SandboxBenchmark("train", 5, size=side)
    requests = [long_request(vlm, bench.sample(i), prompt_tokens) for i in range(PROMPTS)]
    prompts = vlm.encode(requests)
    answers = random_answers(vlm, PROMPTS * GROUP, answer_tokens)
    each = [p for p in prompts for _ in range(GROUP)]
    passes = {shared: Pass(vlm, shared, each, answers, AT_ONCE[shared]) for shared in (True, False)}
    backend, engine = HFBackend(vlm, PROMPTS * GROUP), TorchEngine(passes[True].policy, OptimizerConfig())
    held: dict[str, float | None] = {}

    def noting(name: str, work: Callable[[], Any]) -> Callable[[], float]:
        def run() -> None:
            reset_peak()
            work()
            _sync(device)
            held[name] = peak()

        return timed(run)

    shared, unshared = noting("train", passes[True]), noting("train, unshared", passes[False])
    for warm in (unshared, shared):
        warm()
    times = in_turns([shared, unshared], repeats)
    engine.step()  # makes the optimiser's state
    shared()
    rest = {
        "optimiser": noting("optimiser", engine.step),
        "rollout": noting("rollout", lambda: backend.generate(requests, GROUP, Sampling(answer_tokens))),
        "sync": noting("sync", lambda: backend.sync(engine.named_parameters())),
    }
    rest["rollout"]()
    phases = {"train": times[0].median} | {name: work() for name, work in rest.items()}
    drawn = PROMPTS * GROUP * answer_tokens
    text = vlm.model.config.get_text_config()
    counts = [Rows(len(p), answer_tokens, GROUP) for p in prompts]
    details: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "prompt_tokens": [r.prompt for r in counts],
        "matmul_peak_tflops": top / 1e12,
        "mfu": {
            name: sum(training_flops(text, r, kind) for r in counts) / t.median / top
            for (name, kind), t in zip((("shared", True), ("unshared", False)), times, strict=True)
        },
        "phases_s": phases,
        "memory_mib": held,
        "tokens_per_s": {name: drawn / seconds for name, seconds in phases.items()}
        | {"step": drawn / sum(phases.values())},
    }
    if also is not None:
        details["also"] = also(vlm, each, answers)
    say(
        f"  {details['device']}: measured matmul peak {top / 1e12:.1f} TFLOP/s; prompts of {details['prompt_tokens']} tokens"
    )
    say("  MFU of training: " + ", ".join(f"{k} {v:.1%}" for k, v in details["mfu"].items()))
    say("  seconds: " + ", ".join(f"{k} {v:.3f}" for k, v in phases.items()))
    say("  answer tokens/s: " + ", ".join(f"{k} {v:.0f}" for k, v in details["tokens_per_s"].items()))
    say("  most memory (MiB): " + ", ".join(f"{k} {v or 0:.0f}" for k, v in held.items()))
    return row(times[0], times[1], "answer tokens/s", drawn), details


def _sync(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


__all__ = ["long_request", "matmul_peak", "measure_gpu"]
