"""The numbers of a plan, from a configuration: an edit's memory, compute and time, and the decomposer's training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from agents.backends.buckets import KEPT_BYTES, column_bucket, row_bucket
from agents.backends.families import FAMILIES
from common.errors import BadInput, ImageEditError, MissingFile
from common.gpus import GIB, GPU, gpu_named
from conf.schema import PlanConfig
from editors.costs import (
    BYTES,
    kv_cache,
    one_device_bytes,
    training_activations,
    zero_bytes,
)
from editors.estimate import Workload, activation_bytes, edit_flops, forward_flops, shapes, texts
from editors.parts import Size, count_parameters, parts_of, pipeline_class
from editors.published import PublishedModel
from editors.quantize import weight_bytes
from experiments.preflight.adapter_slot import slot_of
from experiments.preflight.limits import largest_group
from experiments.preflight.output_layer import is_frozen, output_layer_bytes
from experiments.preflight.phases import RESERVE, as_rows, models_of, phases_of
from experiments.preflight.step_time import StepShape, expected_s, limit_s

OFFLOADS = ("none", "model", "sequential")
# Speed of an autoencoder's convolutions, as a share of that of the other models' matrix products. Those of Qwen-Image's are
# three-dimensional: derived from one measurement on an H100. The diffusers pipeline edited two pictures of 1024 x 1024 in
# turn, with 2 steps and true CFG, in 5.53 s; text encoding and denoising at 40 % of the peak (what FLUX Kontext reached) are
# 4.28 s of it, and 1.25 s remain for 38.2 TFLOP.
CONVOLUTIONS = {"AutoencoderKLQwenImage": 0.077}


def workload(config: Any, ratio: float = 1.0, instruction_tokens: int = 30, exact: bool = True) -> Workload:
    """What one edit of this editor is. `exact`: ask diffusers which grids FLUX Kontext knows, which takes seconds."""
    pipeline, grids = pipeline_class(config.checkpoint) or config.pipeline, None
    if exact and pipeline == "FluxKontextPipeline":
        from editors.flux_kontext import PREFERRED_KONTEXT_RESOLUTIONS, TRAINED_AREA

        grids = tuple(PREFERRED_KONTEXT_RESOLUTIONS) if config.area == TRAINED_AREA else None
    return Workload(
        pipeline=pipeline,
        steps=config.steps,
        area=config.area,
        guided=config.true_cfg > 1,
        batch_size=config.batch_size,
        max_sequence_length=config.max_sequence_length,
        multiple=config.multiple,
        condition_area=config.condition_area,
        tiled=config.vae_tiling,
        ratio=ratio,
        instruction_tokens=instruction_tokens,
        grids=grids,
    )


def known_parts(name: str, checkpoint: str, source: str) -> dict[str, PublishedModel]:
    """The models of a folder, of a published repository, or of one in the local Hub cache."""
    from editors.checkpoint import find_folder

    try:
        return parts_of(checkpoint)
    except MissingFile as error:
        with suppress(ImageEditError):
            return parts_of(find_folder(checkpoint))
        raise MissingFile(f"{name}: {error}" + (f". To get it: {source}" if source else "")) from error


def compute(config: PlanConfig, stages: Iterable[Any] = ()) -> dict[str, Any]:
    """Everything the command shows, as plain values (bytes, FLOPs, seconds), with the phases that the stages of a job declare.
    Raises BadInput for what cannot be planned."""
    if not config.editor.has_pipeline:
        raise BadInput(
            f"editor={config.editor.name} has no weights here, so there is nothing to plan; choose a diffusion editor"
        )
    if config.editor.dtype not in BYTES or config.decomposer.dtype not in BYTES:
        raise BadInput(f"editor.dtype and decomposer.dtype must be one of {', '.join(BYTES)}")
    gpu, stages = gpu_named(config.gpu), list(stages)
    decomposer = "decomposer" in models_of(stages)
    return {
        "scale": config.scale.name,
        "gpu": {"key": config.gpu, **vars(gpu)},
        "assumed": {
            "mfu": config.mfu,
            "host_gb_s": config.host_gb_s,
            "reserve": RESERVE,
            "instruction_tokens": config.instruction_tokens,
        },
        "editor": editor_plan(config, gpu, decomposer),
        "decomposer": decomposer_plan(config, gpu) if decomposer else None,
        "step": step_plan(config, gpu) if decomposer and hasattr(config.algo, "prompts_per_step") else None,
        "phases": as_rows(phases_of(stages, config), gpu.memory * GIB),
    }


# ------------------------------------------------------------------------------------------------------------- editor
def editor_plan(config: PlanConfig, gpu: GPU, decomposer: bool = True) -> dict[str, Any]:
    """`decomposer`: whether one is beside it."""
    editor, element = config.editor, BYTES[config.editor.dtype]
    parts = known_parts(f"editor={editor.name}", editor.checkpoint, editor.source)
    work = workload(editor, config.ratio, config.instruction_tokens)
    sizes = {name: count_parameters(part) for name, part in parts.items()}
    s = shapes(work, parts)
    flops, activations = edit_flops(work, parts, s), activation_bytes(work, parts, s, element)
    beside = 0
    if decomposer:
        beside = count_parameters(decomposer_part(config.decomposer)).parameters * BYTES[config.decomposer.dtype]
        beside *= 1 + config.sequencer.own_backbone  # the sequencer's own copy, from before RL
    plan: dict[str, Any] = {
        "name": editor.name,
        "checkpoint": editor.checkpoint,
        "licence": editor.licence,
        "pipeline": work.pipeline,
        "dtype": editor.dtype,
        "quantization": editor.quantization,
        "steps": work.steps,
        "branches": len(s.text),
        "batch_size": work.batch_size,
        "grid": list(s.grid),
        "tokens": {"result": s.result, "reference": s.reference, "text": list(s.text)},
        "prompt_tokens": {name: list(tokens) for name, tokens in s.prompts.items()},
        "components": {
            name: {
                "class": parts[name].kind,
                "parameters": size.parameters,
                "bytes": weight_bytes(size, name, editor.kind, element, editor.quantization),
            }
            for name, size in sizes.items()
        },
        "kv_cache": sum(
            kv_cache(part.config, max(s.prompts[name]), element)
            for name, part in texts(parts)
            if "text_config" in part.config
        ),
        "activations": activations,
        "flops": {"forward": forward_flops(parts, s), **flops, "edit": sum(flops.values())},
    }
    plan["offload"] = {offload: residence(offload, plan, sizes, element, beside, gpu, config) for offload in OFFLOADS}
    return plan


def phase_parts(phase: str, names: Mapping[str, Any]) -> list[str]:
    """The models that a phase runs."""
    if phase == "text encoding":
        return [name for name in names if name.startswith("text_encoder")]
    return ["transformer"] if phase == "denoising" else ["vae"]


def residence(
    offload: str,
    plan: Mapping[str, Any],
    sizes: Mapping[str, Size],
    element: int,
    beside: float,
    gpu: GPU,
    config: PlanConfig,
) -> dict[str, Any]:
    """What is on the GPU at the worst moment, and the seconds of an edit, with one way of offloading.

    "model" keeps one model at a time there and moves it in and out, "sequential" brings every layer in for every forward.
    """
    weights = {name: plan["components"][name]["bytes"] for name in sizes}
    peaks = {}
    for phase, activation in plan["activations"].items():
        running = phase_parts(phase, sizes)
        match offload:
            case "none":
                there = sum(weights.values())
            case "model":
                there = max(weights[name] for name in running)
            case _:
                there = max(sizes[name].largest_module for name in running) * element
        peaks[phase] = there + activation
    peak, phase = max((value, phase) for phase, value in peaks.items())
    forwards = plan["steps"] * plan["branches"]
    encoder = sum(weights[name] for name in phase_parts("text encoding", sizes))
    moved = {
        "none": 0.0,
        "model": 2 * sum(weights.values()),
        "sequential": forwards * weights["transformer"] + plan["branches"] * encoder + 2 * weights["vae"],
    }[offload]
    batch, speed = plan["batch_size"], gpu.peak(plan["dtype"]) * config.mfu
    denoising = max(plan["flops"]["denoising"] / speed, forwards * weights["transformer"] / gpu.bandwidth / batch)
    flops, vae = plan["flops"], plan["components"]["vae"]["class"]
    codes = (flops["VAE encoding"] + flops["VAE decoding"]) / (speed * CONVOLUTIONS.get(vae, 1.0))
    others = flops["text encoding"] / speed + codes
    total, room = peak + RESERVE, gpu.memory * GIB
    return {
        "peak": peak,
        "phase": phase,
        "total": total,
        "fits": total <= room,
        "fits_beside_decomposer": total + beside <= room if beside else None,
        "main_memory": 0.0 if offload == "none" else sum(weights.values()),
        "seconds_per_edit": denoising + others + moved / (config.host_gb_s * 1e9) / batch,
    }


# --------------------------------------------------------------------------------------------------------- decomposer
def decomposer_part(config: Any) -> PublishedModel:
    parts = known_parts(f"decomposer={config.name}", config.checkpoint, config.source)
    part = parts.get("model")
    if part is None or part.kind not in {family.model_class for family in FAMILIES}:
        known = ", ".join(family.title for family in FAMILIES)
        raise BadInput(f"{config.checkpoint} is none of the families whose sizes this plan knows: {known}")
    return part


def picture_tokens(part: PublishedModel, config: PlanConfig) -> int:
    """Of the decomposer's picture: photographs are as large as they may be."""
    vision = part.config["vision_config"]
    merged = vision["patch_size"] * vision["spatial_merge_size"]
    if config.decomposer.max_pixels is not None:
        return max(1, config.decomposer.max_pixels // merged**2)
    return max(1, round(config.scale.image_size / merged)) ** 2


def step_plan(config: PlanConfig, gpu: GPU) -> dict[str, Any]:
    """Seconds of a GRPO step on one GPU, all answers at full length: at best, and to be expected."""
    part, algo, element = decomposer_part(config.decomposer), config.algo, BYTES[config.decomposer.dtype]
    picture = picture_tokens(part, config)
    shape = StepShape(
        algo.prompts_per_step,
        largest_group(algo),
        picture + config.request_tokens,
        config.decomposer.max_new_tokens,
        picture,
    )
    passes = 3 * getattr(algo, "updates_per_batch", 1) + (algo.kl_coef > 0) + algo.gradient_checkpointing
    known = (part.config, shape, gpu, element, count_parameters(part).parameters)
    vllm = config.rollouts.name in ("vllm", "auto")
    return {
        "shape": vars(shape),
        "limit_s": limit_s(*known, passes),
        "expected_s": expected_s(
            *known,
            shared=algo.shared_prefix,
            vllm=vllm,
            graphs=getattr(config.rollouts, "graphs", False) is not False,
            batch=config.rollouts.batch_size,
            passes=passes,
        ),
        "rollouts": "vllm" if vllm else "hf",
    }


def decomposer_plan(config: PlanConfig, gpu: GPU) -> dict[str, Any]:
    """Bytes per GPU of GRPO on the decomposer: weights, gradients, optimiser, reference, activations, rollouts' keys and values."""
    part, algo, element = decomposer_part(config.decomposer), config.algo, BYTES[config.decomposer.dtype]
    picture = picture_tokens(part, config)
    tokens = picture + config.request_tokens + config.decomposer.max_new_tokens
    parameters = count_parameters(part).parameters
    answers = algo.micro_batch_size * config.decomposer.max_new_tokens
    logits = output_layer_bytes(part.config, answers, element, is_frozen(algo))
    training = algo.micro_batch_size * training_activations(part.config, tokens, element, algo.gradient_checkpointing)
    training += sum(logits.values())
    sequences = min(config.rollouts.batch_size, algo.prompts_per_step * largest_group(algo))
    graphs = config.rollouts.name == "hf" and config.rollouts.graphs is not False
    rows, columns = (row_bucket(sequences), column_bucket(tokens)) if graphs else (sequences, tokens)
    rollouts = rows * kv_cache(part.config, columns, element)
    slot = slot_of(part.config, algo, config.rollouts, element)
    reference = algo.kl_coef > 0
    kept = {"engine=torch": one_device_bytes(parameters, element, reference)}
    kept |= {
        f"ZeRO-{stage}, {config.gpus} GPUs": zero_bytes(parameters, config.gpus, stage, reference) for stage in range(4)
    }
    rows = {}
    for name, held in kept.items():
        # rollouts and updates take turns, but a small cache that CUDA graphs read stays where it is
        stays = graphs and rollouts <= KEPT_BYTES
        taken = training + rollouts if stays else max(training, rollouts)
        total = held.total + taken + slot + RESERVE
        rows[name] = {**vars(held), "total": total, "fits": total <= gpu.memory * GIB}
    return {
        "name": config.decomposer.name,
        "checkpoint": config.decomposer.checkpoint,
        "class": part.kind,
        "parameters": parameters,
        "dtype": config.decomposer.dtype,
        "weights": parameters * element,
        "tokens": {"picture": picture, "request": config.request_tokens, "answer": config.decomposer.max_new_tokens},
        "activations": training,
        "output_layer": logits,
        "kv_cache": rollouts,
        "adapter_slot": slot,
        "sequences": sequences,
        "training": rows,
    }


__all__ = ["RESERVE", "compute", "known_parts", "workload"]
