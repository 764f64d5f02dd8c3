"""Evaluation points of a sandbox request and their right answers, by program: from the wanted edits, what the given picture shows,
and the exact judge's verdict on a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from benchmarks.base import Edit, EditSample, explicit_instruction
from benchmarks.sandbox.generate import SandboxSample
from benchmarks.sandbox.perceive import perceive_fully
from benchmarks.sandbox.scene import Scene
from common.errors import BadInput
from common.pictures import to_rgb
from judges.base import Verdict
from judges.pixels import square
from judges.reasoning.points import FOLLOW, KEEP, QUALITY, Point
from judges.sandbox import side_for

MOST_KEPT = 2  # points about what is to stay
DONE, KEPT, GOOD = 0.75, 0.85, 0.8  # from these shares on a point is met; when in doubt it is not
BACKGROUND = "background"
SHARP, CLEAN = Point("is the picture sharp?", QUALITY), Point("is the picture free of noise?", QUALITY)


def sandbox_points(sample: EditSample) -> tuple[Point, ...]:
    """A point for each wanted edit, up to two for what no edit touches (chosen by the sample alone), and two for the picture's
    quality. Raises BadInput for a sample without wanted edits or picture."""
    if not sample.gold:
        raise BadInput(f"sample {sample.id!r} has no wanted edits, from which the sandbox's evaluation points are made")
    follow = dict.fromkeys(map(asks_for, sample.gold))
    kept = [Point(f"is the {name} kept as it was?", KEEP) for name in _to_keep(sample)]
    return (*(Point(question, FOLLOW) for question in follow), *kept, SHARP, CLEAN)


def asks_for(edit: Edit) -> str:
    """The question whether an edit is done. Letters that are to be written are left out: a small model cannot repeat them."""
    said = explicit_instruction(edit if edit.action != "text" else replace(edit, goal=None))
    return f"is this done: {said}?"


def _to_keep(sample: EditSample) -> list[str]:
    """Names of things that no edit mentions, and the background where no edit changes the whole picture."""
    wanted = " ; ".join(f"{e.subject} {e.goal or ''}" for e in sample.gold)
    names = [t.name for t in scene_of(sample).things if t.name not in wanted]
    if all(e.action not in ("background", "relight", "tone", "zoom") for e in sample.gold):
        names.append(BACKGROUND)
    rng = Random(f"points/{sample.request}/{names}")
    return sorted(rng.sample(names, min(MOST_KEPT, len(names))), key=names.index)


def scene_of(sample: EditSample) -> Scene:
    """What the given picture shows: known, or perceived in it."""
    if isinstance(sample, SandboxSample):
        return sample.before
    if sample.image is None:
        raise BadInput(f"sample {sample.id!r} has no picture; evaluation points need one")
    picture = to_rgb(sample.image)
    return perceive_fully(np.asarray(square(picture, side_for(picture.size)))).scene


def right_answers(sample: EditSample, points: Sequence[Point], verdict: Verdict) -> tuple[int, ...]:
    """1 or 0 for each of the sample's points, from the exact judge's verdict. Raises BadInput for an invalid verdict, or where the
    points are not the sample's."""
    if not verdict.valid:
        raise BadInput(f"sample {sample.id!r}: an invalid verdict answers no points ({verdict.reason})")
    raw: Mapping[str, Any] = verdict.raw
    credits: dict[str, float] = {}
    for edit, row in zip(sample.gold, raw["edits"], strict=True):
        question = asks_for(edit)
        value = (
            1.0 if row["credit"] is None else float(row["credit"])
        )  # it cannot show: nothing says that it was not done
        credits[question] = min(credits.get(question, 1.0), value)
    quality = raw["quality"]
    return tuple(int(_met(point, credits, raw, quality)) for point in points)


def _met(point: Point, credits: Mapping[str, float], raw: Mapping[str, Any], quality: Mapping[str, float]) -> bool:
    if point == SHARP:
        return bool(quality["sharpness"] >= GOOD)
    if point == CLEAN:
        return bool(quality["noise"] * quality["specks"] >= GOOD)
    if point.kind == FOLLOW and point.question in credits:
        return credits[point.question] >= DONE
    if point.kind == KEEP:
        name = point.question.removeprefix("is the ").removesuffix(" kept as it was?")
        if name == BACKGROUND:
            return raw["background_kept"] is None or raw["background_kept"] >= KEPT
        return bool(raw["things_kept"].get(name, 1.0) >= KEPT)  # hidden by the edits: it cannot be held against them
    raise BadInput(f"{point.question!r} is no evaluation point of this request")


__all__ = ["right_answers", "sandbox_points", "scene_of"]
