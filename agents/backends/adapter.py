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


def merge_adapter(vlm: VLM, folder: Path) -> VLM:
    """The model with W + (alpha / rank) B A in place of W, in its own precision; `vlm` itself is changed.

    Raises MissingFile where the folder is no adapter's, BadData where the adapter is of another model: one that had no place
    for it would judge as if there were none.
    """
    check_adapter(folder)
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        given = load_file(folder / WEIGHTS)
        model: Any = PeftModel.from_pretrained(vlm.model, folder)
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


def check_adapter(folder: Path) -> None:
    """MissingFile naming the file that is not there."""
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise MissingFile(f"no LoRA adapter in {folder}: {name} is missing")


def _contents(weights: Mapping[str, Tensor]) -> Counter[tuple[tuple[int, ...], int]]:
    """The tensors by what they hold; their names depend on the versions that wrote and read them."""
    return Counter((tuple(w.shape), tensor_checksum(w.float().cpu())) for w in weights.values())


__all__ = ["CONFIG", "check_adapter", "merge_adapter"]
