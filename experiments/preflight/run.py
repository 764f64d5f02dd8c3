"""Everything a run needs, checked before anything starts; what is missing is said in one message with how to get it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from common.errors import MissingFile
from conf.schema import DecomposerConfig, JudgeConfig, RolloutsConfig, RunConfig, TrackerConfig
from editors.costs import BYTES
from experiments.build.judges import missing_judge
from experiments.evaluation.held_out import CARDS
from experiments.preflight.editor import missing_cache_room, missing_editor, missing_editor_memory
from experiments.preflight.machine import GIB, KEY_HELP, free_disk, gpu_memories, has_package, memory_bytes


def preflight(config: RunConfig) -> None:
    """Raises `MissingFile` listing everything that is missing."""
    found = [*missing_weights(config.decomposer), *missing_hardware(config), *missing_packages(config)]
    found += missing_rollouts(config.rollouts)
    card = CARDS.get(config.benchmark.name)
    if card is None or not card.text_only:
        found += [*missing_editor(config.editor), *missing_editor_memory(config), *missing_cache_room(config)]
    found += [*missing_keys(config.judge, config.tracker), *missing_judge(config.judge), *missing_data(config)]
    if found:
        lines = "\n".join(f"  - {line}" for line in found)
        hint = "\n  scale=tiny needs none of these." if config.scale.name != "tiny" else ""
        raise MissingFile(f"scale={config.scale.name} cannot start here; missing:\n{lines}{hint}")


def missing_weights(config: DecomposerConfig) -> Iterator[str]:
    folder = Path(config.checkpoint)
    lacks = [name for name in ("config.json", "*.safetensors") if not any(folder.glob(name))]
    if lacks:
        how = f": {config.source}" if config.source else ""
        yield f"weights of the decomposer {config.name}: no {' and '.join(lacks)} in {folder}{how}"


def missing_rollouts(config: RolloutsConfig) -> Iterator[str]:
    if config.name == "vllm" and not has_package("vllm"):
        yield "vLLM, for rollouts=vllm: make extra-vllm (rollouts=hf needs nothing more)"


def missing_hardware(config: RunConfig) -> Iterator[str]:
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
                "use a bigger machine, or set scale.needs.gpus and a smaller decomposer"
            )
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


def missing_packages(config: RunConfig) -> Iterator[str]:
    if config.engine.name == "deepspeed" and importlib.util.find_spec("deepspeed") is None:
        yield "package deepspeed, for engine=deepspeed: make extra-deepspeed"
    if config.launcher.processes > 1 and config.engine.device != "cpu":
        gpus = len(gpu_memories())
        if 0 < gpus < config.launcher.processes:
            yield (
                f"GPUs: launcher.processes={config.launcher.processes} need one each, this machine has {gpus}; set "
                f"launcher.processes={gpus}, or engine.device=cpu"
            )


def _one_device(config: RunConfig, memory: int) -> Iterator[str]:
    """Plain torch keeps weights, gradients, two moments and the frozen reference on one device; with adapters the frozen
    weights, which are the reference too, and the merged ones of the rollouts."""
    copies = 5 if config.algo.kl_coef > 0 else 4
    if config.algo.lora.rank:
        copies = 2
    needed = config.decomposer.parameters * BYTES.get(config.decomposer.dtype, 4) * copies
    if config.engine.name == "torch" and needed > memory:
        yield (
            f"GPU memory for engine=torch: one device holds all of training, about {needed / GIB:.0f} GiB for "
            f"{config.decomposer.parameters / 1e9:.1f}e9 parameters before activations, and the largest here has "
            f"{memory / GIB:.0f} GiB; engine=deepspeed engine.stage=3 launcher=torchrun launcher.processes=<GPUs> shares it, or "
            "a smaller decomposer fits (decomposer.checkpoint, decomposer.parameters)"
        )


def missing_keys(judge: JudgeConfig, tracker: TrackerConfig) -> Iterator[str]:
    wanted = {key: f"judge={judge.name}" for key in judge.keys}
    if tracker.name == "wandb" and tracker.mode == "online":
        wanted["WANDB_API_KEY"] = "tracker=wandb tracker.mode=online"
    for key, who in wanted.items():
        if not os.environ.get(key):
            yield f"key {key} in the environment, for {who}: {KEY_HELP.get(key, 'see its provider')}"


def missing_data(config: RunConfig) -> Iterator[str]:
    if config.benchmark.name in ("mice_text", "prepared"):
        from benchmarks import mice, prepared

        try:
            (mice if config.benchmark.name == "mice_text" else prepared).find_folder(config.benchmark.path)
        except MissingFile as error:
            yield f"data: {error}"
