"""Where an evaluation keeps what: pictures, rows of edits, verdicts and measurements, each part claimed by what defines it.

<out>/<benchmark>/benchmark.json, items.jsonl
<out>/<benchmark>/pictures/<arm>/<unit>-<turn>.png
<out>/<benchmark>/edits/<arm>/            claim.json and one jsonl per shard, likewise
<out>/<benchmark>/verdicts/<judge>/<arm>/
<out>/<benchmark>/metrics/<arm>/
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from common.atomic import atomic_file
from common.errors import BadData, BadInput, MissingFile, SaveFailed
from common.filenames import folder_name
from common.files import read_json, write_json
from judges.encoding import with_file

CLAIM = "claim.json"
END_OF_PNG = b"IEND\xaeB`\x82"
LIMITS = "limits.json"  # beside a judge's claim: what may change from one start to the next
LOCKS = ".shards"  # folder of lock files
PICTURES, SOURCES, EDITS, VERDICTS, METRICS = "pictures", "sources", "edits", "verdicts", "metrics"
Key = tuple[int, int]  # number of the unit, number of the turn in it


@dataclass(frozen=True)
class Layout:
    """One benchmark's folder in an evaluation's folder."""

    out: Path
    benchmark: str

    @property
    def folder(self) -> Path:
        return self.out / folder_name(self.benchmark)

    def picture(self, arm: str, key: Key) -> Path:
        return self.folder / PICTURES / folder_name(arm) / picture_name(key)

    def source(self, key: Key) -> Path:
        """A picture that was given, where the page shows it."""
        return self.folder / SOURCES / picture_name(key)

    def edits(self, arm: str) -> Path:
        return self.folder / EDITS / folder_name(arm)

    def judge(self, label: str) -> Path:
        return self.folder / VERDICTS / folder_name(label)

    def verdicts(self, judge: str, arm: str) -> Path:
        return self.judge(judge) / folder_name(arm)

    def metrics(self, arm: str) -> Path:
        return self.folder / METRICS / folder_name(arm)


def picture_name(key: Key) -> str:
    return f"{key[0]}-{key[1]}.png"


def claim(folder: Path, asked: Mapping[str, Any], what: str, way_out: str) -> None:
    """Note what defines the rows of a folder; BadInput where it holds others. A claim without any row binds nobody."""
    path = folder / CLAIM
    if path.is_file() and has_rows(folder):
        known = read_json(path)
        other = sorted(k for k in {*known, *asked} if known.get(k) != asked.get(k))
        if other:
            raise BadInput(f"{folder} holds {what} of another evaluation (other {', '.join(other)}); {way_out}")
        return
    write_changed(path, asked)


def has_rows(folder: Path) -> bool:
    return any(p.stat().st_size for p in folder.glob("**/*-of-*.jsonl"))


def write_changed(path: Path, value: Mapping[str, Any]) -> None:
    """A file that says this already is left alone."""
    if not path.is_file() or read_json(path) != dict(value):
        write_json(path, dict(value))


def save_picture(path: Path, picture: Image.Image) -> None:
    """Lossless, and whole or not there. Not forced to the disk: a row whose picture a crash lost is made again."""
    with atomic_file(path, sync=False, shared=True) as file:
        picture.save(file, format="PNG", compress_level=1)


def open_picture(path: Path) -> Image.Image:
    """RGB. Raises MissingFile, or BadData where the file is damaged."""
    try:
        data = path.read_bytes()
        image = Image.open(BytesIO(data))
        if image.mode == "RGB" and data.endswith(END_OF_PNG) and "transparency" not in image.info:
            return with_file(image, data)  # decoded when somebody looks at it
        return image.convert("RGB")
    except FileNotFoundError as e:
        raise MissingFile(f"the picture {path} is gone; with its arm named in arms= it is made again") from e
    except OSError as e:
        raise BadData(f"the picture {path} cannot be read ({e}); delete it, and it is made again") from e


@contextmanager
def held(path: Path, refusal: str = "", wait: bool = False, alone: bool = True) -> Iterator[None]:
    """Hold a lock file; BadInput(refusal) where another process holds it, unless `wait`. Those that are not `alone` can
    hold it at the same time: they only ask whether somebody is."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("a", encoding="utf-8")
    except OSError as e:
        raise SaveFailed(f"could not write to {path.parent}: {e.strerror or e}; choose another out=<folder>") from e
    with handle:
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as e:
            raise BadInput(refusal) from e
        yield


@dataclass(frozen=True)
class Share:
    """The part of the work that one process does: of `chunk` consecutive units every `shards`-th such block. Whole blocks,
    so that what is edited together, and with it every bit of a picture, does not depend on the number of shards."""

    shard: int = 0
    shards: int = 1

    def __post_init__(self) -> None:
        if self.shards < 1 or not 0 <= self.shard < self.shards:
            raise BadInput(f"shard={self.shard} shards={self.shards}: shard must be in 0 … shards − 1")

    @property
    def name(self) -> str:
        return f"{self.shard}-of-{self.shards}"

    def blocks(self, units: int, chunk: int) -> Iterator[range]:
        for start in range(self.shard * chunk, units, self.shards * chunk):
            yield range(start, min(start + chunk, units))

    def has(self, unit: int, chunk: int) -> bool:
        return unit // chunk % self.shards == self.shard

    def split(self, local: int) -> list[Share]:
        """This share once more divided among `local` processes; the units stay the same."""
        return [Share(self.shard + j * self.shards, self.shards * local) for j in range(local)]

    @contextmanager
    def working(self, out: Path) -> Iterator[None]:
        """Refuse a second process with this share, and any with another number of shards: both would do the same items."""
        mine = out / LOCKS / f"{self.name}.lock"
        refusal = f"{out} is in use by another process with shard={self.shard} shards={self.shards}; wait for it"
        with held(mine, refusal):
            for other in sorted(mine.parent.glob("*-of-*.lock")):
                if not other.stem.endswith(f"-of-{self.shards}"):
                    busy = f"{out} is being evaluated as shard {other.stem}; wait for all of them to end"
                    with held(other, busy, alone=False):
                        pass
            yield


__all__ = [
    "CLAIM",
    "EDITS",
    "LIMITS",
    "LOCKS",
    "METRICS",
    "PICTURES",
    "VERDICTS",
    "Key",
    "Layout",
    "Share",
    "claim",
    "has_rows",
]
__all__ += ["held", "open_picture", "picture_name", "save_picture", "write_changed"]
