"""Everything a run needs, checked before anything starts; what is missing is said in one message with how to get it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from common.errors import MissingFile
from conf.schema import RunConfig
from editors.costs import BYTES
from experiments.preflight.editor import missing_cache_room, missing_editor, missing_editor_memory
from experiments.preflight.machine import GIB, ThisMachine, free_disk, gpu_memories, memory_bytes
from experiments.preflight.phases import models_of, too_large
from experiments.preflight.picture_tokens import too_many_tokens


def preflight(config: RunConfig, stages: Iterable[Any] = ()) -> None:
    """Raises `MissingFile` listing everything that is missing: every part, and every stage, says what it lacks here."""
    machine, stages = ThisMachine(), list(stages)
    uses = models_of(stages)
    lines = list(missing_hardware(config, "decomposer" in uses))
    if "decomposer" in uses:
        lines = [*config.decomposer.missing(machine), *config.sequencer.missing(machine), *lines]
    lines += [*config.engine.missing(machine), *config.rollouts.missing(machine)]
    if config.engine.device != "cpu":
        lines += config.launcher.missing(machine)
    if "editor" in uses and not config.benchmark.text_only:
        lines += [
            *missing_editor(config.editor),
            *missing_editor_memory(config, "decomposer" in uses),
            *missing_cache_room(config),
        ]
    for part in (config.judge, config.reward, config.algo, config.tracker, config.benchmark):
        lines += getattr(part, "missing", lambda machine: ())(machine)
    for stage in stages:
        lines += getattr(stage, "missing", lambda config, machine: ())(config, machine)
    if config.scale.needs.gpus:
        lines += too_large(stages, config, gpu_memories())
    if "decomposer" in uses:
        lines += too_many_tokens(config)
    if lines := list(dict.fromkeys(lines)):
        listed = "\n".join(f"  - {line}" for line in lines)
        hint = "\n  scale=tiny needs none of these." if config.scale.name != "tiny" else ""
        raise MissingFile(f"scale={config.scale.name} cannot start here; missing:\n{listed}{hint}")


def missing_hardware(config: RunConfig, decomposer: bool = True) -> Iterator[str]:
    """GPUs, memory and disk; `decomposer`: whether it is trained."""
    needs = config.scale.needs
    gpus = gpu_memories() if needs.gpus or config.engine.device == "cuda" else []
    if config.engine.device == "cuda" and not gpus:
        yield "a CUDA GPU: engine.device=cuda was asked for and torch sees none (engine.device=auto takes the CPU)"
    if needs.gpus:
        big = [g for g in gpus if g >= needs.gpu_memory_gib * GIB]
        if len(big) < needs.gpus:
            seen = ", ".join(f"{g / GIB:.0f} GiB" for g in gpus) or "none"
            yield (
                f"GPUs: {needs.gpus} of {needs.gpu_memory_gib:.0f} GiB or more are needed, this machine has {seen}; "
                "use a bigger machine, or set scale.needs.gpus and a smaller model"
            )
        if decomposer:
            yield from _one_device(config, max(gpus, default=0))
    memory = memory_bytes()
    if memory < needs.memory_gib * GIB:
        yield f"memory: {needs.memory_gib:.0f} GiB are needed, this machine has {memory / GIB:.0f} GiB (scale.needs.memory_gib)"
    if needs.disk_gib:
        place, free = free_disk(config.paths.outputs)
        if free < needs.disk_gib * GIB:
            yield (
                f"disk: {needs.disk_gib:.0f} GiB are needed for checkpoints, {place} has {free / GIB:.0f} GiB free; "
                "choose another place: paths.outputs=<folder>"
            )


def _one_device(config: RunConfig, memory: int) -> Iterator[str]:
    """Plain torch keeps weights, gradients, two moments and the frozen reference on one device; with adapters the frozen
    weights, which are the reference too, and the merged ones of the rollouts."""
    copies = 5 if config.algo.kl_coef > 0 else 4
    if config.algo.lora.rank:
        copies = 2
    needed = config.decomposer.parameters * BYTES.get(config.decomposer.dtype, 4) * copies
    if not config.engine.distributed and needed > memory:
        yield (
            f"GPU memory for engine=torch: one device holds all of training, about {needed / GIB:.0f} GiB for "
            f"{config.decomposer.parameters / 1e9:.1f}e9 parameters before activations, and the largest here has "
            f"{memory / GIB:.0f} GiB; engine=deepspeed engine.stage=3 launcher=torchrun launcher.processes=<GPUs> shares it, or "
            "a smaller decomposer fits (decomposer.checkpoint, decomposer.parameters)"
        )


__all__ = ["missing_hardware", "preflight"]
