"""The models of a checkpoint: their classes, configurations and sizes, without reading any weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from common.errors import BadData, MissingFile
from editors.published import PUBLISHED, PublishedModel

PIPELINE, MODEL = "model_index.json", "config.json"


def parts_of(checkpoint: str | Path) -> dict[str, PublishedModel]:
    """The models of a pipeline's folder, of a model's folder (as "model"), or of a published repository that this project
    knows. A folder that does not exist yet counts as the published repository whose name it has.

    Raises MissingFile where it is none of these, BadData where a configuration cannot be read.
    """
    folder = Path(checkpoint)
    if (folder / PIPELINE).is_file():
        index = _read(folder / PIPELINE)
        names = [
            name
            for name, value in index.items()
            if isinstance(value, list) and value[0] in ("diffusers", "transformers")
        ]
        models = [name for name in names if (folder / name / MODEL).is_file()]
        return {name: _part(folder / name / MODEL, index[name][1]) for name in models}
    if (folder / MODEL).is_file():
        return {"model": _part(folder / MODEL, None)}
    for repository, parts in PUBLISHED.items():
        if str(checkpoint) == repository or folder.name == repository.partition("/")[2]:
            return parts
    raise MissingFile(
        f"nothing is known of the checkpoint {checkpoint}: no {PIPELINE} or {MODEL} there, and it is none of "
        f"{', '.join(PUBLISHED)}"
    )


def pipeline_class(checkpoint: str | Path) -> str | None:
    """The class that a pipeline's folder names; None where it is no such folder."""
    index = Path(checkpoint) / PIPELINE
    return str(_read(index).get("_class_name")) if index.is_file() else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise BadData(f"{path} cannot be read as JSON ({error}); get the checkpoint again") from error


def _part(path: Path, kind: str | None) -> PublishedModel:
    config = _read(path)
    kind = kind or str(config.get("_class_name") or next(iter(config.get("architectures") or ["?"])))
    if (
        kind.startswith("Qwen2_5_VL") and "text_config" not in config
    ):  # the form of transformers 4: text keys at the top
        config["text_config"] = {k: v for k, v in config.items() if k not in ("vision_config", "architectures")}
    return PublishedModel(kind, config)


@dataclass(frozen=True)
class Size:
    parameters: int
    largest_module: int  # parameters of the largest single layer, such as the word embeddings
    matrices: int = (
        0  # of the parameters, those that quantizers take: weights of linear layers, but for a language model's output
    )


def count_parameters(part: PublishedModel) -> Size:
    """The number of parameters, counted on torch's meta device without memory or weights. Raises BadData where the class is unknown
    or refuses the configuration."""
    return _count(part.kind, json.dumps(dict(part.config), sort_keys=True))


def adapter_parameters(transformer: PublishedModel, rank: int) -> int:
    """How many weights adapters of this rank have beside every linear layer of the blocks of a diffusion transformer
    (rl/policies/lora.py). Raises as `count_parameters`."""
    return rank * _sides(transformer.kind, json.dumps(dict(transformer.config), sort_keys=True))


@lru_cache(maxsize=64)
def _sides(kind: str, config: str) -> int:
    """The sum of the widths, in and out, of these layers."""
    import torch

    model = _on_meta(kind, config)
    layers = (m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and "blocks." in name)
    return sum(layer.in_features + layer.out_features for layer in layers)


@lru_cache(maxsize=64)
def _count(kind: str, config: str) -> Size:
    import torch

    model = _on_meta(kind, config)
    own = [sum(p.numel() for p in module.parameters(recurse=False)) for module in model.modules()]
    linear = [m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear) and name != "lm_head"]
    return Size(sum(p.numel() for p in model.parameters()), max(own), sum(m.weight.numel() for m in linear))


def _on_meta(kind: str, config: str) -> Any:
    import diffusers
    import torch
    import transformers

    values = json.loads(config)
    try:
        with torch.device("meta"):
            if hasattr(diffusers, kind):
                return getattr(diffusers, kind).from_config(values)
            made = getattr(transformers, kind)
            return made(made.config_class(**values))
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        raise BadData(f"a {kind} cannot be built from its configuration: {error}") from error


__all__ = ["PIPELINE", "Size", "adapter_parameters", "count_parameters", "parts_of", "pipeline_class"]
