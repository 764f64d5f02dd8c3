"""Edited pictures of every worth: what editors of different skill could have made of a request.

A candidate is the exact answer with faults: an edit left out, done with another value or to another thing, something touched that
was to stay, and a picture that is blurred, noisy, speckled or only half changed. Which faults come together is a function of the
generator's state alone. How good a candidate is remains for a judge to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.base import Edit
from benchmarks.sandbox import scene as S
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SandboxSample
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene, Thing
from common.errors import BadInput

# weights of what happens to each wanted edit
FATES = {"done": 0.62, "left out": 0.14, "other value": 0.14, "other thing": 0.1}
DAMAGED, FAULTY, HALF = (
    0.35,
    0.35,
    0.15,
)  # shares: something else touched; a fault of the pixels; a blend with the source


@dataclass(frozen=True)
class SandboxCandidate:
    """A possible result. `scene`: what it shows, before the faults of its pixels; `faults` names what went wrong."""

    picture: Image.Image
    scene: Scene
    faults: tuple[str, ...]


def candidate(sample: SandboxSample, rng: Random) -> SandboxCandidate:
    """One candidate for the sample."""
    faults: list[str] = []
    scene = _edited(sample, rng, faults)
    if rng.random() < DAMAGED:
        scene = _damaged(scene, sample, rng, faults)
    pixels = render(scene, sample.size)
    if rng.random() < HALF:
        share = rng.uniform(0.25, 0.8)
        blend = share * pixels.astype(np.float32) + (1 - share) * np.asarray(sample.image, np.float32)
        pixels = blend.round().astype(np.uint8)
        faults.append("half changed")
    picture = Image.fromarray(pixels)
    if rng.random() < FAULTY:
        name = rng.choice(tuple(PIXEL_FAULTS))
        picture = PIXEL_FAULTS[name](picture, rng)
        faults.append(name)
    return SandboxCandidate(picture, scene, tuple(faults))


def _edited(sample: SandboxSample, rng: Random, faults: list[str]) -> Scene:
    """The scene after the wanted edits, each of which met its fate."""
    edits: list[Edit] = []
    for edit in sample.gold:
        fate = rng.choices(tuple(FATES), tuple(FATES.values()))[0]
        done = _with_fate(edit, fate, sample.before, rng)
        if done is None:
            faults.append("left out")
            continue
        if done != edit:
            faults.append(fate)
        edits.append(done)
    while True:
        try:
            return apply_edits(sample.before, tuple(edits))
        except BadInput:  # two edits that are impossible together, such as a place that is taken
            faults.append("left out")
            edits.pop(rng.randrange(len(edits)))


def _with_fate(edit: Edit, fate: str, scene: Scene, rng: Random) -> Edit | None:
    if fate == "done":
        return edit
    if fate == "other value" and edit.goal is not None and (values := _values(edit)):
        return replace(edit, goal=rng.choice([v for v in values if v != edit.goal]))
    others = [t.name for t in scene.things if t.name not in edit.subject]
    if (
        fate == "other thing"
        and others
        and edit.action in ("remove", "replace", "recolor", "material", "move", "count")
    ):
        return replace(edit, subject=rng.choice(others))
    return None


def _values(edit: Edit) -> tuple[str, ...]:
    """Goals of the same kind; none where a wrong value is no matter of a short list."""
    cells = tuple(S.CELL_NAMES.values())
    return {
        "recolor": tuple(S.COLOURS),
        "material": S.MATERIALS,
        "count": tuple(str(n) for n in range(1, S.MAX_COUNT + 1)),
        "background": S.BACKGROUNDS,
        "relight": S.LIGHTS,
        "tone": S.TONES,
        "add": cells,
        "move": cells,
        "replace": tuple(f"{colour} {shape}" for colour in ("red", "blue", "green") for shape in S.SHAPES),
    }.get(edit.action, ())


def _damaged(scene: Scene, sample: SandboxSample, rng: Random, faults: list[str]) -> Scene:
    """The scene with something changed that nobody asked for."""
    wanted = " ".join(e.subject for e in sample.gold)
    kept = [t for t in scene.things if t in sample.before.things and t.name not in wanted]
    kind = rng.choice(("background", "thing", "thing", "new"))
    if kind == "background" and all(e.action != "background" for e in sample.gold):
        faults.append("other background")
        return replace(scene, background=rng.choice([b for b in S.BACKGROUNDS if b != scene.background]))
    if kind == "new" and (free := scene.free_cells):
        faults.append("something added")
        thing = Thing(rng.choice(S.SHAPES), rng.choice(tuple(S.COLOURS)), rng.choice(free))
        return replace(scene, things=tuple(sorted((*scene.things, thing), key=lambda t: t.cell)))
    if not kept:
        return scene
    thing = rng.choice(kept)
    change = rng.choice(("lost", "recoloured", "replaced"))
    faults.append(f"something {change}")
    if change == "lost":
        return scene.with_thing(thing, None)
    if change == "recoloured":
        colour = rng.choice([c for c in S.COLOURS if c != thing.colour])
        return scene.with_thing(thing, replace(thing, colour=colour))
    shape = rng.choice([s for s in S.SHAPES if s != thing.shape])
    return scene.with_thing(thing, replace(thing, shape=shape, label=""))


def _blurred(picture: Image.Image, rng: Random) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 2.0) * picture.width / 64))


def _noisy(picture: Image.Image, rng: Random) -> Image.Image:
    pixels = np.asarray(picture, np.float32)
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(5, 30), pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).round().astype(np.uint8))


def _speckled(picture: Image.Image, rng: Random) -> Image.Image:
    pixels = np.array(picture)
    draw = np.random.default_rng(rng.getrandbits(32))
    hit = draw.random(pixels.shape[:2]) < rng.uniform(0.01, 0.06)
    pixels[hit] = draw.integers(0, 256, (int(hit.sum()), 3))
    return Image.fromarray(pixels)


PIXEL_FAULTS: dict[str, Callable[[Image.Image, Random], Image.Image]] = {
    "blurred": _blurred,
    "noisy": _noisy,
    "speckled": _speckled,
}

__all__ = ["FATES", "PIXEL_FAULTS", "SandboxCandidate", "candidate"]
