"""What a run made and used, as artifacts of Weights & Biases, so that its graph shows which run made a model and which used it.

A model's name ends in a digest of its contents, and its artifact has the same files wherever the folder lies: a run whose
`editor.checkpoint` is another run's `editor/` uses the very version that the other one made. Models above a size are not
uploaded: theirs have only `model.json`, with the names and sizes of the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.contents import digest
from common.parts import CHECKPOINT
from experiments.evaluation.listing import ITEMS
from experiments.runs.contents import contents_of, place_of
from experiments.runs.identity import load_config

USERS = ("decomposer", "editor", "rrm", "intent")  # parts of a run that have weights
OTHER = re.compile(r"(checkpoints.*|wandb.*|tensorboard|traces|\..*)")  # folders of a run without results
CARD = "model.json"
MIB = 2**20


@dataclass(frozen=True)
class Model:
    """A checkpoint's folder with the digest of its contents."""

    folder: Path
    digest: str

    @classmethod
    def of(cls, folder: Path) -> Model:
        return cls(folder, digest(folder, CHECKPOINT))

    @property
    def name(self) -> str:
        return f"{re.sub(r'[^A-Za-z0-9_.-]', '-', self.folder.name)}-{self.digest}"

    def files(self) -> dict[str, Path]:
        found = {p for pattern in CHECKPOINT for p in self.folder.glob(pattern) if p.is_file()}
        return {p.relative_to(self.folder).as_posix(): p for p in sorted(found)}

    def artifact(self, most_mib: float) -> Any:
        """Its files, where they are `most_mib` at most together."""
        import wandb

        files = self.files()
        sizes = {name: path.stat().st_size for name, path in files.items()}
        made = wandb.Artifact(self.name, type="model", metadata={"digest": self.digest, "bytes": sum(sizes.values())})
        with made.new_file(CARD) as card:
            card.write(json.dumps({"digest": self.digest, "files": sizes}, indent=1))
        if sum(sizes.values()) <= most_mib * MIB:
            for name, path in files.items():
                made.add_file(str(path), name=name, policy="immutable")  # without a copy of it first
        return made


def made_by(run: Path) -> list[Model]:
    """The models in a run's folder, but not the parts of a pipeline on their own."""
    return [Model.of(folder) for folder in _models_in(run, depth=3)]


def _models_in(folder: Path, depth: int) -> Iterator[Path]:
    for inner in sorted(p for p in folder.iterdir() if p.is_dir() and not OTHER.fullmatch(p.name)):
        if (inner / "config.json").is_file() or (inner / "model_index.json").is_file():
            yield inner
        elif depth > 1:
            yield from _models_in(inner, depth - 1)


def used_by(run: Path) -> list[Model]:
    """The checkpoints that a run started from or asked, each once; those that are not on this machine are left out."""
    config = load_config(run)
    parts = [part for name in USERS if (part := getattr(config, name)) is not None]
    places = [place_of(content) for part in parts for content in contents_of(part)]
    folders = dict.fromkeys(place.resolve() for place in places if place is not None and place.is_dir())
    models = {m.digest: m for m in map(Model.of, folders) if m.files()}
    return list(models.values())


def evaluated_on(run: Path) -> list[Any]:
    """The lists of items that a run was evaluated on, as artifacts."""
    import wandb

    made = []
    for items in sorted(run.glob(f"*/{ITEMS}")):
        artifact = wandb.Artifact(f"{items.parent.name}-{digest(items)}", type="evaluation-set")
        artifact.add_file(str(items), policy="immutable")
        made.append(artifact)
    return made


__all__ = ["CARD", "Model", "evaluated_on", "made_by", "used_by"]
