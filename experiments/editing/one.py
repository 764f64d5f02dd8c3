"""One picture: its edit or several candidates, and everything that is written of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from common.atomic import atomic_file
from common.files import write_json
from experiments.editing.candidates import Candidates, Make, make_candidates, score, scores_of
from experiments.editing.sheet import Shown, draw_sheet
from experiments.runs.output_picture import save_edited, trace_folder

if TYPE_CHECKING:
    from agents.steps import Watch
    from common.pictures import Picture
    from judges.base import Judge


@dataclass(frozen=True)
class Written:
    """The files of an edit. `notes`: what was said about the picture that was written. `unchanged`: the edit changed no pixel."""

    picture: Path
    sheet: Path
    trace: Path
    candidates: Path | None
    notes: tuple[str, ...]
    unchanged: bool


def edit_one(
    given: Picture,
    make: Make,
    out: Path,
    seed: int,
    n: int = 1,
    judge: Judge | None = None,
    watch: Watch | None = None,
    told: Callable[[Candidates], None] = lambda candidates: None,
    starts: Callable[[int, int], None] = lambda number, seed: None,
) -> Written:
    """Edit `given` and write the picture, its sheet, with `n` > 1 all candidates, and the trace last: where it is, everything is.

    `told` hears of the candidates before they are written, `starts` of each one's number and seed before it is made. Raises
    RunFailed, SaveFailed, and what the judge raises.
    """
    made = make_candidates(make, seed, n, judge, watch, starts)
    told(made)
    best, folder = made.best, out.with_name(out.stem + "_candidates")
    note = save_edited(best.result, given, out)
    if n > 1:
        for k, trace in enumerate(made.traces, 1):
            if not trace.failure:
                save_edited(trace.result, given, folder / f"{k}{out.suffix}")
            trace.save(trace_folder(folder / f"{k}{out.suffix}"))
        write_json(folder / "verdicts.json", {"pick": made.pick + 1, "verdicts": scores_of(made.verdicts)})
    sheet = out.with_name(out.stem + "_sheet.png")
    save_png(draw_sheet(best.pictures[0], best.request, f"plan ({best.source})", best.sub_requests, shown(made)), sheet)
    kept = best.save(trace_folder(out))
    return Written(
        out,
        sheet,
        kept,
        folder if n > 1 else None,
        (note,) if note else (),
        best.digests[0] == best.digests[-1],
    )


def shown(made: Candidates) -> list[Shown]:
    """The results of a sheet with their captions."""
    several = len(made.traces) > 1
    results = []
    for k, (trace, verdict) in enumerate(zip(made.traces, made.verdicts, strict=True)):
        words = [f"{k + 1}", f"seed {trace.seed}"] if several else ["after"]
        if trace.failure:
            words.append("no picture")
        if verdict is not None:
            words.append(f"{score(verdict):.1f} of 10" if verdict.valid else "no verdict")
        picked = several and k == made.pick
        words += ["picked" if made.judged else "taken"] if picked else []
        results.append(Shown(trace.result, " · ".join(words), picked))
    return results


def save_png(image: Image.Image, path: Path) -> None:
    """Raises SaveFailed."""
    with atomic_file(path, remedy="Free space or choose another out=<file>") as file:
        image.save(file, format="PNG")


__all__ = ["Written", "edit_one", "save_png", "shown"]
