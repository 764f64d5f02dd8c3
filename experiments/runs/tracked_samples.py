"""The samples of a finished run that trackers show: request, pictures, scores. A few, so that no record grows large."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image

from common.filenames import folder_name
from common.jsonl import read_jsonl
from common.pictures import fitted, load_image
from experiments.evaluation.edit_scores import FILE as EDITOR_SCORES
from experiments.evaluation.names import ARMS, arm_name
from experiments.runs.results import Evaluation

MOST = 24  # samples of a table
EDITOR_PICTURES = "editor-pictures"
SIDE = 256  # pixels along the longer side of a picture in a strip


@dataclass(frozen=True)
class TrackedSample:
    """`results`: by the name of the arm, or before and after RL of an editor, the picture (None: it was not kept) and its overall
    score, rounded as tables show it."""

    id: str
    request: str
    given: Path
    results: dict[str, tuple[Path | None, float | None]] = field(default_factory=dict)

    def strip(self) -> Image.Image:
        """The given picture and all results side by side."""
        paths = [self.given, *(path for path, _ in self.results.values() if path is not None)]
        pictures = [fitted(load_image(path), SIDE) for path in paths]
        whole = Image.new("RGB", (sum(p.width for p in pictures), max(p.height for p in pictures)), "white")
        x = 0
        for picture in pictures:
            whole.paste(picture, (x, 0))
            x += picture.width
        return whole

    def caption(self) -> str:
        scores = [f"{arm} {score:.2f}" for arm, (_, score) in self.results.items() if score is not None]
        return " · ".join([self.request, *scores])


def tracked_samples(folder: Path) -> list[TrackedSample]:
    """At most MOST of the samples of the arms whose traces were kept; where there are none, of those that a trained editor was
    scored on."""
    found = list(islice(_of_arms(folder), MOST))
    return found or list(islice(_of_editor(folder), MOST))


def arms_of(samples: Sequence[TrackedSample]) -> list[str]:
    return list(dict.fromkeys(arm for sample in samples for arm in sample.results))


def _of_arms(folder: Path) -> Iterator[TrackedSample]:
    evaluation, traces = Evaluation.load(folder), folder / "traces"
    rows = next((rows for rows in evaluation.arms.values() if rows), [])
    arms = [arm for arm in ARMS if evaluation.arms.get(arm)]
    by_arm = {arm: {r["i"]: r for r in evaluation.arms[arm]} for arm in arms}
    for row in rows:
        name = folder_name(row["id"])
        given = next((p for arm in arms if (p := traces / arm / name / "0.png").is_file()), None)
        if given is None:
            continue
        results = {}
        for arm in arms:
            last = max((traces / arm / name).glob("[0-9]*.png"), key=lambda p: int(p.stem), default=None)
            results[arm_name(arm)] = (last, overall(by_arm[arm].get(row["i"], {})))
        yield TrackedSample(row["id"], row["request"], given, results)


def overall(row: Mapping[str, Any]) -> float | None:
    score = row.get("scores", {}).get("overall")
    return None if score is None else round(score, 2)


def _of_editor(folder: Path) -> Iterator[TrackedSample]:
    place, path = folder / EDITOR_PICTURES, folder / EDITOR_SCORES
    rows = read_jsonl(path) if path.is_file() else []
    by_sample: dict[int, dict[str, dict]] = {}
    for row in rows:
        by_sample.setdefault(row["i"], {})[row["when"]] = row
    for i, own in sorted(by_sample.items()):
        given = place / f"{i:03d}-given.png"
        if not given.is_file():
            continue
        results = {}
        for when, row in own.items():
            picture = place / f"{i:03d}-{when}.png"
            results[f"editor {when} RL"] = (picture if picture.is_file() else None, overall(row))
        first = next(iter(own.values()))
        yield TrackedSample(first["id"], first["request"], given, results)


__all__ = ["MOST", "TrackedSample", "arms_of", "tracked_samples"]
