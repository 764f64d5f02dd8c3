"""What `make check-gpu` does, part by part: what each needs and how long it may take."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class CheckPart:
    """`limit_s`: it is ended after so many seconds. `cuda`: it measures a card; without one it can only be rehearsed. `packages`:
    what it cannot do without. `extra`: it is only run when it is named, or with parts=everything."""

    name: str
    about: str
    limit_s: float
    cuda: bool = True
    packages: tuple[str, ...] = ()
    extra: bool = False

    def missing(self, cuda: bool) -> str:
        """Why it cannot run here; empty where it can. `cuda`: there is a card, or a rehearsal was asked for."""
        if self.cuda and not cuda:
            return "needs CUDA (device=cpu rehearses it with small shapes)"
        lacks = [name for name in self.packages if importlib.util.find_spec(name) is None]
        return f"needs {' and '.join(lacks)}" if lacks else ""


PARTS = (  # together at most eight minutes, but for the extra ones
    CheckPart("devices", "devices, driver, versions", 15, cuda=False),
    CheckPart("tests", "the unit tests that take a device", 45, cuda=False, packages=("pytest", "hypothesis")),
    CheckPart("job_hf", "three GRPO steps and all arms, rollouts=hf", 45, cuda=False),
    CheckPart("job_vllm", "the same with rollouts=vllm rollouts.sleep=true", 65, packages=("vllm",)),
    CheckPart("job_zero3", "the same with ZeRO-3 under torchrun and vLLM", 70, packages=("vllm", "deepspeed")),
    CheckPart(
        "parity", "log-probabilities of vLLM against the trainer's, float32 and bfloat16", 50, packages=("vllm",)
    ),
    CheckPart("attention", "tree attention of Qwen2.5-VL-3B's sizes in all its forms", 30),
    CheckPart(
        "decode", "tokens per second by hf with and without CUDA graphs and by vLLM, and same draws", 70, cuda=False
    ),
    CheckPart("step_3b", "a GRPO step of Qwen2.5-VL-3B's sizes by phases, beside the physical limit", 50),
    CheckPart("denoiser_kontext", "one forward of FLUX Kontext's denoiser at its published size", 20),
    CheckPart("denoiser_qwen", "one forward of Qwen-Image's denoiser at its published size", 20),
    CheckPart("editors_kontext", "FLUX Kontext at its published size against diffusers' loop", 130, extra=True),
    CheckPart("editors_qwen", "Qwen-Image-Edit at its published size against diffusers' loop", 160, extra=True),
    CheckPart("approximate_kontext", "quantised and cached FLUX Kontext, four blocks of each kind", 60, extra=True),
    CheckPart("approximate_qwen", "quantised and cached Qwen-Image-Edit, four blocks", 60, extra=True),
)

__all__ = ["PARTS", "CheckPart"]
