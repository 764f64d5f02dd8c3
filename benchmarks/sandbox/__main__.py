"""`python -m benchmarks.sandbox show seed=0 n=16 out=grid.png [split=test] [size=192]`: samples to look at."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.base import Edit
from benchmarks.errors import BadInput, ImageEditError, SaveFailed
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.render import render

USAGE = "python -m benchmarks.sandbox show [seed=0] [n=16] [out=grid.png] [split=train|validation|test] [size=192]"
COLUMNS, GAP, TEXT_WIDTH = 2, 14, 330
INK, SOFT, PAPER = (28, 30, 36), (110, 114, 124), (255, 255, 255)


def main(argv: Sequence[str]) -> None:
    options = {"seed": "0", "n": "16", "out": "grid.png", "split": "train", "size": "192"}
    if not argv or argv[0] != "show":
        raise BadInput(f"what to do? usage: {USAGE}")
    for word in argv[1:]:
        key, found, value = word.partition("=")
        if not found or key not in options:
            raise BadInput(f"cannot read '{word}'; usage: {USAGE}")
        options[key] = value
    try:
        seed, n, size = (int(options[k]) for k in ("seed", "n", "size"))
    except ValueError as error:
        raise BadInput(f"seed, n and size are whole numbers ({error}); usage: {USAGE}") from error
    if not 1 <= n <= 400 or not 16 <= size <= 1024:
        raise BadInput(f"n must be 1..400 and size 16..1024, not n={n} size={size}")
    bench = SandboxBenchmark(options["split"], seed)
    picture = grid([bench.sample(i) for i in range(n)], size)
    try:
        picture.save(Path(options["out"]))
    except (OSError, ValueError) as error:
        raise SaveFailed(f"could not write {options['out']}: {error}; give a path ending in .png") from error
    print(f"{n} samples of the {options['split']} split in {options['out']} ({picture.width}x{picture.height})")


def grid(samples: Sequence[SandboxSample], size: int) -> Image.Image:
    """Cards of before, after, request and gold, two in a row."""
    cards = [card(s, size) for s in samples]
    height = max(c.height for c in cards)
    rows = -(-len(cards) // COLUMNS)
    columns = min(COLUMNS, len(cards))
    sheet = Image.new("RGB", (columns * (cards[0].width + GAP) + GAP, rows * (height + GAP) + GAP), (236, 238, 242))
    for k, one in enumerate(cards):
        row, column = divmod(k, COLUMNS)
        sheet.paste(one, (GAP + column * (one.width + GAP), GAP + row * (height + GAP)))
    return sheet


def card(sample: SandboxSample, size: int) -> Image.Image:
    bold, plain = ImageFont.load_default(15), ImageFont.load_default(13)
    lines = [(sample.kind.replace("_", " "), plain, SOFT)]
    lines += [(t, bold, INK) for t in textwrap.wrap(f"“{sample.request}”", 42)]
    lines += [(t, plain, SOFT) for e in sample.gold for t in textwrap.wrap(written(e), 50, subsequent_indent="   ")]
    height = max(size + 2 * GAP, 2 * GAP + 19 * len(lines))
    sheet = Image.new("RGB", (2 * size + 3 * GAP + TEXT_WIDTH, height), PAPER)
    for k, scene in enumerate((sample.before, sample.after)):
        sheet.paste(Image.fromarray(render(scene, size)), (GAP + k * (size + GAP // 2), GAP))
    draw = ImageDraw.Draw(sheet)
    for k, (text, font, colour) in enumerate(lines):
        draw.text((2 * size + 2 * GAP + GAP // 2, GAP + 19 * k), text, font=font, fill=colour)
    return sheet


def written(edit: Edit) -> str:
    return f"{edit.action} · {edit.subject}" + (f" · {edit.goal}" if edit.goal else "")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ImageEditError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
