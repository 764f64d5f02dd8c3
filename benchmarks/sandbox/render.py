"""From a scene to pixels: exact, deterministic, fast (cached sprites, numpy blits)."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

from benchmarks.sandbox.backgrounds import background
from benchmarks.sandbox.font import text_mask
from benchmarks.sandbox.scene import CELL_NAMES, COLOURS, LARGEST_SIDE, SMALLEST_SIDE, Scene, Thing
from benchmarks.sandbox.shapes import FILL, OUTSIDE, sprite_classes
from common.errors import BadInput

OUTLINE_RGB = (18, 18, 24)
INKS = {"black": (0, 0, 0), "white": (255, 255, 255)}
CAPTION_TOP = 54  # first row of the caption band at side 64
LUMA = np.array([56, 155, 45])  # /256: near Rec. 709, chosen so that no two of the twelve colours meet in grayscale
CELL_OF = {name: cell for cell, name in CELL_NAMES.items()}


def luma(rgb: tuple[int, int, int]) -> float:
    return float(LUMA @ np.asarray(rgb)) / 256


@cache
def fill_colours(colour: str) -> np.ndarray:
    """uint8[5, 3]: the colour at each fill level (MAIN, CONTRAST, LIGHT, HIGHLIGHT, SHADE of shapes.py)."""
    rgb = np.asarray(COLOURS[colour], float)
    white, black = np.full(3, 255.0), np.zeros(3)
    contrast = rgb * 0.42 + white * 0.58 if luma(COLOURS[colour]) < 150 else rgb * 0.6 + black * 0.4
    rows = [rgb, contrast, rgb * 0.7 + white * 0.3, rgb * 0.25 + white * 0.75, rgb * 0.62]
    return np.rint(np.stack(rows)).astype(np.uint8)


def ink_for(rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    """Black or white, whichever stands out from this colour."""
    return INKS["white"] if luma(rgb) < 140 else INKS["black"]


def cell_centre(cell: tuple[int, int], side: int, nudge: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """(y, x) pixel of a cell's centre, as the corner between four pixels."""
    scale = side / 64
    y, x = 9 + 18 * cell[0] + nudge[0], (11, 32, 53)[cell[1]] + nudge[1]
    return round(y * scale), round(x * scale)


@lru_cache(maxsize=16384)
def _sprite(
    shape: str, colour: str, material: str, size: str, count: int, side: int
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Flat pixel offsets from the sprite's top-left corner, their RGB, and that corner relative to the cell's centre."""
    top, left, classes = sprite_classes(shape, material, size, count, side)
    ys, xs = np.nonzero(classes != OUTSIDE)
    # the palette is indexed by class: OUTSIDE (never drawn), OUTLINE, FILL + level
    palette = np.concatenate([[OUTLINE_RGB, OUTLINE_RGB], fill_colours(colour)]).astype(np.uint8)
    return ys * side + xs, palette[classes[ys, xs]], top, left


def _label_box(thing: Thing, side: int) -> tuple[int, int, np.ndarray]:
    """(top, left, bool[h, w] ink) of a thing's label, centred on the thing."""
    scale = max(1, side // 64)
    ink = text_mask(thing.label, scale)
    y, x = cell_centre(thing.cell, side, thing.nudge)
    return y - 3 * scale, x - 2 * len(thing.label) * scale, ink


def _draw_label(canvas: np.ndarray, thing: Thing) -> None:
    """Write the label; behind it the fill is plain, so that it can be read on any material."""
    side = canvas.shape[1]
    top, left, ink = _label_box(thing, side)
    sprite_top, sprite_left, classes = sprite_classes(thing.shape, thing.material, thing.size, thing.count, side)
    y, x = cell_centre(thing.cell, side, thing.nudge)
    pad = max(1, side // 64)
    box = np.zeros(classes.shape, dtype=bool)
    y0, x0 = top - pad - (y + sprite_top), left - pad - (x + sprite_left)
    box[max(y0, 0) : max(y0 + ink.shape[0] + 2 * pad, 0), max(x0, 0) : max(x0 + ink.shape[1] + 2 * pad, 0)] = True
    ys, xs = np.nonzero(box & (classes >= FILL))
    canvas[ys + y + sprite_top, xs + x + sprite_left] = COLOURS[thing.colour]
    ys, xs = np.nonzero(ink)
    ys, xs = ys + top, xs + left
    inside = (ys >= 0) & (ys < side) & (xs >= 0) & (xs < side)
    canvas[ys[inside], xs[inside]] = ink_for(COLOURS[thing.colour])


def _painted(thing: Thing, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Flat offsets in the picture of every pixel of a thing without its label, and their RGB. At some sides rounding moves the
    last column of a sprite out of the picture: it is left out, and does not come in again on the other edge."""
    offsets, colours, top, left = _sprite(thing.shape, thing.colour, thing.material, thing.size, thing.count, side)
    y, x = cell_centre(thing.cell, side, thing.nudge)
    if side != 64:  # where everything fits exactly
        ys, xs = offsets // side + y + top, offsets % side + x + left
        inside = (ys >= 0) & (ys < side) & (xs >= 0) & (xs < side)
        offsets, colours = offsets[inside], colours[inside]
    return offsets + ((y + top) * side + x + left), colours


def draw_thing(canvas: np.ndarray, thing: Thing) -> None:
    """Paint one thing (all its copies and its label) on uint8[H, W, 3] in place; H = W."""
    offsets, colours = _painted(thing, canvas.shape[1])
    canvas.reshape(-1, 3)[offsets] = colours
    if thing.label:
        _draw_label(canvas, thing)


@lru_cache(maxsize=64)
def caption_ink(name: str) -> tuple[int, int, int]:
    """Ink of a caption on this background."""
    return ink_for(tuple(background(name, 64)[CAPTION_TOP:].reshape(-1, 3).mean(0)))


def caption_corner(text: str, side: int) -> tuple[int, int]:
    """(top, left) pixel of a centred caption in the band under the grid."""
    scale = max(1, side // 64)
    return round((CAPTION_TOP + 3) * side / 64), side // 2 - 2 * len(text) * scale


def _draw_caption(canvas: np.ndarray, scene: Scene) -> None:
    side = canvas.shape[1]
    ink = text_mask(scene.caption, max(1, side // 64))
    top, left = caption_corner(scene.caption, side)
    canvas[top : top + ink.shape[0], left : left + ink.shape[1]][ink] = caption_ink(scene.background)


@cache
def _curves(light: str, tone: str) -> np.ndarray:
    """uint8[3, 256]: one look-up table per channel for light and the tones that keep colour. Gammas, so that nothing clips."""
    gamma = {"": (1, 1, 1), "brighter": (0.6,) * 3, "darker": (1.7,) * 3}[light]
    shift = {"warmer": (0.72, 0.95, 1.5), "cooler": (1.5, 0.95, 0.72)}.get(tone, (1, 1, 1))
    x = np.arange(256) / 255
    return np.stack([np.rint(255 * x ** (g * s)) for g, s in zip(gamma, shift, strict=True)]).astype(np.uint8)


def grade(image: np.ndarray, light: str = "", tone: str = "") -> np.ndarray:
    """The fixed photo edits on uint8[..., 3]: light first, then tone. The input is left as it is."""
    if light or tone in ("warmer", "cooler"):
        tables = _curves(light, tone)
        image = np.stack([tables[c][image[..., c]] for c in range(3)], axis=-1)
    if tone in ("grayscale", "sepia"):
        gray = (image.astype(np.int32) @ LUMA + 128) >> 8
        tint = np.array([256, 256, 256] if tone == "grayscale" else [256, 222, 176])
        image = ((gray[..., None] * tint) >> 8).astype(np.uint8)
    return image


def zoom_corner(cell: str, height: int, width: int) -> tuple[int, int]:
    """(top, left) of the half-size crop around a cell, clamped to the picture."""
    if cell not in CELL_OF:
        raise BadInput(f"zoom: unknown place {cell!r}; use one of {', '.join(CELL_OF)}")
    y, x = cell_centre(CELL_OF[cell], 64)
    top, left = round(y * height / 64) - height // 4, round(x * width / 64) - width // 4
    return min(max(top, 0), height - height // 2), min(max(left, 0), width - width // 2)


def zoom_in(image: np.ndarray, cell: str) -> np.ndarray:
    """Crop the half-size region around a cell of uint8[H, W, 3] and enlarge it to H x W (nearest pixel)."""
    height, width = image.shape[:2]
    top, left = zoom_corner(cell, height, width)
    rows = np.minimum(top + np.arange(height) // 2, height - 1)
    cols = np.minimum(left + np.arange(width) // 2, width - 1)
    return np.ascontiguousarray(image[rows[:, None], cols[None, :]])


def check_side(size: int) -> None:
    """Raises BadInput for a side in pixels that a picture cannot have."""
    if not SMALLEST_SIDE <= size <= LARGEST_SIDE:
        raise BadInput(f"size={size} cannot be drawn: a picture has {SMALLEST_SIDE} to {LARGEST_SIDE} pixels a side")


def render(scene: Scene, size: int = 64) -> np.ndarray:
    """uint8[size, size, 3] RGB of a scene. Raises BadInput for a side that a picture cannot have."""
    check_side(size)
    canvas = background(scene.background, size).copy()
    for thing in sorted(scene.things, key=lambda t: t.cell):  # whatever their order in the scene
        draw_thing(canvas, thing)
    if scene.caption:
        _draw_caption(canvas, scene)
    if scene.light or scene.tone:
        canvas = grade(canvas, scene.light, scene.tone)
    return zoom_in(canvas, scene.zoom) if scene.zoom else canvas


def object_mask(thing: Thing, size: int = 64) -> np.ndarray:
    """bool[size, size]: every pixel the thing paints (outline, fill, label), before any zoom."""
    mask = np.zeros((size, size), dtype=bool)
    mask.reshape(-1)[_painted(thing, size)[0]] = True
    if thing.label:
        top, left, ink = _label_box(thing, size)
        ys, xs = np.nonzero(ink)
        inside = (ys + top >= 0) & (ys + top < size) & (xs + left >= 0) & (xs + left < size)
        mask[ys[inside] + top, xs[inside] + left] = True
    return mask


__all__ = ["check_side", "draw_thing", "grade", "object_mask", "render", "zoom_in"]
