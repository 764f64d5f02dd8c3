"""From pixels back to a scene, by analysis and synthesis: explain the background, then each cell, then the caption.

All costs are mean absolute differences over the three channels, cut off at CAP, so that one wrong pixel counts as much as
any other wrong pixel. Exact on the world's own renders; on anything else the best guess, never an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
from PIL import Image

from benchmarks.sandbox.backgrounds import background
from benchmarks.sandbox.ocr import read
from benchmarks.sandbox.render import (
    OUTLINE_RGB,
    caption_corner,
    caption_ink,
    draw_thing,
    fill_colours,
    grade,
    ink_for,
    render,
    zoom_corner,
)
from benchmarks.sandbox.scene import (
    BACKGROUNDS,
    CELL_NAMES,
    CELLS,
    COLOURS,
    LIGHTS,
    MATERIALS,
    MAX_CAPTION,
    MAX_LABEL,
    TONES,
    Scene,
    Thing,
)
from benchmarks.sandbox.silhouettes import (
    LEVELS,
    PIXELS,
    SIDE,
    SILHOUETTES,
    WINDOW_INDEX,
    class_matrix,
    fill_index,
    sample,
    window_of,
)

CAP = 80.0  # a pixel further off than this is simply wrong
SLACK = 4 * CAP  # a thing must explain more than four wholly wrong pixels
SKIES = tuple(product(BACKGROUNDS, ("", *LIGHTS), ("", *TONES)))  # every look of an empty scene
MAX_SCALE = 8  # sides up to 512 are read at their own resolution
KEPT_SILHOUETTES, KEPT_SKIES, KEPT_FITS = 6, 8, 3


@dataclass(frozen=True)
class Perception:
    """The scene seen, and the mean cost per pixel of re-rendering it (0: exact; above about 15: no sandbox picture)."""

    scene: Scene
    error: float


@dataclass(frozen=True)
class View:
    """What is looked at: uint8[64, 64, 3] sample pixels of a picture of 64 k pixels a side; `seen` bool[64, 64] marks those
    that are known (a zoomed picture shows only a part)."""

    image: np.ndarray
    seen: np.ndarray
    k: int = 1

    def window(self, cell: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        rows, cols = window_of(cell)
        return self.image[rows, cols], self.seen[rows, cols]


@cache
def _skies(k: int) -> np.ndarray:
    """uint8[150, 4096, 3]: the sample pixels of every graded background at side 64 k."""
    return np.stack([grade(sample(background(b, SIDE * k), k), light, tone).reshape(-1, 3) for b, light, tone in SKIES])


@cache
def _palette(light: str, tone: str) -> np.ndarray:
    """int16[3, 12*5]: every fill colour at every level, graded; colour is the slow index."""
    fills = np.concatenate([fill_colours(c) for c in COLOURS])
    return grade(fills[None], light, tone)[0].astype(np.int16).T.copy()


def _graded(rgb: tuple[int, int, int], light: str, tone: str) -> np.ndarray:
    return grade(np.array([[rgb]], dtype=np.uint8), light, tone)[0, 0].astype(np.int16)


def _cost(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float32[...]: capped mean absolute difference of two integer images [..., 3]."""
    d = np.abs(a.astype(np.int16) - b.astype(np.int16))
    return np.minimum((d[..., 0] + d[..., 1] + d[..., 2]) * np.float32(1 / 3), CAP)


# ------------------------------------------------------------------------------------------------- size and background
def view_of(image: np.ndarray) -> View:
    """A view of uint8[H, W, 3] of any size; sides that are no multiple of 64 (or not equal) are brought to the next one by
    nearest pixel, which keeps edges sharp."""
    height, width = image.shape[:2]
    k = min(max(-(-max(height, width) // SIDE), 1), MAX_SCALE)
    if (height, width) != (SIDE * k, SIDE * k):
        image = np.asarray(Image.fromarray(image).resize((SIDE * k, SIDE * k), Image.Resampling.NEAREST))
    return View(np.ascontiguousarray(sample(image, k)), np.ones((SIDE, SIDE), dtype=bool), k)


@cache
def _few_skies(top: int, left: int, side: int, step: int, k: int) -> np.ndarray:
    """uint8[150, n, 3]: every step-th pixel of a square crop of every graded background."""
    crop = _skies(k).reshape(-1, SIDE, SIDE, 3)[:, top : top + side, left : left + side]
    return np.ascontiguousarray(crop.reshape(len(crop), -1, 3)[:, ::step])


def _rank_skies(image: np.ndarray, k: int, top: int = 0, left: int = 0) -> list[tuple[float, int]]:
    """The likeliest graded backgrounds as (mean cost, index), best first, for a square uint8[s, s, 3] that shows the crop
    at (top, left). The steps do not divide 64, so that no column is left out."""
    pixels, side = image.reshape(-1, 3), len(image)
    rough = _cost(_few_skies(top, left, side, 13, k), pixels[::13]).mean(1)
    keep = np.argsort(rough, kind="stable")[:KEPT_SKIES]
    fine = _cost(_few_skies(top, left, side, 3, k)[keep], pixels[::3]).mean(1)
    return sorted(zip(fine.tolist(), keep.tolist(), strict=True))


# ------------------------------------------------------------------------------------------------------------- things
def _fit_things(view: View, sky: int, labels: Sequence[str] | None = None) -> tuple[Thing, ...]:
    """The things that explain a view on a graded background; `labels`: all the labels that they can bear, None for any."""
    _, light, tone = SKIES[sky]
    flat, seen = view.image.reshape(-1, 3), view.seen.ravel()
    base = np.where(seen, _cost(flat, _skies(view.k)[sky]), 0)
    base_cost = base[WINDOW_INDEX]
    busy = np.nonzero(base_cost.sum(1) > SLACK)[0]
    if not len(busy):
        return ()
    windows = flat[WINDOW_INDEX[busy]].astype(np.int16)  # [cells, 396, 3]
    visible = seen[WINDOW_INDEX[busy]]
    palette = _palette(light, tone)
    levels = np.abs(windows[..., 0, None] - palette[0])  # [cells, 396, 60]
    for c in (1, 2):
        levels += np.abs(windows[..., c, None] - palette[c])
    levels = np.minimum(levels, int(3 * CAP)) * np.float32(1 / 3) * visible[..., None]
    inks = [_cost(windows, _graded(ink, light, tone)) for ink in ((0, 0, 0), (255, 255, 255))]
    fill = np.minimum(levels.min(-1), np.minimum(*inks)) * visible
    outline = _cost(windows, _graded(OUTLINE_RGB, light, tone)) * visible
    around = base_cost[busy]
    gains = np.concatenate([outline - around, fill - around], 1).astype(np.float32)
    totals = around.sum(1, keepdims=True) + gains @ class_matrix(view.k)  # [cells, silhouettes]
    things = []
    for k, cell in enumerate(busy):
        thing, cost = _fit_cell(view, sky, CELLS[cell], totals[k], fill[k], levels[k], labels)
        before = base_cost[cell].sum()
        if before - cost > SLACK and cost < 0.85 * before:
            things.append(thing)
    return tuple(things)


def _fit_cell(
    view: View,
    sky: int,
    cell: tuple[int, int],
    totals: np.ndarray,
    fill: np.ndarray,
    levels: np.ndarray,
    labels: Sequence[str] | None,
) -> tuple[Thing, float]:
    """The best thing for one cell and its cost over the cell's window."""
    near = np.argpartition(totals, KEPT_SILHOUETTES)[:KEPT_SILHOUETTES]
    near = near[np.argsort(totals[near], kind="stable")]
    near = near[totals[near] <= totals[near[0]] * 1.6 + 4 * CAP]
    # cost of each pixel being fill at a level, by colour: [396 * 5, 12]
    by_colour = levels.reshape(PIXELS, len(COLOURS), LEVELS).transpose(0, 2, 1).reshape(PIXELS * LEVELS, -1)
    fits: list[tuple[float, int, int, int]] = []
    for silhouette in near:
        index = fill_index(int(silhouette), view.k)
        rest = float(totals[silhouette]) - float(fill[index[0] // LEVELS].sum())
        costs = by_colour[index].sum(1) + rest  # [materials, colours]
        for flat in np.argpartition(costs.ravel(), KEPT_FITS)[:KEPT_FITS]:
            fits.append((float(costs.flat[flat]), int(silhouette), *divmod(int(flat), len(COLOURS))))
    fits.sort()
    tries = [(cost, _thing(cell, *fit)) for cost, *fit in fits[: 2 * KEPT_FITS]]
    if tries[0][0] <= 3 * CAP:  # nothing left to explain, so no label
        return tries[0][1], tries[0][0]
    if labels is None:
        labelled = [_fit_label(view, sky, thing, cost) for cost, thing in tries]
    else:
        labelled = [_fit_known_label(view, sky, thing, cost, labels) for cost, thing in tries]
    thing, cost = min(labelled, key=lambda fit: fit[1])
    if thing.label and cost > 0:  # the label hid much of the pattern when the material was chosen
        window, visible = view.window(cell)
        others = [replace(thing, material=m) for m in MATERIALS if m != thing.material]
        redrawn = [(float((_cost(window, _drawn(view.k, sky, t)) * visible).sum()), t) for t in others]
        cost, thing = min([(cost, thing), *redrawn], key=lambda r: r[0])
    return thing, cost


def _thing(cell: tuple[int, int], silhouette: int, material: int, colour: int) -> Thing:
    shape, size, count, nudge = SILHOUETTES[silhouette]
    return Thing(shape, tuple(COLOURS)[colour], cell, MATERIALS[material], size, count, "", nudge)


def _drawn(k: int, sky: int, thing: Thing) -> np.ndarray:
    """uint8[18, 22, 3]: the thing alone on its background, graded, in its cell's window."""
    name, light, tone = SKIES[sky]
    canvas = background(name, SIDE * k).copy()
    draw_thing(canvas, thing)
    return grade(sample(canvas, k)[window_of(thing.cell)], light, tone)


def _fit_label(view: View, sky: int, thing: Thing, cost: float) -> tuple[Thing, float]:
    """The thing with the label that explains its window best, or as it came."""
    _, light, tone = SKIES[sky]
    window, visible = view.window(thing.cell)
    ink = _cost(window, _graded(ink_for(COLOURS[thing.colour]), light, tone)) * visible
    top = 9 + thing.nudge[0] - 3
    best = thing, cost
    for length in range(1, MAX_LABEL + 1):
        blank = _cost(window, _drawn(view.k, sky, replace(thing, label=" " * length))) * visible
        gain = (blank - ink)[top : top + 5]
        text, gained = read(gain, 11 + thing.nudge[1], length)
        total = float(blank.sum()) - gained
        if len(text) == length and total < best[1] - CAP:
            best = replace(thing, label=text), total
    return best


def _fit_known_label(view: View, sky: int, thing: Thing, cost: float, labels: Sequence[str]) -> tuple[Thing, float]:
    """As `_fit_label` where there are only these labels to choose from."""
    window, visible = view.window(thing.cell)
    best = thing, cost
    for text in labels:
        labelled = replace(thing, label=text)
        total = float((_cost(window, _drawn(view.k, sky, labelled)) * visible).sum())
        if total < best[1] - CAP:
            best = labelled, total
    return best


# ------------------------------------------------------------------------------------------------------------ caption
def _fit_caption(view: View, sky: int) -> str:
    name, light, tone = SKIES[sky]
    top, _ = caption_corner("", SIDE)
    rows = slice(top, top + 5)
    base = _cost(view.image[rows], _skies(view.k)[sky].reshape(SIDE, SIDE, 3)[rows])
    ink = _cost(view.image[rows], _graded(caption_ink(name), light, tone))
    text, gained = read((base - ink) * view.seen[rows], SIDE // 2, MAX_CAPTION)
    return text if gained > 3 * CAP else ""


# ----------------------------------------------------------------------------------------------------------- the whole
def _explain(view: View, skies: Sequence[int], labels: Sequence[str] | None, zoom: str = "") -> Perception:
    """The best scene among some graded backgrounds."""
    candidates = []
    for sky in skies:
        name, light, tone = SKIES[sky]
        scene = Scene(name, _fit_things(view, sky, labels), _fit_caption(view, sky))
        drawn = grade(sample(render(scene, SIDE * view.k), view.k), light, tone)  # grading is pixel by pixel
        error = float(_cost(drawn, view.image)[view.seen].mean())
        candidates.append(Perception(replace(scene, light=light, tone=tone, zoom=zoom), error))
    return min(candidates, key=lambda p: p.error)


def _close_ones(ranked: Sequence[tuple[float, int]], limit: int = 3) -> list[int]:
    """The backgrounds that cannot be told from the best one before the things are explained."""
    return [sky for cost, sky in ranked[:limit] if cost <= ranked[0][0] * 1.04 + 0.15]


def _unzoomed(view: View, labels: Sequence[str] | None) -> Perception | None:
    """The best explanation as an enlarged half of a scene, or None where the pixels do not come in twos."""
    x = view.image.astype(np.int16)
    inside = np.abs(x[::2] - x[1::2]).mean() + np.abs(x[:, ::2] - x[:, 1::2]).mean()
    between = np.abs(x[1:-1:2] - x[2::2]).mean() + np.abs(x[:, 1:-1:2] - x[:, 2::2]).mean()
    if inside > 0.25 * between:
        return None
    half = view.image[::2, ::2]
    tries = []
    for cell in CELL_NAMES.values():
        top, left = zoom_corner(cell, SIDE, SIDE)
        ranked = _rank_skies(half, view.k, top, left)
        tries.append((ranked[0][0], cell, top, left, _close_ones(ranked, 2)))
    candidates: list[Perception] = []
    for _, cell, top, left, skies in sorted(tries)[:4]:
        whole, seen = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), bool)
        whole[top : top + SIDE // 2, left : left + SIDE // 2] = half
        seen[top : top + SIDE // 2, left : left + SIDE // 2] = True
        candidates.append(_explain(View(whole, seen, view.k), skies, labels, cell))
    return min(candidates, key=lambda p: p.error)


def perceive_fully(image: np.ndarray, labels: Sequence[str] | None = None) -> Perception:
    """What uint8[H, W, 3] shows, with the error of the explanation. Any size from 1x1.

    `labels`: all the labels that things in this picture can bear, where they are known (() for none); reading any label
    takes most of the time that an imperfect picture needs."""
    view = view_of(image)
    best = _explain(view, _close_ones(_rank_skies(view.image, view.k)), labels)
    if best.error > 3 and (zoomed := _unzoomed(view, labels)) is not None and zoomed.error < best.error:
        return zoomed
    return best


def perceive(image: np.ndarray) -> Scene:
    """The scene in uint8[H, W, 3], from its pixels alone; things come in reading order."""
    return perceive_fully(image).scene
