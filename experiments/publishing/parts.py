"""The parts that a run trained, by where its stages leave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.dotted import nearest
from common.errors import BadInput, MissingFile

# Below a run's folder, the one that `part=<kind>` means first. Later ones are what the first is compared with.
PLACES = (
    ("decomposer", "decomposer"),
    ("start", "decomposer"),
    ("rrm/gcpo", "rrm"),
    ("rrm/*", "rrm"),
    ("intent", "intent"),
    ("sessions/edit_r2/intent", "intent"),
    ("sessions/*/intent", "intent"),
    ("editor", "editor"),
    ("sessions/edit_r2/editor", "editor"),
    ("sessions/*/editor", "editor"),
)
INDEX = {"editor": "model_index.json"}  # the file that every loader reads first; config.json of the others


@dataclass(frozen=True)
class TrainedPart:
    """`name` is its place below the run's folder, for example `sessions/edit_r2/editor`; `kind` is decomposer, rrm, intent or
    editor."""

    name: str
    kind: str
    folder: Path

    @property
    def arm(self) -> str:
        """The arm of a run that trained several of a kind, for example gcpo or edit_r2; "" of one that did not."""
        words = self.name.split("/")
        return {"rrm": words[-1], "sessions": words[-2] if len(words) > 1 else ""}.get(words[0], "")


def trained_parts(run: Path) -> list[TrainedPart]:
    """Everything that the run trained, the main one of each kind before the others of its kind."""
    found: dict[Path, TrainedPart] = {}
    for pattern, kind in PLACES:
        for folder in sorted(run.glob(pattern)):
            if (folder / INDEX.get(kind, "config.json")).is_file():
                found.setdefault(folder, TrainedPart(folder.relative_to(run).as_posix(), kind, folder))
    return list(found.values())


def choose(run: Path, name: str = "") -> TrainedPart:
    """The part with this name or of this kind; without a name the only kind that there is.

    Raises MissingFile where the run has trained nothing, BadInput naming what there is.
    """
    parts = trained_parts(run)
    if not parts:
        raise MissingFile(
            f"{run} has no trained model (decomposer/, rrm/, intent/, editor/ or sessions/): has its training ended? "
            "The command that made it goes on from where it stopped"
        )
    if name:
        for part in parts:
            if name in (part.name, part.kind):
                return part
        raise BadInput(f"part={name}: {run} has no such part{nearest(name, names(parts), 'part=', True)}")
    kinds = list(dict.fromkeys(part.kind for part in parts))
    if len(kinds) > 1:
        choices = ", ".join(f"part={kind}" for kind in kinds)
        raise BadInput(f"{run} has several trained parts; choose one: {choices}")
    return parts[0]


def names(parts: Sequence[TrainedPart]) -> list[str]:
    return list(dict.fromkeys([*(p.kind for p in parts), *(p.name for p in parts)]))


__all__ = ["PLACES", "TrainedPart", "choose", "names", "trained_parts"]
