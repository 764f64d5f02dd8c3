"""Samples of the sandbox to look at, and its sessions as MICE-Bench records.

python -m benchmarks.sandbox show [seed=0] [n=16] [out=grid.png] [split=train|validation|test] [size=192]
python -m benchmarks.sandbox mice [seed=0] [n=40] [out=mice_sandbox] [split=test] [size=64] [turns=3]
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.base import Edit
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.mice_export import write_sessions
from benchmarks.sandbox.render import check_side, render
from common.errors import BadInput, SaveFailed
from common.plain_command import plain_command, read_options

COLUMNS, GAP, TEXT_WIDTH = 2, 14, 330
INK, SOFT, PAPER = (28, 30, 36), (110, 114, 124), (255, 255, 255)


@dataclass(frozen=True)
class Show:
    """Options of `show`."""

    seed: int = field(default=0, metadata={"least": 0})
    n: int = 16
    out: str = "grid.png"
    split: str = "train"  # train | validation | test
    size: int = 192  # pixels


@dataclass(frozen=True)
class Mice:
    """Options of `mice`."""

    seed: int = field(default=0, metadata={"least": 0})
    n: int = 40
    out: str = "mice_sandbox"
    split: str = "test"
    size: int = 64
    turns: int = 3


def main(argv: Sequence[str]) -> None:
    match argv:
        case ["show", *words]:
            show(read_options(Show, words, "benchmarks.sandbox show"))
        case ["mice", *words]:
            mice(read_options(Mice, words, "benchmarks.sandbox mice"))
        case _:
            raise BadInput(f"name what to do, show or mice. {__doc__}")


def show(o: Show) -> None:
    if not 1 <= o.n <= 400 or o.size > 1024:
        raise BadInput(f"n must be 1..400 and size at most 1024, not n={o.n} size={o.size}")
    check_side(o.size)
    bench = SandboxBenchmark(o.split, o.seed)
    picture = grid([bench.sample(i) for i in range(o.n)], o.size)
    try:
        picture.save(Path(o.out))
    except (OSError, ValueError) as error:
        raise SaveFailed(f"could not write {o.out}: {error}; give a path ending in .png") from error
    print(f"{o.n} samples of the {o.split} split in {o.out} ({picture.width}x{picture.height})")


def mice(o: Mice) -> None:
    written = write_sessions(o.out, o.n, o.seed, split=o.split, turns=o.turns, size=o.size)
    print(
        f"{written['cm']} CM and {written['cu']} CU sessions of {o.turns} turns, in MICE-Bench's format, in {o.out}; "
        f"use them with benchmark=mice benchmark.path={o.out}"
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
    plain_command(main, sys.argv[1:], __doc__)
