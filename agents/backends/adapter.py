"""A published LoRA (arXiv 2106.09685) merged into a model that is used as it is: EditScore's checkpoints are such (arXiv
2509.23909). What is trained here has adapters of its own, in rl/policies/lora.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from agents.backends.base import tensor_checksum
from agents.backends.vlm import VLM
from common.errors import BadData, MissingFile

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"  # as peft writes them
EARLIER = {
    "base_model.model.model.layers.": "base_model.model.model.language_model.layers.",
    "base_model.model.visual.": "base_model.model.model.visual.",
}


def merge_adapter(vlm: VLM, folder: Path) -> VLM:
    """The model with W + (alpha / rank) B A in place of W, in its own precision; `vlm` itself is changed.

    Raises MissingFile where the folder is no adapter's, BadData where the adapter is of another model: one that had no place
    for it would judge as if there were none.
    """
    check_adapter(folder)
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        given = {_present_name(name): value for name, value in load_file(folder / WEIGHTS).items()}
        model: Any = PeftModel(vlm.model, PeftConfig.from_pretrained(str(folder)))
        set_peft_model_state_dict(model, given)
    except Exception as error:  # peft, safetensors and torch each raise kinds of their own
        raise BadData(f"the adapter in {folder} does not fit {vlm.path} ({type(error).__name__}: {error})") from error
    held = _contents(get_peft_model_state_dict(model))
    if lost := _contents(given) - held:
        raise BadData(
            f"the adapter in {folder} has {len(given)} weights, of which {lost.total()} have no place in the model in "
            f"{vlm.path}; it is of another model ({CONFIG} names its base)"
        )
    vlm.model = model.merge_and_unload().eval()
    return vlm


def _present_name(name: str) -> str:
    """Of a weight in this version of transformers; before 4.52 the parts of Qwen2.5-VL lay one level higher."""
    for earlier, now in EARLIER.items():
        if name.startswith(earlier):
            return now + name.removeprefix(earlier)
    return name


def check_adapter(folder: Path) -> None:
    """MissingFile naming the file that is not there."""
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise MissingFile(f"no LoRA adapter in {folder}: {name} is missing")


def _contents(weights: Mapping[str, Tensor]) -> Counter[tuple[tuple[int, ...], int]]:
    """The tensors by what they hold; their names depend on the versions that wrote and read them."""
    return Counter((tuple(w.shape), tensor_checksum(w.float().cpu())) for w in weights.values())


__all__ = ["CONFIG", "check_adapter", "merge_adapter"]
