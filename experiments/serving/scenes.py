"""Scenes of the sandbox to start from, each with requests that make sense on it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from PIL import Image

from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.scene import BACKGROUNDS, COLOURS, SHAPES

FIXED = (1, 4, 8, 12, 21, 34)  # scenes with several things in them
SEEDS = 100_000


@dataclass(frozen=True)
class Start:
    """`examples`: requests, from a plain one to the one that the benchmark asks of this scene."""

    seed: int
    picture: Image.Image
    examples: tuple[str, ...]


def start(seed: int, size: int = 64) -> Start:
    """Scene number `seed` of the test split, which no model was trained on."""
    sample = SandboxBenchmark("test", size=size).sample(seed)
    assert isinstance(sample, SandboxSample)
    return Start(seed, sample.image, examples(sample))


def examples(sample: SandboxSample) -> tuple[str, ...]:
    """A plain request, one of two steps, one about the whole picture, and the benchmark's own."""
    scene, rng = sample.before, Random(sample.id)
    things = [thing for thing in scene.things if thing.count == 1]
    other = rng.choice([b for b in BACKGROUNDS if b != scene.background])
    made = []
    if things:
        first, last = things[0], things[-1]
        colour = rng.choice([c for c in COLOURS if c != first.colour])
        made.append(f"change the color of the {first.name} to {colour}")
        if last is not first:
            made.append(f"make the {first.name} {colour}, then remove the {last.name}")
    made.append(f"change the background to {other}")
    return tuple(dict.fromkeys((*made, sample.request)))


def known() -> str:
    """What the small models know, in a sentence."""
    return (
        "These are tiny models that know nothing but scenes like those offered here "
        f"({len(SHAPES)} shapes in {len(COLOURS)} colours, with simple English). They often miss a request; photographs and "
        "other languages are refused."
    )


__all__ = ["FIXED", "SEEDS", "Start", "examples", "known", "start"]
