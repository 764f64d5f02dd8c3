"""What `make check-gpu` does, part by part: what each needs and how long it may take."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class CheckPart:
    """`limit_s`: it is ended after so many seconds. `packages`: what it cannot do without."""

    name: str
    about: str
    limit_s: float
    cuda: bool = True
    packages: tuple[str, ...] = ()

    def missing(self, cuda: bool) -> str:
        """Why it cannot run here; empty where it can."""
        if self.cuda and not cuda:
            return "needs CUDA"
        lacks = [name for name in self.packages if importlib.util.find_spec(name) is None]
        return f"needs {' and '.join(lacks)}" if lacks else ""


MINUTES = 15  # all parts together, at most
PARTS = (
    CheckPart("devices", "devices, driver, versions", 30, cuda=False),
    CheckPart("tests", "the unit tests that take a device", 60, cuda=False, packages=("pytest", "hypothesis")),
    CheckPart("job_hf", "three GRPO steps and all arms, rollouts=hf", 60, cuda=False),
    CheckPart("job_vllm", "the same with rollouts=vllm rollouts.sleep=true", 80, packages=("vllm",)),
    CheckPart("job_zero3", "the same with ZeRO-3 under torchrun and vLLM", 80, packages=("vllm", "deepspeed")),
    CheckPart(
        "parity", "log-probabilities of vLLM against the trainer's, float32 and bfloat16", 60, packages=("vllm",)
    ),
    CheckPart("step_3b", "a GRPO step of Qwen2.5-VL-3B's sizes by phases, beside the physical limit", 60),
    CheckPart("denoiser_kontext", "one forward of FLUX Kontext's denoiser at its published size", 25),
    CheckPart("denoiser_qwen", "one forward of Qwen-Image's denoiser at its published size", 25),
    CheckPart("editors_kontext", "FLUX Kontext at its published size against diffusers' loop", 130),
    CheckPart("editors_qwen", "Qwen-Image-Edit at its published size against diffusers' loop", 160),
    CheckPart("approximate_kontext", "quantised and cached FLUX Kontext, four blocks of each kind", 60),
    CheckPart("approximate_qwen", "quantised and cached Qwen-Image-Edit, four blocks", 60),
)

__all__ = ["MINUTES", "PARTS", "CheckPart"]
