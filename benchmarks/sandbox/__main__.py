"""`python -m benchmarks.sandbox show …`: samples to look at; `… mice …`: sessions as MICE-Bench records (see USAGE)."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from benchmarks.base import Edit
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.mice_export import write_sessions
from benchmarks.sandbox.render import render
from common.errors import BadInput, ImageEditError, SaveFailed

SHOW = {"seed": "0", "n": "16", "out": "grid.png", "split": "train", "size": "192"}
MICE = {"seed": "0", "n": "40", "out": "mice_sandbox", "split": "test", "size": "64", "turns": "3"}
USAGE = """
  python -m benchmarks.sandbox show [seed=0] [n=16] [out=grid.png] [split=train|validation|test] [size=192]
  python -m benchmarks.sandbox mice [seed=0] [n=40] [out=mice_sandbox] [split=test] [size=64] [turns=3]"""
COLUMNS, GAP, TEXT_WIDTH = 2, 14, 330
INK, SOFT, PAPER = (28, 30, 36), (110, 114, 124), (255, 255, 255)


def main(argv: Sequence[str]) -> None:
    match argv:
        case ["show", *words]:
            show(**_options(SHOW, words))
        case ["mice", *words]:
            mice(**_options(MICE, words))
        case _:
            raise BadInput(f"what to do? usage: {USAGE}")


def _options(defaults: Mapping[str, str], words: Sequence[str]) -> dict[str, Any]:
    """The defaults with what `words` ("key=value") say; values whose default is a number are numbers."""
    options: dict[str, Any] = dict(defaults)
    for word in words:
        key, separator, value = word.partition("=")
        if not separator or key not in options:
            raise BadInput(f"cannot read '{word}'; usage: {USAGE}")
        options[key] = value
    for key, default in defaults.items():
        if default.isdigit():
            try:
                options[key] = int(options[key])
            except ValueError as error:
                raise BadInput(f"{key} is a whole number, not '{options[key]}'; usage: {USAGE}") from error
    return options


def show(seed: int, n: int, out: str, split: str, size: int) -> None:
    if not 1 <= n <= 400 or not 16 <= size <= 1024:
        raise BadInput(f"n must be 1..400 and size 16..1024, not n={n} size={size}")
    bench = SandboxBenchmark(split, seed)
    picture = grid([bench.sample(i) for i in range(n)], size)
    try:
        picture.save(Path(out))
    except (OSError, ValueError) as error:
        raise SaveFailed(f"could not write {out}: {error}; give a path ending in .png") from error
    print(f"{n} samples of the {split} split in {out} ({picture.width}x{picture.height})")


def mice(seed: int, n: int, out: str, split: str, size: int, turns: int) -> None:
    written = write_sessions(out, n, seed, split=split, turns=turns, size=size)
    print(
        f"{written['cm']} CM and {written['cu']} CU sessions of {turns} turns, in MICE-Bench's format, in {out}; "
        f"use them with benchmark=mice benchmark.path={out}"
    )


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
