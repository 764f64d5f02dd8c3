"""Pictures and texts that the tiny models cannot do anything sensible with: they were trained on the sandbox alone.

Found before anything is loaded, and refused: a photograph would come back shrunk to 64 pixels and blown up again, and an
evaluation of such results would mislead and, with a paid judge, cost money.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import BadInput
from conf.schema.shared import UnlikeSandbox

if TYPE_CHECKING:
    from PIL import Image

    from benchmarks.item import Benchmark

SAMPLES = 8  # items of a benchmark that are looked at, evenly spaced
SIDE = 64
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


def redrawing_error(image: Image.Image) -> float:
    """By how many of 255 grey levels a pixel is off on average when the picture, at 64 pixels, is drawn again from the scene that
    is seen in it."""
    import numpy as np

    from benchmarks.sandbox.perceive import perceive_fully
    from common.pictures import to_rgb

    small = to_rgb(image)
    if max(small.size) > SIDE:
        scale = SIDE / max(small.size)
        size = (max(1, round(small.width * scale)), max(1, round(small.height * scale)))
        small = small.resize(size, resample=0)  # the nearest pixel, which leaves a scene's edges sharp
    return float(perceive_fully(np.asarray(small)).error)


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
    config: Any, images: Iterable[tuple[str, Image.Image]], texts: Sequence[tuple[str, str]], bounds: UnlikeSandbox
) -> Iterator[str]:
    """A sentence for each (name, picture) and (name, text) that is unlike the sandbox, where the editor or the decomposer of the
    configuration was trained on the sandbox alone (`sandbox_only`)."""
    editor, decomposer = config.editor, config.decomposer
    if getattr(editor, "sandbox_only", False):
        for name, image in images:
            if (error := redrawing_error(image)) > bounds.picture:
                yield (
                    f"{name} is unlike the sandbox's scenes (off by {error:.0f} grey levels a pixel when drawn again, and "
                    f"unlike.picture={bounds.picture:g} is the bound), and editor={editor.name} at scale={config.scale.name} "
                    f"knows nothing else: it would wreck it at {SIDE} pixels"
                )
    if getattr(decomposer, "sandbox_only", False):
        for name, text in texts:
            if (share := unknown_share(text, decomposer.checkpoint)) > bounds.words:
                yield (
                    f"{name}: {share:.0%} of its words are none that decomposer={decomposer.name} knows "
                    f"(unlike.words={bounds.words:g} is the bound); it reads the sandbox's English alone"
                )


def refuse(found: Sequence[str], allow: bool) -> list[str]:
    """The objections, where they are allowed. Raises BadInput with the first one."""
    if found and not allow:
        more = f" (and {len(found) - 1} more of this kind)" if len(found) > 1 else ""
        raise BadInput(f"{found[0]}{more}; {INSTEAD}, or allow_tiny=true to do it all the same")
    return list(found)


def check_benchmark(
    config: Any, benchmark: Benchmark, arms: Sequence[str], allow: bool, bounds: UnlikeSandbox
) -> list[str]:
    """The objections to a benchmark whose pictures these arms edit, of a few of its items. It is refused where more than half of
    the pictures, or of the texts, are unlike the sandbox. Raises BadInput."""
    if not arms or not (
        getattr(config.editor, "sandbox_only", False) or getattr(config.decomposer, "sandbox_only", False)
    ):
        return []
    n = len(benchmark)
    items = [benchmark.unit(i)[0] for i in sorted({k * n // SAMPLES for k in range(SAMPLES)}) if i < n]
    pictures = [(f"the picture of {i.id}", p) for i in items if (p := i.image) is not None]
    texts = [(f"the request of {i.id}", i.request) for i in items] if set(arms) - {"editor"} else []
    found: list[str] = []
    for images, words in ((pictures, []), ([], texts)):
        unlike = list(objections(config, images, words, bounds))
        found += unlike if 2 * len(unlike) > len(items) else []
    return refuse(found, allow)


__all__ = ["check_benchmark", "objections", "redrawing_error", "refuse", "unknown_share"]
