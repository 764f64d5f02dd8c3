"""`sandbox`: comparisons of which the right answer is known, written from the sandbox's scenes.

Of each scene two results: right and wrong (three rows of five), both right or both wrong (one of five each: tie_good and
tie_bad). Wrong is the picture as it was, or one with the edit of something else done. Which of them is a is drawn by seed.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import StringIO
from itertools import count
from pathlib import Path
from random import Random

from PIL import Image

from benchmarks.base import Edit
from benchmarks.preferences.base import TIE_BAD, TIE_GOOD, A, B
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.render import render
from common.errors import BadInput, SaveFailed

HEAD = ("id", "instruction", "source", "candidate_a", "candidate_b", "human", "model_a", "model_b", "kind", "gold")
GOOD, POOR = "careful", "careless"


def write(folder: Path, rows: int = 40, seed: int = 0) -> Path:
    """preferences.csv with its pictures in `folder`; the same rows and seed write the same files. Raises BadInput,
    SaveFailed."""
    if rows < 1:
        raise BadInput(f"rows={rows}: write at least one comparison")
    benchmark, rng = SandboxBenchmark("test", seed=seed), Random(f"preferences {seed}")
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEAD)
    try:
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        for k, sample in zip(range(rows), clear(benchmark), strict=False):
            name = f"scene-{k:04d}"
            both = {3: (sample.target, sample.target), 4: (wrong(sample, rng), wrong(sample, rng))}.get(k % 5)
            pictures = both or (sample.target, wrong(sample, rng))
            turned = rng.random() < 0.5
            human = {3: TIE_GOOD, 4: TIE_BAD}.get(k % 5, B if turned else A)
            files = [f"pictures/{name}_{part}.png" for part in ("source", "a", "b")]
            sides = tuple(reversed(pictures)) if turned else pictures
            models = (POOR, GOOD) if turned else (GOOD, POOR)
            for file, picture in zip(files, (sample.image, *sides), strict=True):
                picture.save(folder / file)
            gold = json.dumps([[e.action, e.subject, e.goal] for e in sample.gold])
            table.writerow((name, sample.request, *files, human, *models, sample.kind, gold))
        path = folder / "preferences.csv"
        path.write_text(text.getvalue(), encoding="utf-8")
    except OSError as error:
        raise SaveFailed(f"could not write to {folder}: {error.strerror or error}") from error
    return path


def clear(benchmark: SandboxBenchmark) -> Iterator[SandboxSample]:
    """Samples on which doing nothing is surely wrong: a move "to the left of" something may be there already."""
    samples = map(benchmark.sample, count())
    return (s for s in samples if all(e.action != "move" for e in s.gold))


def wrong(sample: SandboxSample, rng: Random) -> Image.Image:
    """A result that does not do what was asked: nothing at all, or something else removed."""
    touched = {e.subject for e in sample.gold}
    others = [t.name for t in sample.before.things if t.name not in touched and not any(t.name in s for s in touched)]
    if not others or rng.random() < 0.5:
        return sample.image
    return Image.fromarray(render(apply_edits(sample.before, (Edit("remove", rng.choice(others)),)), sample.size))


__all__ = ["HEAD", "wrong", "write"]
