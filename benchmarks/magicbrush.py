"""`magicbrush`: MagicBrush, edits by people with DALL-E 2, one turn or several (arXiv 2306.10012)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image, ImageChops

from benchmarks.item import EVERYTHING, Benchmark, Card, Item, Opens, Unit
from benchmarks.listed import ListedBenchmark, one_of
from benchmarks.options import BenchmarkOptions, PublicBenchmark
from benchmarks.pictures import decode
from benchmarks.sampling import describe_sampling, sample_ids
from benchmarks.schema import INTEGER, PICTURE, TEXT, optional
from benchmarks.tables import Table, TablePicture, open_table
from common.errors import BadData

FINAL = "final turn"
CARD = Card(
    name="magicbrush",
    title="MagicBrush",
    source="osunlp/MagicBrush",
    paper="arXiv 2306.10012",
    licence="CC BY 4.0",
    split="dev",
    size="528 turns (dev); 8,807 (train)",
    sampling="all turns",
    get=(
        "https://huggingface.co/datasets/osunlp/MagicBrush; the test split is only in a zip with a password from "
        "github.com/OSU-NLP-Group/MagicBrush: give it as benchmark.path, a JSONL with the dev split's columns and paths"
    ),
    notes=(
        "single: every turn is edited from its own published source picture. multi: a session starts from its first picture and "
        f"goes on with the editor's own results; the protocol's number is that of the subset '{FINAL}'.",
        "The test split must not be passed on.",
        "That a mask picture is the source with the region taken out (transparent, or painted over) is assumed.",
    ),
)
COLUMNS = {
    "img_id": TEXT,
    "turn_index": INTEGER,
    "instruction": TEXT,
    "source_img": PICTURE,
    "target_img": PICTURE,
    "mask_img": optional(PICTURE),
}


def load(options: BenchmarkOptions) -> Benchmark:
    """Options: protocol (single | multi), samples (turns, or sessions), seed. Sessions come in the order of their first rows,
    turns by turn_index; the published result of the turn is the reference.

    Raises MissingFile, BadInput, BadData (a turn that is there twice).
    """
    multi = one_of(CARD, "protocol", options.protocol, ("single", "multi")) == "multi"
    table = open_table(CARD, options, COLUMNS)
    sessions = _sessions(table)
    units = sessions if multi else [[i] for session in sessions for i in session]
    taken = [units[k] for k in sample_ids(len(units), options.samples, options.seed)]
    used = table.only([i for unit in taken for i in unit]).check()
    starts = [sum(map(len, taken[:k])) for k in range(len(taken))]
    pictures, turns = used.column("img_id"), used.column("turn_index")
    ids = [f"{pictures[s]}" if multi else f"{pictures[s]}-{turns[s]}" for s in starts]
    card = replace(
        CARD,
        split=options.split or CARD.split,
        mean="final" if multi else CARD.mean,
        sampling=describe_sampling(options.samples, len(units), options.seed, "sessions" if multi else "turns"),
    )

    def make(k: int) -> Unit:
        rows = [(i, used.row(i)) for i in range(starts[k], starts[k] + len(taken[k]))]
        return tuple(
            Item(
                f"magicbrush-{row['img_id']}-{row['turn_index']}",
                row["instruction"],
                (),
                "",
                tuple(earlier["instruction"] for _, earlier in rows[:turn]),
                source=used.needed(
                    starts[k], "source_img"
                ),  # of the session's first turn: its own result comes instead
                reference=used.needed(i, "target_img"),
                mask=_mask(used, i),
                session=f"magicbrush-{ids[k]}" if multi else "",
                turn=turn,
                cluster=f"magicbrush-{row['img_id']}",
                subsets=(EVERYTHING, FINAL) if multi and turn == len(rows) - 1 else (EVERYTHING,),
                facts={"row": used.number(i), "turn_index": row["turn_index"]},
            )
            for turn, (i, row) in enumerate(rows)
        )

    return ListedBenchmark(card, [f"magicbrush-{i}" for i in ids], make)


def _sessions(table: Table) -> list[list[int]]:
    """Rows by picture, each picture's by turn."""
    pictures: dict[str, dict[int, int]] = {}
    for i, (picture, turn) in enumerate(zip(table.column("img_id"), table.column("turn_index"), strict=True)):
        turns = pictures.setdefault(picture, {})
        if turn in turns:
            raise BadData(
                f"magicbrush: {table.where}: turn {turn} of picture {picture} is in row {table.number(turns[turn])} and in row "
                f"{table.number(i)}. How to get it: {CARD.get}"
            )
        turns[turn] = i
    return [[turns[t] for t in sorted(turns)] for turns in pictures.values()]


@dataclass(frozen=True)
class RegionMask:
    """The region of a mask picture as an `Opens`: mode L, 255 where something is to change."""

    mask: TablePicture
    source: TablePicture

    def __call__(self) -> Image.Image:
        where = f"{self.mask.where}, row {self.mask.row}, column {self.mask.column!r}"
        return region(decode(self.mask.encoded(), where, None), self.source, where)


def region(mask: Image.Image, source: Opens, where: str) -> Image.Image:
    """255 where the mask picture is transparent; of one that is grey, as it is; else where it differs from its source.

    Raises BadData where the last is asked and the sizes differ.
    """
    if mask.mode in ("1", "L"):
        return mask.convert("L")
    if "A" in mask.getbands() or "transparency" in mask.info:
        alpha = mask.convert("RGBA").getchannel("A")
        if alpha.histogram()[255] < alpha.width * alpha.height:
            return alpha.point(lambda a: 255 if a < 128 else 0)
    before = source()
    if before.size != mask.size:
        raise BadData(f"{where}: the mask is {mask.size}, its source picture {before.size}")
    channels = ImageChops.difference(mask.convert("RGB"), before).split()
    most = ImageChops.lighter(ImageChops.lighter(channels[0], channels[1]), channels[2])
    return most.point(lambda d: 255 if d > 0 else 0)


def _mask(table: Table, i: int) -> RegionMask | None:
    mask = table.picture(i, "mask_img", None)
    return RegionMask(mask, table.needed(i, "source_img")) if mask else None


class MagicBrush(PublicBenchmark):
    card = CARD

    def open(self, options: BenchmarkOptions) -> Benchmark:
        return load(options)


__all__ = ["CARD", "COLUMNS", "FINAL", "RegionMask", "load", "region", "MagicBrush"]
