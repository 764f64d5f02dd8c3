"""Small data sets in the exact published schema of the public ones, with pictures that tell which row they are of.

Every writer takes a folder and leaves one split in it: parquet named as on the Hub, or (form="disk") a `save_to_disk` folder.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from datasets import Features, Value
from PIL import Image

SIZE = (24, 16)
TEXT, PICTURE = Value("string"), datasets.Image()
COLORS = {"source": 0, "ai": 60, "human": 120, "edited": 180, "mask": 240}


def picture(number: int, what: str = "source", size: tuple[int, int] = SIZE) -> Image.Image:
    """A plain picture whose red is its number and whose green says what it is, so that a mix-up shows."""
    return Image.new("RGB", size, (number % 256, COLORS[what], 40))


def png(image: Image.Image) -> dict[str, Any]:
    """As the Hub's parquet holds a picture."""
    data = io.BytesIO()
    image.save(data, "PNG")
    return {"bytes": data.getvalue(), "path": None}


def shown(image: Image.Image) -> tuple[int, str]:
    """(number, what) of a picture made by `picture`."""
    red, green, _ = image.convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    return red, next(what for what, value in COLORS.items() if value == green)


def write(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    features: Features,
    split: str,
    form: str = "parquet",
    shards: int = 1,
) -> Path:
    """The rows as a split; returns the folder, which is what `benchmark.path` takes."""
    whole = datasets.Dataset.from_list([dict(r) for r in rows], features=features)
    if form == "disk":
        whole.save_to_disk(str(folder))
        return folder
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for k in range(shards):
        whole.shard(shards, k, contiguous=True).to_parquet(
            str(folder / "data" / f"{split}-{k:05d}-of-{shards:05d}.parquet")
        )
    return folder


PSR = Features(
    {
        "post_id": TEXT,
        "instruction": TEXT,
        "simplified_instruction": TEXT,
        "model": TEXT,
        "comment_id": TEXT,
        "post_owner": TEXT,
        "comment_owner": TEXT,
        "creativity_index": TEXT,
        "source_image": PICTURE,
        "ai_edited_image": PICTURE,
        "human_edited_image": PICTURE,
    }
)


def psr_rows(posts: int = 4, edits: int = 3) -> list[dict[str, Any]]:
    """`edits` rows of each post, posts taking turns, as no promise of an order is published. Post p's source is picture p."""
    return [
        {
            "post_id": f"post{p}",
            "instruction": f"Could somebody please remove thing {p}? Thanks in advance!",
            "simplified_instruction": f"Remove thing {p}.",
            "model": ("gpt-4o", "seededit", "flux")[e % 3],
            "comment_id": f"c{p}{e}",
            "post_owner": f"asker{p}",
            "comment_owner": f"editor{e}",
            "creativity_index": ("Low", "Medium", "High")[p % 3],
            "source_image": png(picture(p)),
            "ai_edited_image": png(picture(10 * p + e, "ai")),
            "human_edited_image": png(picture(10 * p + e, "human")),
        }
        for e in range(edits)
        for p in range(posts)
    ]


def write_psr(folder: Path, posts: int = 4, edits: int = 3, form: str = "parquet", shards: int = 1) -> Path:
    return write(folder, psr_rows(posts, edits), PSR, "test", form, shards)


ULTRAEDIT = Features(
    {
        **{c: Value("float64") for c in ("clip_sim_source", "clip_sim_target", "clip_sim_dir", "clip_sim_image")},
        "dinov2_sim": Value("float64"),
        "ssim": Value("float64"),
        "source_caption": TEXT,
        "target_caption": TEXT,
        "idx": Value("int64"),
        "edit_prompt": TEXT,
        "edit_object": Value("null"),
        "source_image": PICTURE,
        "edited_image": PICTURE,
        "mask_image": Value("null"),
    }
)


def write_ultraedit(folder: Path, splits: int = 3, rows: int = 4, form: str = "parquet") -> Path:
    """FreeForm_0 … with the published columns; row r of split s has idx 100 s + r and picture number 10 s + r."""
    for s in range(splits):
        made = [
            {
                **{c: 0.5 for c in ULTRAEDIT if c.startswith("clip_sim") or c in ("dinov2_sim", "ssim")},
                "source_caption": f"a photo of {s} and {r}",
                "target_caption": f"a painting of {s} and {r}",
                "idx": 100 * s + r,
                "edit_prompt": f"make {s} {r} a painting",
                "edit_object": None,
                "source_image": png(picture(10 * s + r)),
                "edited_image": png(picture(10 * s + r, "edited")),
                "mask_image": None,
            }
            for r in range(rows)
        ]
        write(folder, made, ULTRAEDIT, f"FreeForm_{s}", form)
    return folder


MAGICBRUSH = Features(
    {
        "img_id": TEXT,
        "turn_index": Value("int32"),
        "source_img": PICTURE,
        "mask_img": PICTURE,
        "instruction": TEXT,
        "target_img": PICTURE,
    }
)
REGION = (4, 4, 12, 10)  # left, upper, right, lower: what the masks of write_magicbrush take out


def write_magicbrush(folder: Path, turns: Sequence[int] = (3, 1, 2), form: str = "parquet") -> Path:
    """A session per entry with so many turns (turn_index from 1); picture s·10 + turn is the source of a turn."""
    made = []
    for s, count in enumerate(turns):
        for t in range(1, count + 1):
            mask = picture(10 * s + t).convert("RGBA")
            mask.paste((0, 0, 0, 0), REGION)
            made.append(
                {
                    "img_id": str(1000 + s),
                    "turn_index": t,
                    "source_img": png(picture(10 * s + t)),
                    "mask_img": png(mask),
                    "instruction": f"turn {t} of {s}",
                    "target_img": png(picture(10 * s + t, "edited")),
                }
            )
    return write(folder, made, MAGICBRUSH, "dev", form)


EMU_EDIT = Features(
    {
        "instruction": TEXT,
        "image": PICTURE,
        "task": TEXT,
        "split": TEXT,
        "idx": Value("int64"),
        "hash": TEXT,
        "input_caption": TEXT,
        "output_caption": TEXT,
    }
)


def write_emu_edit(folder: Path, rows: int = 5, form: str = "parquet") -> Path:
    made = [
        {
            "instruction": f"edit {r}",
            "image": png(picture(r)),
            "task": ("add", "remove", "local", "text")[r % 4],
            "split": "test",
            "idx": 50 + r,
            "hash": f"{r:064x}",
            "input_caption": f"before {r}",
            "output_caption": f"after {r}" if r else "before 0",  # the first row's captions are the same
        }
        for r in range(rows)
    ]
    return write(folder, made, EMU_EDIT, "test", form)


def write_realedit(folder: Path, rows: int = 6) -> Path:
    """The CSV that the authors' inference script takes, beside a folder of pictures."""
    (folder / "images").mkdir(parents=True)
    lines = ["input_image_name,instruction"]
    for r in range(rows):
        picture(r).save(folder / "images" / f"{r}.png")
        lines.append(f'{r}.png,"Please, fix number {r}"')
    (folder / "test.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_requests(folder: Path, rows: Sequence[Mapping[str, Any]], name: str = "requests.jsonl") -> Path:
    """Rows of the `folder` benchmark; their pictures are made where their file is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(rows):
        for column in ("image", "reference"):
            if (file := row.get(column)) and not (folder / file).exists():
                picture(number, "source" if column == "image" else "edited").save(folder / file)
    (folder / name).write_text("".join(json.dumps(dict(r)) + "\n" for r in rows), encoding="utf-8")
    return folder / name
