"""The part of an evaluation that one process does, and the locks that keep two processes from doing the same part."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.errors import BadInput, SaveFailed
from experiments.evaluation.layout import LOCKS


@dataclass(frozen=True)
class Share:
    """Of `chunk` consecutive units every `shards`-th such block. Blocks are whole, so that what is edited together, and with it
    every bit of a picture, does not depend on the number of shards."""

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

    def split(self, processes: int) -> list[Share]:
        """This share divided among `processes`; the units stay the same."""
        return [Share(self.shard + j * self.shards, self.shards * processes) for j in range(processes)]

    @contextmanager
    def working(self, out: Path) -> Iterator[None]:
        """Refuse a second process with this share, and any process with another number of shards: both would do the same
        items. Raises BadInput."""
        mine = out / LOCKS / f"{self.name}.lock"
        refusal = f"{out} is in use by another process with shard={self.shard} shards={self.shards}; wait for it"
        with held(mine, refusal):
            for other in sorted(mine.parent.glob("*-of-*.lock")):
                if not other.stem.endswith(f"-of-{self.shards}"):
                    busy = f"{out} is being evaluated as shard {other.stem}; wait for all of them to end"
                    with held(other, busy, alone=False):
                        pass
            yield


@contextmanager
def held(path: Path, refusal: str = "", wait: bool = False, alone: bool = True) -> Iterator[None]:
    """Hold a lock file. Raises BadInput(refusal) where another process holds it, unless `wait`. With `alone=False` the lock is
    shared: it only asks whether somebody holds the file alone."""
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


__all__ = ["Share", "held"]
