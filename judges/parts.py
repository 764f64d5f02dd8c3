"""How well everything that no edit touches was kept, part by part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.errors import BadInput
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.font import text_mask
from benchmarks.sandbox.render import CAPTION_TOP, caption_corner, object_mask, render, zoom_in
from benchmarks.sandbox.scene import CELLS, Scene
from judges.answers import Answers
from judges.measure import differs, near_match

MIN_PIXELS = 12  # at side 64; a part with fewer pixels says nothing
SHARPNESS = 2  # likeness of a part counts squared: a fifth of a cell overpainted costs more than a third


def preserved(answers: Answers, after: np.ndarray) -> float:
    """Share in 0..1: half the mean over parts, half the worst part."""
    edited = _edited(answers)
    things, ground = _parts(answers, edited)
    best = None
    for scene in _looks(answers):
        zoom = scene.zoom if scene.zoom != answers.scene.zoom else ""
        likeness = near_match(after, answers.paint(scene))

        def seen(mask: np.ndarray, zoom: str = zoom) -> np.ndarray:
            return zoom_in(mask[..., None], zoom)[..., 0] if zoom else mask

        kept = seen(~edited)
        overall = float(likeness[kept].mean()) if kept.any() else 1.0
        if best is None or overall > best[0]:
            scores = [_score(likeness, [seen(m) for m in masks], answers.side) for masks in (things, ground)]
            best = overall, scores
    assert best is not None  # the first look is the input's own
    groups = [scores for scores in best[1] if scores]
    if not groups:
        return 1.0
    mean = float(np.mean([np.mean(scores) for scores in groups]))
    return 0.5 * mean + 0.5 * min(min(scores) for scores in groups)


def _score(likeness: np.ndarray, masks: list[np.ndarray], side: int) -> list[float]:
    enough = MIN_PIXELS * (side / 64) ** 2
    return [float(likeness[m].mean()) ** SHARPNESS for m in masks if m.sum() >= enough]


def _edited(answers: Answers) -> np.ndarray:
    """bool[S, S]: every pixel that an edit of a single thing or of the caption changes, on the way or in the end; in the
    input's frame, whole-picture edits aside."""
    base = answers.work.scene
    final = replace(answers.scene, things=tuple(t for t in answers.work.things if t is not None), caption=base.caption)
    edited = differs(render(final, answers.side), answers.drawn)
    for i, edit in enumerate(answers.edits):
        if edit not in answers.whole_picture and (alone := answers.alone[i]) is not None:
            edited |= differs(alone, answers.before)
    return edited


def _parts(answers: Answers, edited: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Masks of the untouched things and caption, and of what remains of each cell and the caption band."""
    side, touched = answers.side, set(answers.work.touched)
    free = ~edited
    things = []
    for index, thing in enumerate(answers.scene.things):
        if index not in touched:
            mask = object_mask(thing, side) & ~edited
            things.append(mask)
            free &= ~mask
    if answers.scene.caption and "caption" not in touched:
        top, left = caption_corner(answers.scene.caption, side)
        ink = text_mask(answers.scene.caption, max(1, side // 64))
        mask = np.zeros_like(free)
        mask[top : top + ink.shape[0], left : left + ink.shape[1]] = True
        things.append(mask & free)
    ground = []
    rows = [round(r * CAPTION_TOP / 3 * side / 64) for r in range(4)]
    cols = [round(c * side / 3) for c in range(4)]
    boxes = [(slice(rows[r], rows[r + 1]), slice(cols[c], cols[c + 1])) for r, c in CELLS]
    for box in (*boxes, (slice(rows[3], side), slice(0, side))):
        mask = np.zeros_like(free)
        mask[box] = free[box]
        ground.append(mask)
    return things, ground


def _looks(answers: Answers) -> list[Scene]:
    """The input's scene under no, all, all but one and one of the edits of the whole picture."""
    edits = answers.whole_picture
    subsets = [(), edits, *(tuple(e for e in edits if e is not d) for d in edits), *((e,) for e in edits)]
    scenes: list[Scene] = []
    for subset in subsets:
        try:
            scene = apply_edits(answers.scene, subset)
        except BadInput:  # impossible alone, so it was not possible in the whole either
            continue
        if scene not in scenes:
            scenes.append(scene)
    return scenes


__all__ = ["preserved"]
