"""The families of vision-language models that this project runs, and all in which they differ.

What a checkpoint is says `model_type` in its config.json. All families have a tokenizer and an image processor of the same
classes, a vision tower `model.visual`, a decoder `model.language_model` and m-rope positions from the model's own
`get_rope_index`. Nothing here loads torch, so that a wrong checkpoint is refused before anything starts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from common.errors import BadData, BadInput

VLLM = "vllm.model_executor.models."


@dataclass(frozen=True)
class Family:
    title: str
    model_type: str  # in config.json
    model_class: str  # in transformers
    vllm_classes: tuple[tuple[str, str], ...]  # (module, class): the whole model, then its decoder
    deepstack: (
        bool  # the tower also gives features that are added after each of the first decoder layers (arXiv 2406.04334)
    )
    head_norm: bool  # queries and keys are normed head by head before their rotation
    vision_linear: tuple[str, ...]  # linear layers of a block of the tower
    vision_mlp: int  # how many of them are those of its MLP
    patch: int  # pixels of a patch's side in the published checkpoints
    merge: int  # patches of a token's side
    max_pixels: int  # the limit of the published image processors
    published: tuple[str, ...]  # repositories whose configurations editors/published.py has


QWEN2_5_VL = Family(
    title="Qwen2.5-VL",
    model_type="qwen2_5_vl",
    model_class="Qwen2_5_VLForConditionalGeneration",
    vllm_classes=(
        (VLLM + "qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration"),
        (VLLM + "qwen2", "Qwen2ForCausalLM"),
    ),
    deepstack=False,
    head_norm=False,
    vision_linear=("attn.qkv", "attn.proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"),
    vision_mlp=3,
    patch=14,
    merge=2,
    max_pixels=12_845_056,
    published=("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-3B-Instruct"),
)
QWEN3_VL = Family(  # arXiv 2511.21631
    title="Qwen3-VL",
    model_type="qwen3_vl",
    model_class="Qwen3VLForConditionalGeneration",
    vllm_classes=(
        (VLLM + "qwen3_vl", "Qwen3VLForConditionalGeneration"),
        (VLLM + "qwen3", "Qwen3ForCausalLM"),
    ),
    deepstack=True,
    head_norm=True,
    vision_linear=("attn.qkv", "attn.proj", "mlp.linear_fc1", "mlp.linear_fc2"),
    vision_mlp=2,
    patch=16,
    merge=2,
    max_pixels=16_777_216,
    published=("Qwen/Qwen3-VL-4B-Instruct", "Qwen/Qwen3-VL-8B-Instruct"),
)
FAMILIES = (QWEN2_5_VL, QWEN3_VL)


def family_named(model_type: str, where: str | Path) -> Family:
    """The family of this `model_type`. Raises BadInput with the known ones where it is none of them."""
    for family in FAMILIES:
        if family.model_type == model_type:
            return family
    known = ", ".join(f"{f.title} (model_type {f.model_type})" for f in FAMILIES)
    raise BadInput(f"the model in {where} is of model_type {model_type or 'unknown'}; the known families are {known}")


def family_of(folder: str | Path) -> Family:
    """The family that a checkpoint's config.json names. Raises BadInput for an unknown one, BadData where the file cannot be
    read."""
    path = Path(folder) / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(f"{path} cannot be read ({error}); is it truncated?") from error
    return family_named(str(values.get("model_type") or "") if isinstance(values, dict) else "", folder)


def expected_family(checkpoint: str | Path) -> Family:
    """The family of a checkpoint that may not be here yet: then the one with a published repository of that name, else the
    first. Raises as `family_of`."""
    folder = Path(checkpoint)
    if (folder / "config.json").is_file():
        return family_of(folder)
    named = (f for f in FAMILIES if any(folder.name == name.partition("/")[2] for name in f.published))
    return next(named, FAMILIES[0])


__all__ = ["FAMILIES", "QWEN2_5_VL", "QWEN3_VL", "Family", "expected_family", "family_named", "family_of"]
