"""Pictures and texts that the tiny models cannot do anything sensible with: they were trained on the sandbox alone.

Found before anything is loaded, and refused: a photograph would come back shrunk to 64 pixels and blown up again, and an
evaluation of such results would mislead and, with a paid judge, cost money.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import BadData, BadInput
from conf.schema.shared import UnlikeSandbox

if TYPE_CHECKING:
    from PIL import Image

    from benchmarks.base import EditSample
    from benchmarks.item import Benchmark

    Named = tuple[str, Image.Image]

SAMPLES = 8  # items of a benchmark that are looked at, evenly spaced
SIDE = 64
NEAREST, BOX = 0, 4  # Pillow's Resampling
WELL_EXPLAINED = 0.1  # then there is no need to look for a better explanation
FAULTLESS, PLAIN = 2.0, 4.0  # grey levels: see redrawing_error
WORDS = re.compile(r"[^\W\d_]+")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|\u2018[^\u2019]*\u2019|\u201c[^\u201d]*\u201d")
COMMON = {
    "change",
    "remove",
    "color",
    "background",
    "image",
    "star",
}  # every tokenizer of the sandbox's language has them
INSTEAD = "use scale=paper, or a service such as editor=nano_banana or editor=gpt_image"
INSTEAD_OF_TRAINING = "use scale=paper, or a set without its pictures (experiments.prepare pictures=none)"


def redrawing_error(image: Image.Image) -> float:
    """What a scene cannot explain of a picture, as a share of the picture's contrast: 0 for a scene, about 1 for a photograph.

    The picture is brought to 64 pixels a side, perceived, and drawn again from the scene that is seen in it. The difference counts
    by the larger of its mean and the mean that is left after a blur: noise goes in a blur and an unseen shape stays. The contrast
    is the mean distance from the median colour. 2 grey levels are nobody's fault, and 4 are added to the contrast, so that a plain
    surface does not divide by 0. Of four ways to reduce a picture the best counts: by the nearest pixel or by means, to 64
    pixels or to 32, which shows a scene that was zoomed when it was large.
    """
    from common.pictures import to_rgb

    rgb = to_rgb(image)
    least, tried = math.inf, set[bytes]()
    for side, method in ((SIDE, NEAREST), (SIDE, BOX), (SIDE // 2, BOX), (SIDE // 2, NEAREST)):
        small = rgb.resize((side, side), method).resize((SIDE, SIDE), NEAREST)
        if (pixels := small.tobytes()) not in tried:
            tried.add(pixels)
            least = min(least, _unexplained(pixels))
        if least < WELL_EXPLAINED:
            break
    return least


@lru_cache(maxsize=64)  # benchmarks ask for several edits of one picture
def _unexplained(pixels: bytes) -> float:
    """`redrawing_error` of uint8[64, 64, 3] as bytes."""
    import numpy as np

    from benchmarks.sandbox.perceive import perceive_fully
    from benchmarks.sandbox.render import render

    picture = np.frombuffer(pixels, np.uint8).reshape(SIDE, SIDE, 3)
    seen = perceive_fully(picture)
    off = render(seen.scene, SIDE).astype(np.float64) - picture
    padded = np.pad(off, ((1, 1), (1, 1), (0, 0)), mode="edge")
    blurred = sum(padded[y : y + SIDE, x : x + SIDE] for y in range(3) for x in range(3)) / 9
    colours = picture.reshape(-1, 3)
    contrast = float(np.abs(colours - np.median(colours, axis=0)).mean())
    left = max(seen.error, float(np.abs(blurred).mean()))
    return max(0.0, left - FAULTLESS) / (contrast + PLAIN)


def unknown_share(text: str, checkpoint: str | Path) -> float:
    """The share of words that the model's tokenizer does not know as a whole; what stands in quotes is data and left out."""
    words = WORDS.findall(QUOTED.sub(" ", text).lower())
    if not words:
        return 0.0 if text.isascii() else 1.0
    known = _known_words(str(checkpoint))
    return sum(word not in known for word in words) / len(words) if known else 0.0


@lru_cache(maxsize=4)
def _known_words(checkpoint: str) -> frozenset[str]:
    """Whole words of a byte-level BPE, which marks a word's beginning by U+0120; empty where there is no such tokenizer, or one
    that was not made from the sandbox's language and so cannot say what is foreign to it."""
    try:
        vocabulary = json.loads((Path(checkpoint) / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()
    known = frozenset(word[1:] for word in vocabulary if word.startswith("\u0120"))
    return known if known >= COMMON else frozenset()


def objections(
    config: Any,
    edited: Iterable[Named],
    texts: Sequence[tuple[str, str]],
    bounds: UnlikeSandbox,
    seen: Iterable[Named] = (),
) -> Iterator[str]:
    """A sentence for each (name, picture) and (name, text) that is unlike the sandbox, where the editor, which works on `edited`,
    or the decomposer, which looks at `seen` and reads the texts, was trained on the sandbox alone (`sandbox_only`)."""
    editor, decomposer, scale = config.editor, config.decomposer, config.scale.name
    edits = f"editor={editor.name} at scale={scale} knows nothing else: it would wreck it at {SIDE} pixels"
    looks = (
        f"decomposer={decomposer.name} at scale={scale} knows nothing else: it cannot tell what such a picture shows"
    )
    for part, pictures, why in ((editor, edited, edits), (decomposer, seen, looks)):
        for name, image in pictures if getattr(part, "sandbox_only", False) else ():
            if (error := redrawing_error(image)) > bounds.picture:
                yield (
                    f"{name} is unlike the sandbox's scenes ({error:.0%} of its contrast is left when it is drawn again as a "
                    f"scene, and unlike.picture={bounds.picture:g} is the bound), and {why}"
                )
    if getattr(decomposer, "sandbox_only", False):
        for name, text in texts:
            if (share := unknown_share(text, decomposer.checkpoint)) > bounds.words:
                yield (
                    f"{name}: {share:.0%} of its words are none that decomposer={decomposer.name} knows "
                    f"(unlike.words={bounds.words:g} is the bound); it reads the sandbox's English alone"
                )


def refuse(found: Sequence[str], allow: bool, instead: str = INSTEAD) -> list[str]:
    """The objections, where they are allowed. Raises BadInput with the first one."""
    if found and not allow:
        more = f" (and {len(found) - 1} more of this kind)" if len(found) > 1 else ""
        raise BadInput(f"{found[0]}{more}; {instead}, or allow_tiny=true to do it all the same")
    return list(found)


def check_benchmark(
    config: Any,
    benchmark: Benchmark,
    arms: Sequence[str],
    allow: bool,
    bounds: UnlikeSandbox,
    decomposed: bool = False,
) -> list[str]:
    """The objections to a benchmark whose pictures these arms edit, or whose requests are only `decomposed`, of a few of its items.
    It is refused where more than half of the pictures, or of the texts, are unlike the sandbox. Raises BadInput."""
    if not (arms or decomposed) or not _sandbox_only(config):
        return []
    n = len(benchmark)
    items = [benchmark.unit(i)[0] for i in sorted({k * n // SAMPLES for k in range(SAMPLES)}) if i < n]
    reads = decomposed or bool(set(arms) - {"editor"})
    return refuse(_of_most(config, items, bounds, edits=bool(arms), looks=decomposed, reads=reads), allow)


def check_samples(config: Any, samples: Sequence[EditSample], allow: bool, bounds: UnlikeSandbox) -> list[str]:
    """As `check_benchmark`, of samples that a run trains on. Raises BadInput."""
    edits = not config.benchmark.text_only
    found = _of_most(config, samples, bounds, edits=edits, looks=not edits, reads=True)
    return refuse(found, allow, INSTEAD if edits else INSTEAD_OF_TRAINING)


def check_run(config: Any) -> list[str]:
    """As `check_samples`, of a few of the samples that a run trains on and is tested on. The data must be there. Raises BadInput
    and what reading the data raises."""
    from experiments.build.benchmarks import held_out_samples, train_samples

    if config.benchmark.name == "sandbox" or not _sandbox_only(config):
        return []
    size = config.scale.image_size
    trained = train_samples(config.benchmark, size, config.seed)
    held_out = held_out_samples(config.benchmark, size, SAMPLES, config.scale.test_seed)
    return check_samples(config, [*map(trained, range(SAMPLES)), *held_out], config.allow_tiny, config.unlike)


def _of_most(
    config: Any, items: Sequence[EditSample], bounds: UnlikeSandbox, edits: bool, looks: bool, reads: bool
) -> list[str]:
    """The objections to the pictures, where there are more than half as many of them as items, and the same of the texts."""
    pictures = [(f"the picture of {i.id}", p) for i in items if (p := _readable(i)) is not None]
    texts = [(f"the request of {i.id}", i.request) for i in items] if reads else []
    found: list[str] = []
    for kind in (
        objections(config, pictures if edits else [], [], bounds, pictures if looks else []),
        objections(config, [], texts, bounds),
    ):
        unlike = list(kind)
        found += unlike if 2 * len(unlike) > len(items) else []
    return found


def _readable(item: EditSample) -> Image.Image | None:
    """Its picture; None where it has none, or one that is damaged, which is for others to say."""
    try:
        return item.image
    except BadData:
        return None


def _sandbox_only(config: Any) -> bool:
    return any(getattr(part, "sandbox_only", False) for part in (config.editor, config.decomposer))


__all__ = ["check_benchmark", "check_run", "check_samples", "objections", "redrawing_error", "refuse", "unknown_share"]
