"""The first stage: every arm's pictures, unit by unit and turn by turn, with a row that says how each came about."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from benchmarks.item import Benchmark, Item, Unit
from common.errors import BadInput, MissingFile
from common.filenames import folder_name
from experiments.evaluation.layout import Key, Layout, Share, open_picture, picture_name, save_picture
from experiments.evaluation.rows import RowFile, fine, read_rows

if TYPE_CHECKING:
    from agents.team import Team

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
Told = Callable[[int], None]  # items done so far


@dataclass(frozen=True)
class Made:
    """What an arm made of one item: a picture, or why there is none, and what is worth keeping of the way there."""

    picture: Image.Image | None
    failure: str = ""
    row: dict[str, Any] = field(default_factory=dict)


class Maker(Protocol):
    """An arm: items whose picture is set or can be opened in, what was made of each out, in order."""

    def __call__(self, items: Sequence[Item]) -> list[Made]: ...


@dataclass(frozen=True)
class TeamMaker:
    """The team, or the editor alone. The seed of a call depends on (seed, item's id, number of the call) alone."""

    team: Team
    seed: int

    def __call__(self, items: Sequence[Item]) -> list[Made]:
        traces = next(iter(self.team.run(items, self.seed, len(items))))
        return [
            Made(
                None if t.failure else t.result,
                t.failure,
                {
                    "text": t.text,
                    "error": t.error,
                    "source": t.source,
                    "notes": list(t.notes),
                    "sub_requests": list(t.sub_requests),
                    "calls": [call.instruction for call in t.calls],
                    "seconds": round(sum(t.timings.values()), 4),
                },
            )
            for t in traces
        ]


@dataclass(frozen=True)
class FolderMaker:
    """Pictures made elsewhere: `<folder>/<id>.png` (as `folder_name` writes an id), or `<unit>-<turn>.png` as this
    project's own evaluations name them; .jpg and .webp too. A picture that is not there is an edit that failed."""

    folder: Path
    keys: dict[str, Key]  # of each item's id

    def names(self, id_: str) -> list[str]:
        stems = dict.fromkeys([folder_name(id_), picture_name(self.keys[id_]).removesuffix(".png")])
        return [stem + ending for stem in stems for ending in ENDINGS]

    def find(self, id_: str) -> Path | None:
        return next((p for n in self.names(id_) if (p := self.folder / n).is_file()), None)

    def check(self) -> None:
        """Raises MissingFile where the folder has no picture of any item: it is then the wrong one, or named otherwise."""
        if not any(self.find(id_) for id_ in self.keys):
            first = next(iter(self.keys))
            raise MissingFile(
                f"pictures={self.folder} has no picture of this benchmark: the first item's would be one of "
                f"{', '.join(self.names(first))}"
            )

    def __call__(self, items: Sequence[Item]) -> list[Made]:
        made = []
        for item in items:
            path = self.find(item.id)
            if path is None:
                made.append(Made(None, f"there is no picture of it in {self.folder}"))
            else:
                made.append(Made(open_picture(path), row={"file": path.name}))
        return made


def missing_turns(place: Layout, arm: str, lengths: Sequence[int], retry: bool = False) -> dict[int, int]:
    """{unit: its first turn that is not there}: without a row, or with one whose picture is gone; those that failed too,
    where they are to be tried again."""
    rows = read_rows(place.edits(arm))
    folder = place.picture(arm, (0, 0)).parent
    there = {p.name for p in folder.iterdir()} if folder.is_dir() else set()

    def done(key: Key) -> bool:
        row = rows.get(key)
        return row is not None and (picture_name(key) in there if fine(row) else not retry)

    found = {}
    for unit, turns in enumerate(lengths):
        first = next((t for t in range(turns) if not done((unit, t))), None)
        if first is not None:
            found[unit] = first
    return found


def edit(
    place: Layout,
    arm: str,
    benchmark: Benchmark,
    make: Callable[[], Maker],
    missing: dict[int, int],
    share: Share,
    chunk: int,
    told: Told | None = None,
) -> None:
    """Make this share's missing pictures, `chunk` units together. `make` loads the arm, and is only called where there is
    something to do. What was made is safe at the end of every chunk."""
    blocks = [todo for b in share.blocks(len(benchmark), chunk) if (todo := {u: missing[u] for u in b if u in missing})]
    if not blocks:
        return
    maker, done = make(), 0
    with RowFile(place.edits(arm) / f"{share.name}.jsonl") as file:
        for todo in blocks:
            rows = _edit_block(place, arm, benchmark, maker, todo)
            file.append(rows)
            done += len(rows)
            if told is not None:
                told(done)


def _edit_block(
    place: Layout, arm: str, benchmark: Benchmark, maker: Maker, todo: dict[int, int]
) -> list[dict[str, Any]]:
    units: dict[int, Unit] = {u: benchmark.unit(u) for u in todo}
    last = {
        u: open_picture(place.picture(arm, (u, t - 1))) for u, t in todo.items() if t > 0 and _has(place, arm, u, t)
    }
    rows = []
    for turn in range(max(map(len, units.values()))):
        now = [u for u, items in units.items() if todo[u] <= turn < len(items)]
        ready = [u for u in now if turn == 0 or u in last]
        began = time.perf_counter()
        items = [replace(units[u][turn], picture=last[u]) if turn else units[u][turn] for u in ready]
        found = dict(zip(ready, maker(items) if items else [], strict=True))
        spent = (time.perf_counter() - began) / max(1, len(ready))
        for u in now:
            made = found.get(u) or Made(None, f"there is no picture of turn {turn} to go on with")
            item = units[u][turn]
            if made.picture is None:
                last.pop(u, None)
            else:
                save_picture(place.picture(arm, (u, turn)), made.picture)
                last[u] = made.picture
            row = {"unit": u, "turn": turn, "id": item.id, "seconds": round(spent, 4), **made.row}
            rows.append(row | {"failure": made.failure or ("" if made.picture is not None else "no picture")})
    return rows


def _has(place: Layout, arm: str, unit: int, turn: int) -> bool:
    return place.picture(arm, (unit, turn - 1)).is_file()


def check_pictures(place: Layout, benchmark: Benchmark) -> None:
    """Raises BadInput for a benchmark of texts alone."""
    item = benchmark.unit(0)[0]
    if item.source is None and item.picture is None:
        raise BadInput(f"benchmark={place.benchmark} has no pictures to edit; choose one with pictures")


__all__ = ["FolderMaker", "Made", "Maker", "TeamMaker", "check_pictures", "edit", "missing_turns"]
