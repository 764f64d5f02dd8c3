"""What a trained part began with: the base model's id on the Hub, and the licence that its weights come with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.places import assets_folder
from experiments.publishing.parts import TrainedPart

OWN_LICENCE = "apache-2.0"  # of the tiny models, which are trained in this repository from nothing
CACHED = re.compile(r"models--([^/]+?)--([^/]+)")  # a repository's folder in the local Hub cache
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# Of the models that conf/ names: (identifier on the Hub, name where that is "other"), as on their model cards.
LICENCES = {
    "Qwen/Qwen2.5-VL-3B-Instruct": ("other", "qwen-research"),
    "Qwen/Qwen2.5-VL-7B-Instruct": ("apache-2.0", ""),
    "Qwen/Qwen3-VL-4B-Instruct": ("apache-2.0", ""),
    "Qwen/Qwen3-VL-8B-Instruct": ("apache-2.0", ""),
    "Qwen/Qwen-Image-Edit": ("apache-2.0", ""),
    "Qwen/Qwen-Image-Edit-2509": ("apache-2.0", ""),
    "Qwen/Qwen-Image-Edit-2511": ("apache-2.0", ""),
    "black-forest-labs/FLUX.1-Kontext-dev": ("other", "flux-1-dev-non-commercial-license"),
}


@dataclass(frozen=True)
class Origin:
    """`model` is an id of the Hub, "" for models that this repository trained from nothing. `licence` is the Hub's identifier;
    `licence_name` says which one where that is `other`."""

    model: str
    licence: str
    licence_name: str = ""


def start_of(part: TrainedPart, config: Any) -> str:
    """The folder or id of the model that the training began with."""
    chosen = {"decomposer": config.decomposer, "rrm": config.rrm, "intent": config.intent, "editor": config.editor}
    start = chosen[part.kind]
    return str(start.base if part.kind == "rrm" else start.checkpoint)


def origin_of(start: str, base: str = "", licence: str = "") -> Origin:
    """`base` and `licence` are what a user says; else the start's own model card and the table above are asked.

    Raises BadInput where the base or its licence stays unknown: nobody may publish weights without knowing.
    """
    if not base and _is_tiny(Path(start)):
        return Origin("", *_named(licence or OWN_LICENCE))
    said = _card_data(Path(start))
    model = base or _hub_id(start) or _text(said.get("base_model"))
    if not model:
        raise BadInput(f"which model {start} is, is not known; give its id on the Hub: base=<owner>/<name>")
    if not HUB_ID.fullmatch(model):
        raise BadInput(f"base={model} is no id on the Hub; give <owner>/<name>")
    if licence:
        return Origin(model, *_named(licence))
    if said.get("license"):
        return Origin(model, _text(said["license"]), _text(said.get("license_name")))
    if model not in LICENCES:
        raise BadInput(f"the licence of {model} is not known here; read its model card and give licence=<identifier>")
    return Origin(model, *LICENCES[model])


def _named(licence: str) -> tuple[str, str]:
    """`other:<name>` for licences that the Hub has no identifier of."""
    kind, _, name = licence.partition(":")
    return kind.lower(), name


def _is_tiny(folder: Path) -> bool:
    """Whether it lies among the tiny checkpoints of this checkout."""
    return (Path(assets_folder()) / "tiny").resolve() in folder.resolve().parents


def _hub_id(start: str) -> str:
    """From an id, a folder of the local Hub cache, or a folder that is called as a model of the table."""
    if match := CACHED.search(start):
        return f"{match[1]}/{match[2]}"
    if HUB_ID.fullmatch(start) and not Path(start).exists():
        return start
    return next((known for known in LICENCES if known.partition("/")[2] == Path(start).name), "")


def _card_data(folder: Path) -> dict[str, Any]:
    """What the model card in the folder says of itself; nothing where there is none."""
    card = folder / "README.md"
    if not card.is_file():
        return {}
    import yaml

    match = re.match(r"---\s*\n(.*?)\n---\s*\n", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    try:
        said = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError as error:
        raise BadInput(f"the head of {card} is no YAML ({' '.join(str(error).split())}); correct it") from error
    return said if isinstance(said, dict) else {}


def _text(value: Any) -> str:
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, str) else ""


__all__ = ["LICENCES", "Origin", "origin_of", "start_of"]
