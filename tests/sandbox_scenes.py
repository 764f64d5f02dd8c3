"""Random scenes for tests, deterministic by seed and independent of the benchmark's generator."""

from random import Random

from benchmarks.sandbox import scene as S
from benchmarks.sandbox.scene import Scene, Thing

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def text(rng: Random, most: int) -> str:
    return "".join(rng.choice(LETTERS) for _ in range(rng.randint(1, most)))


def random_thing(rng: Random, cell: tuple[int, int]) -> Thing:
    shape, colour, material = rng.choice(S.SHAPES), rng.choice(tuple(S.COLOURS)), rng.choice(S.MATERIALS)
    nudge = (rng.randint(-1, 1), rng.randint(-1, 1))
    if rng.random() < 0.25:
        return Thing(shape, colour, cell, material, rng.choice(S.SIZES), rng.randint(2, 5), nudge=nudge)
    size = rng.choice(S.SIZES)
    label = text(rng, 3) if shape in S.LABEL_SHAPES and size != "small" and rng.random() < 0.4 else ""
    return Thing(shape, colour, cell, material, size, 1, label, nudge)


def random_scene(seed: int, photo_edits: bool = False, fewest: int = 1, most: int = 8) -> Scene:
    """Things in reading order with distinct names; with `photo_edits` also light and tone."""
    rng = Random(f"test scene {seed}")
    things: dict[str, Thing] = {}
    for cell in sorted(rng.sample(S.CELLS, rng.randint(fewest, most))):
        thing = random_thing(rng, cell)
        while thing.name in things:
            thing = random_thing(rng, cell)
        things[thing.name] = thing
    light = rng.choice(("", *S.LIGHTS)) if photo_edits else ""
    tone = rng.choice(("", *S.TONES)) if photo_edits else ""
    caption = text(rng, S.MAX_CAPTION) if rng.random() < 0.4 else ""
    return Scene(rng.choice(S.BACKGROUNDS), tuple(things.values()), caption, light, tone)
