"""A list of runs as a table for the terminal, as JSON or as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from experiments.catalogue.configs import text
from experiments.catalogue.entry import Entry
from experiments.catalogue.scores import EDITOR, TEAM
from experiments.catalogue.sizes import age_text, size_text
from experiments.catalogue.state import FAILED, RUNNING, STOPPED

STYLES = {RUNNING: "green", FAILED: "red", STOPPED: "yellow"}
DIGITS = {TEAM: 2, EDITOR: 2}  # of scores from 0 to 10; others 3


def score_columns(entries: Sequence[Entry]) -> list[str]:
    """The key scores that some run has."""
    return list(dict.fromkeys(name for e in entries for name in e.scores))


def table(entries: Sequence[Entry], shown: Sequence[str], width: int) -> Table:
    """One line for each run, and one below it with the error of a failed one. `shown`: further keys, as columns. `width`: of the
    terminal; key scores that do not fit are left out, the last ones first."""
    scores = score_columns(entries)
    room = width - max((len(e.name) for e in entries), default=3) - 30 - sum(max(8, len(k)) + 2 for k in shown)
    while scores and sum(max(map(len, name.split())) + 2 for name in scores) > room:
        scores.pop()
    out = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True)
    out.add_column("run", overflow="fold")
    longest = max((len(str(e.progress)) for e in entries if e.progress), default=0)
    out.add_column("state", overflow="fold", min_width=min(longest, 24))
    for key in shown:
        out.add_column(key, overflow="fold")
    for name in scores:
        out.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    out.add_column("age", justify="right", no_wrap=True)
    out.add_column("size", justify="right", no_wrap=True)
    for e in entries:
        standing = Text(e.state.word, STYLES.get(e.state.word, ""))
        if e.progress is not None:
            standing.append(f"\n{e.progress}", "dim")
        if error := e.state.error or e.trouble:
            standing.append(f"\n{shortened(error)}", "dim red")
        cells = [_score(e, name) for name in scores]
        out.add_row(
            Text(e.name),
            standing,
            *(Text(_cell(e, key)) for key in shown),
            *cells,
            age_text(e.age),
            size_text(e.size),
        )
    return out


def summary(listed: Sequence[Entry], of: int) -> str:
    """12 of 40 runs: 1 running, 11 finished; 3.4 GB."""
    states = Counter(e.state.word for e in listed)
    counts = ", ".join(f"{n} {word}" for word, n in states.most_common())
    number = f"{len(listed)} of {of}" if len(listed) < of else str(of)
    return f"{number} run{'s' * (of != 1)}: {counts}; {size_text(sum(e.size for e in listed))}"


def shortened(error: str, at_most: int = 160) -> str:
    return error if len(error) <= at_most else error[: at_most - 1] + "…"


def as_json(entries: Sequence[Entry]) -> str:
    """Everything that is known of every run."""
    return json.dumps([_whole(e) for e in entries], indent=1, ensure_ascii=False, default=str)


def _whole(e: Entry) -> dict[str, Any]:
    progress = e.progress and {"phase": e.progress.phase, "done": e.progress.done, "total": e.progress.total or None}
    return {
        "run": e.name,
        "folder": str(e.folder),
        "state": e.state.word,
        "error": e.state.error or e.trouble or None,
        "progress": progress,
        "scores": e.scores,
        "age_s": round(e.age, 1),
        "bytes": e.size,
        "started": e.state.started,
        "ended": e.state.ended,
        "config": e.config,
        "results": e.results,
    }


def as_csv(entries: Sequence[Entry], shown: Sequence[str]) -> str:
    """A line for each run: how it stands, the further keys, every key score."""
    scores = score_columns(entries)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["run", "folder", "state", "phase", "done", "total", *shown, *scores, "age_s", "bytes", "error"])
    for e in entries:
        steps = [e.progress.phase, e.progress.done, e.progress.total or ""] if e.progress else ["", "", ""]
        values = [_cell(e, key) for key in shown] + [f"{e.scores[n]:.6g}" if n in e.scores else "" for n in scores]
        end = [f"{e.age:.0f}", e.size, e.state.error or e.trouble]
        writer.writerow([e.name, e.folder, e.state.word, *steps, *values, *end])
    return buffer.getvalue()


def _cell(e: Entry, key: str) -> str:
    value = e.value(key)
    return "" if value is None and key not in e.config else text(value)


def _score(e: Entry, name: str) -> str:
    return f"{e.scores[name]:z.{DIGITS.get(name, 3)}f}" if name in e.scores else "–"


__all__ = ["as_csv", "as_json", "score_columns", "summary", "table"]
