"""Weights that metrics need: where they lie, and what is missing with how to get it, before anything starts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from common.errors import ImageEditError, MissingFile
from editors.checkpoint import find_folder
from judges.metrics.names import parse

MODEL_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
MODELS = {"clip": ("clip",), "dino": ("vit", "dinov2", "dinov2_with_registers")}
BACKBONES = {  # LPIPS' networks: torchvision's files with ImageNet weights, as its loader names them
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}
MODEL_NAMES = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}  # torchvision's


@dataclass(frozen=True)
class Weights:
    """Folder or Hub id (found in the local Hub cache, never fetched) of each model; `lpips` is alex, vgg or squeeze."""

    clip: str = "openai/clip-vit-base-patch32"
    dino: str = "facebook/dino-vits16"  # facebook/dinov2-small for DINOv2
    lpips: str = "alex"


def missing_metric_weights(names: Iterable[str], weights: Weights | None = None) -> list[str]:
    """One line for everything that these metrics lack, with how to get it; nothing is loaded. Raises BadInput for an unknown
    metric."""
    weights = weights or Weights()
    families = {n.info.family: n.base for n in reversed(parse(names))}
    lines: list[str] = []
    for kind, place in (("clip", weights.clip), ("dino", weights.dino)):
        if kind in families:
            lines += _missing_model(kind, place, f"weights of the metric {families[kind]}")
    if "lpips" in families:
        lines += _missing_lpips(weights.lpips, f"weights of the metric {families['lpips']}")
    return lines


def require(names: Iterable[str], weights: Weights) -> None:
    """Raises MissingFile with everything that is missing."""
    if lines := missing_metric_weights(names, weights):
        raise MissingFile("; ".join(lines))


def _missing_model(kind: str, place: str, of: str) -> list[str]:
    hub = f"`hf download {place}`, or the folder of a copy in metrics.{kind}"
    try:
        folder = find_folder(place)
    except ImageEditError:
        return [f"{of}: {place} is no folder here and not in the local Hub cache; get it with {hub}"]
    if not (folder / "config.json").is_file():
        return [f"{of}: there is no config.json in {folder}; get it with {hub}"]
    try:
        model_type = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        return [f"{of}: {folder / 'config.json'} cannot be read ({error}); get it with {hub}"]
    if model_type not in MODELS[kind]:
        return [f"{of}: {folder} holds a {model_type}; set metrics.{kind} to a {' or '.join(MODELS[kind])}"]
    lines = []
    if not _any(folder, MODEL_FILES):
        lines.append(f"{of}: there is none of {', '.join(MODEL_FILES)} in {folder}; get it with {hub}")
    if kind == "clip" and not _any(folder, TOKENIZER_FILES):
        lines.append(f"tokenizer of the metric {of.rpartition(' ')[2]}: there is none in {folder}; get it with {hub}")
    return lines


def _missing_lpips(net: str, of: str) -> list[str]:
    import torch

    if net not in BACKBONES:
        return [f"{of}: metrics.lpips={net} is unknown; choose {', '.join(BACKBONES)}"]
    lines = []
    if find_spec("torchvision") is None:
        metric = of.removeprefix("weights of ")
        lines.append(f"torchvision, for {metric}: `make extra-vllm` brings it, or `pip install torchvision`")
    file = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONES[net]
    if not file.is_file():
        fetch = f"import torchvision; torchvision.models.{MODEL_NAMES[net]}(weights='DEFAULT')"
        lines.append(f'{of}: there is no {file}; get it with `python -c "{fetch}"`')
    return lines


def _any(folder: Path, files: Iterable[str]) -> bool:
    return any((folder / file).is_file() for file in files)


__all__ = ["Weights", "missing_metric_weights", "require"]
