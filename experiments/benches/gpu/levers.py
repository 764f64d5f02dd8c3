"""What each lever of the training phase is worth: the same forward and backward with one thing changed at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agents.backends.fused import liger, switch
from agents.backends.vlm import VLM, EncodedPrompt
from experiments.benches.rl.lockstep import in_turns, timed
from experiments.benches.rl.training import Pass

CUDA = {"attention": "flex", "pad_rows": True, "fused": "false"}
CPU = {"attention": "masks", "pad_rows": False}
CHANGES: dict[str, dict[str, Any]] = {
    "attention in two pieces (split)": {"attention": "split"},
    "logits computed twice": {"keep_mib": 0},
    "rows of any length": {"pad_rows": False},
    "rows of few lengths": {"pad_rows": True},
}


def levers(
    vlm: VLM, prompts: Sequence[EncodedPrompt], answers: Sequence[Sequence[int]], at_once: int, repeats: int
) -> dict[str, float | str]:
    """Seconds of a pass: with the device's defaults but without fused kernels, then with each change that is one here, then with
    liger-kernel's kernels, which stay in the model afterwards."""
    cuda = vlm.model.device.type == "cuda"
    base: dict[str, Any] = CUDA if cuda else CPU
    sides = {"as it is": base} | {name: base | c for name, c in CHANGES.items() if c.items() - base.items()}
    passes = [Pass(vlm, True, prompts, answers, at_once, **kw) for kw in sides.values()]
    for run in passes:
        run()  # compiles
    times = in_turns([timed(run) for run in passes], repeats)
    found: dict[str, float | str] = {name: t.median for name, t in zip(sides, times, strict=True)}
    kernels = liger() if cuda else None
    if kernels is None:
        found["liger-kernel"] = "not installed" if cuda else "needs CUDA"
    else:
        switch(vlm.model, *kernels)
        passes[0]()
        (fused,) = in_turns([timed(passes[0])], repeats)
        found["liger-kernel"] = fused.median
    return found


__all__ = ["levers"]
