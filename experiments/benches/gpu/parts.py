"""What `make check-gpu` does, part by part: what each needs and how long it may take."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass


@dataclass(frozen=True)
class CheckPart:
    """`limit_s`: it is ended after so many seconds. `packages`: what it cannot do without. `tiny`: with size=tiny it runs on
    any machine."""

    name: str
    about: str
    limit_s: float
    cuda: bool = True
    packages: tuple[str, ...] = ()
    tiny: bool = False

    def missing(self, cuda: bool, size: str = "published") -> str:
        """Why it cannot run here; empty where it can."""
        if self.cuda and not cuda and not (self.tiny and size == "tiny"):
            return "needs CUDA"
        lacks = [name for name in self.packages if importlib.util.find_spec(name) is None]
        return f"needs {' and '.join(lacks)}" if lacks else ""


PARTS = (  # together at most eight minutes
    CheckPart("devices", "devices, driver, versions", 20, cuda=False),
    CheckPart("tests", "the unit tests that take a device", 55, cuda=False, packages=("pytest", "hypothesis")),
    CheckPart("job_hf", "three GRPO steps and all arms, rollouts=hf", 50, cuda=False),
    CheckPart("job_vllm", "the same with rollouts=vllm rollouts.sleep=true", 75, packages=("vllm",)),
    CheckPart("job_zero3", "the same with ZeRO-3 under torchrun and vLLM", 75, packages=("vllm", "deepspeed")),
    CheckPart(
        "parity", "log-probabilities of vLLM against the trainer's, float32 and bfloat16", 55, packages=("vllm",)
    ),
    CheckPart("attention", "tree attention of Qwen2.5-VL-3B's sizes in all its forms", 40, tiny=True),
    CheckPart("step_3b", "a GRPO step of Qwen2.5-VL-3B's sizes by phases, beside the physical limit", 65, tiny=True),
    CheckPart("denoiser_kontext", "one forward of FLUX Kontext's denoiser at its published size", 22),
    CheckPart("denoiser_qwen", "one forward of Qwen-Image's denoiser at its published size", 22),
)

__all__ = ["PARTS", "CheckPart"]
