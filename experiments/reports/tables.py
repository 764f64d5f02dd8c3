"""Tables for the terminal: arms by aspect with 95 % intervals, paired differences, the decomposition before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.means import Mean, mean, paired
from common.progress import console
from experiments.evaluation.names import ARM_NAMES, COMPONENTS, SHOWN, WHEN
from experiments.runs.results import Evaluation, Row, calls_made

SHORT_NAMES = ARM_NAMES | {
    "editor_chance": "k calls,\nby chance",
    "editor_best": "k calls,\nbest by judge",
}  # 80 columns
MEAN_OF = ("action", "subject", "goal")  # the headline number of a decomposition: their mean


def aspects(rows: Sequence[Row]) -> list[str]:
    """Overall first, then the judge's aspects in its own order."""
    first = next((r for r in rows if r["valid"]), None)
    return [] if first is None else ["overall", *(a for a in first["scores"] if a != "overall")]


def scores(rows: Sequence[Row], aspect: str) -> list[float | None]:
    """One value per sample in order; None where the verdict is invalid, so that arms stay paired."""
    return [r["scores"].get(aspect) if r.get("valid", True) else None for r in rows]


def mean_of(rows: Sequence[Row], aspect: str) -> Mean:
    return mean([x for x in scores(rows, aspect) if x is not None])


def mean_f1(rows: Sequence[Row]) -> list[float]:
    """Mean of action, subject and goal F1 of each sample."""
    return [sum(r["scores"][c] for c in MEAN_OF) / len(MEAN_OF) for r in rows]


def differences(found: Evaluation) -> list[tuple[str, str, Mean]]:
    """(better arm, compared with, difference in overall) for the arms that were run."""
    pairs = (
        ("agents_rl", "agents"),
        ("agents_rl", "editor"),
        ("agents_rl", "editor_chance"),
        ("agents_rl", "editor_best"),
        ("agents", "editor"),
    )
    return [
        (a, b, paired(scores(found.arms[b], "overall"), scores(found.arms[a], "overall")))
        for a, b in pairs
        if found.arms.get(a) and found.arms.get(b)
    ]


def calls_note(found: Evaluation) -> str:
    """What k is in the editor's k calls, or why there is no such arm; empty where there is nothing to say."""
    team = [calls_made(r) for r in found.arms["agents_rl"]]
    k = [len(r["variants"]) for r in found.calls]
    if not k:
        one = "the team used one call of the editor per sample: as many calls of the editor alone are the arm “editor alone”"
        return one if team and max(team) == 1 else ""
    what = (
        f"as many as the team after RL made on the sample, {sum(k) / len(k):.1f} on average" if k == team else str(k[0])
    )
    return (
        f"k calls of the editor alone on the raw request: {what}; by chance is one of them picked at random, best by the judge "
        "is picked by the judge that also scores it, so it is an upper bound"
    )


def interval(m: Mean, digits: int = 2) -> Text:
    """The mean, and under it the interval, so that a table fits into 80 columns."""
    value, _, under = m.text(digits).partition("\n")
    return Text(value + "\n").append(under, "dim not bold") if under else Text(value)


def arms_table(found: Evaluation) -> Table | None:
    ran = [a for a in SHOWN if found.arms.get(a)]
    if not ran:
        return None
    names = aspects(found.arms[ran[0]])
    table = Table(
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1),
        title=f"Arms on {len(found.arms[ran[0]])} test samples: 0–10, mean and 95 % interval",
    )
    table.add_column("arm", no_wrap=True)
    for name in names:
        table.add_column(name.replace("_", " "), justify="right", no_wrap=True)
    if any(not r["valid"] for a in ran for r in found.arms[a]):
        table.add_column("invalid", justify="right")
    for arm in ran:
        bad = sum(not r["valid"] for r in found.arms[arm])
        cells = [interval(mean_of(found.arms[arm], name)) for name in names]
        table.add_row(
            SHORT_NAMES[arm], *cells, *([str(bad)] if bad else []), style="bold" if arm == "agents_rl" else None
        )
    return table


def decomposition_table(found: Evaluation) -> Table:
    rows = found.decompositions
    n = len(rows["after"]) or len(rows["before"])
    table = Table(
        box=box.SIMPLE_HEAD,
        title_justify="left",
        padding=(0, 1),
        title=f"Decomposition on {n} test samples: F1, mean and 95 % interval",
    )
    table.add_column("", no_wrap=True)
    table.add_column("mean F1", justify="right", no_wrap=True)
    for name in COMPONENTS:
        table.add_column(name, justify="right", no_wrap=True)
    for label, part in decomposition_rows(rows):
        cells = [interval(mean([r["scores"][c] for r in part])) for c in COMPONENTS]
        table.add_row(label, interval(mean(mean_f1(part))), *cells, style="bold" if label.startswith("after") else None)
    return table


def decomposition_rows(rows: Mapping[str, Sequence[Row]]) -> list[tuple[str, list[Row]]]:
    """(label, rows) before and after, and each category's where there are cm and cu."""
    out: list[tuple[str, list[Row]]] = [(f"{w} RL", list(rows[w])) for w in WHEN if rows[w]]
    kinds = sorted({r["kind"] for w in WHEN for r in rows[w]} & {"cm", "cu"})
    return out + [(f"{w} RL, {k}", [r for r in rows[w] if r["kind"] == k]) for k in kinds for w in WHEN if rows[w]]


def print_results(folder: Path, values: Mapping[str, Any]) -> None:
    """What a run prints at its end."""
    found = Evaluation.load(folder)
    console.print()
    if (table := arms_table(found)) is not None:
        console.print(table)
        for a, b, diff in differences(found):
            console.print(
                f"  {ARM_NAMES[a]} − {ARM_NAMES[b]}: {diff.value:+.2f} [{diff.low:+.2f}, {diff.high:+.2f}] overall, paired"
            )
        if note := calls_note(found):
            console.print(f"  {note}")
        console.print()
    console.print(decomposition_table(found))
    before, after = (found.decompositions[w] for w in WHEN)
    if before and after:
        diff = paired(mean_f1(before), mean_f1(after))
        console.print(f"  after − before RL: {diff.value:+.3f} [{diff.low:+.3f}, {diff.high:+.3f}] mean F1, paired\n")
    spent = values["time_s"]
    console.print(
        f"results: {folder / 'results.json'}   training {spent['train']:.0f} s, evaluation {spent['evaluate']:.0f} s"
    )
