"""Checks of a pipeline's folder before anything is loaded: it exists, is of the right class, has every part, and no file is cut
short."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import BadData, BadInput, MissingFile

if TYPE_CHECKING:
    from torch import nn

CLASSES = {  # the pipelines of each kind of editor
    "qwen": ("QwenImageEditPipeline", "QwenImageEditPlusPipeline"),
    "flux_kontext": ("FluxKontextPipeline",),
}
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
SETTINGS_FILES = {  # of the parts that are not models: each part needs one of its files
    "scheduler": ("scheduler_config.json",),
    "tokenizer": ("tokenizer_config.json",),
    "tokenizer_2": ("tokenizer_config.json",),
    "processor": ("processor_config.json", "preprocessor_config.json"),
    "feature_extractor": ("preprocessor_config.json",),
}
SINGLE_FILES = ["*-kontext-dev.safetensors", "ae.safetensors"]  # copies of the weights in another layout, not needed
Header = dict[str, dict[str, Any]]


def find_folder(name: str | Path, allow_download: bool = False, file: str | None = None) -> Path:
    """The folder of a pipeline or LoRA: a path, or a hub id (owner/name) in the local hub cache.

    Nothing is downloaded unless `allow_download` is set; `file` limits the download to one file. Raises MissingFile saying how to
    get the folder.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise BadInput(f"{path} is a file; give the folder of a diffusers pipeline (with model_index.json in it)")
    if not HUB_ID.fullmatch(str(name)):
        raise MissingFile(
            f"there is no folder {path}; check the path, or rebuild the tiny checkpoints with `make tiny`"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            str(name), local_files_only=not allow_download, allow_patterns=file, ignore_patterns=SINGLE_FILES
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError, ValueError) as error:
        why = f" ({error.__class__.__name__})" if allow_download else ""
        raise MissingFile(
            f"{name} is no folder here and not in the local hub cache{why}; download it with `hf download {name}` (gated models: "
            "accept the licence on the model's page and run `hf auth login` first) or give the path of a copy"
        ) from None
    return Path(folder)


def check_pipeline(folder: Path, kind: str) -> str:
    """Check a pipeline's folder for this kind of editor, and return the name of the pipeline's class.

    Raises MissingFile or BadData naming the file that is missing, of the wrong class or damaged.
    """
    if kind not in CLASSES:
        raise BadInput(f"unknown kind of pipeline {kind!r}; choose {' or '.join(CLASSES)}")
    index = _json(folder / "model_index.json", "this is no diffusers pipeline folder without it")
    name = index.get("_class_name")
    if name not in CLASSES[kind]:
        raise BadData(
            f"{folder / 'model_index.json'} is of a {name}; editor={kind} needs a {' or '.join(CLASSES[kind])}"
        )
    for part, entry in index.items():
        if not part.startswith("_") and isinstance(entry, list) and entry[0] is not None:
            _check_part(folder / part, f"{entry[0]} {entry[1]}")
    return str(name)


def _check_part(folder: Path, what: str) -> None:
    if not folder.is_dir():
        raise MissingFile(f"{folder} is missing ({what}); copy or download the whole pipeline folder again")
    if names := SETTINGS_FILES.get(folder.name):
        if not any((folder / name).is_file() for name in names):
            raise MissingFile(f"{folder / names[0]} is missing ({what}); copy or download the folder again")
        return
    _json(folder / "config.json", f"it describes the {what}")
    for file in weight_files(folder):
        read_header(file)


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model's folder, all shards of an index included. Raises MissingFile naming the missing ones."""
    if index := next(iter(sorted(folder.glob("*.safetensors.index.json"))), None):
        names = sorted(set(_json(index, "it lists the shards").get("weight_map", {}).values()))
        if absent := [name for name in names if not (folder / name).is_file()]:
            raise MissingFile(
                f"{folder} lacks {', '.join(absent)}, which {index.name} lists; copy or download them again"
            )
        return [folder / name for name in names]
    files = [
        file for name in ("diffusion_pytorch_model", "model") if (file := folder / f"{name}.safetensors").is_file()
    ]
    if not files:
        raise MissingFile(f"{folder} has no weights (diffusion_pytorch_model.safetensors or model.safetensors)")
    return files[:1]


def read_header(file: Path) -> Header:
    """The header of a safetensors file, {name: {dtype, shape, data_offsets}}, after checking the file's length against it.

    Raises BadData naming the file where it is cut short or not a safetensors file.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        raw = stream.read(length) if 8 + length <= size else b""
    try:
        header: Header = json.loads(raw)
        header.pop("__metadata__", None)
        expected = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise BadData(f"{file} ({size:,} bytes) is no whole safetensors file; copy or download it again") from None
    if size != expected:
        fault = "cut short" if size < expected else "too long"
        raise BadData(
            f"{file} is {fault}: {size:,} bytes where its header says {expected:,}; copy or download it again"
        )
    return header


def check_complete(model: nn.Module, files: Sequence[Path]) -> None:
    """Raise BadData where the files hold fewer numbers than the model has weights: loaders initialise the rest at random and
    only warn. Numbers are counted rather than names, since loaders rename tensors."""
    held = sum(math.prod(entry["shape"]) for file in files for entry in read_header(file).values())
    needed = sum(weight.numel() for weight in model.parameters())  # tied ones count once
    if held < needed:
        raise BadData(
            f"{files[0].parent} holds {held:,} numbers and its {type(model).__name__} has {needed:,} weights: tensors are missing; "
            "copy or download the folder again"
        )


def _json(file: Path, why: str) -> dict[str, Any]:
    if not file.is_file():
        raise MissingFile(f"{file} is missing ({why}); check the path, or copy or download the folder again")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise BadData(f"{file} is damaged ({error}); copy or download it again") from None
    return content


__all__ = ["CLASSES", "check_complete", "check_pipeline", "find_folder", "read_header", "weight_files"]
