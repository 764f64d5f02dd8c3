"""Decompositions by kind of request, as the terminal and the pages of a run, an evaluation and a sweep show them.

They are made of the section `decomposition` of results.json alone (`evaluation.kinds.kind_scores`). Each kind has two lines: F1
before → after RL, and the paired difference with its interval. A second table has the exact answers: the start's greedy one, one
and k drawn from the start, and the one after RL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.cells import Cell, remarks
from common.progress import console
from common.statistics import significant
from experiments.evaluation.kinds import MEAN_F1, OVER_PASS
from experiments.evaluation.names import COMPLEX, EXACT, MEAN_OF, WHEN
from experiments.reports import html
from experiments.reports.evaluation.cells import cell_of
from experiments.reports.screen import print_line, show_table

Scores = Mapping[str, Any]  # the section `decomposition`, or its part `complex`
KINDS = ("direct", "paraphrased", "indirect", "multi_step")  # in this order, others after them
F1 = {MEAN_F1: "mean F1", "subject": "subject F1", "linked": "linked F1"}
COMPLEX_TITLE = "Complex requests"
COMPLEX_NOTE = "Complex requests are indirect and multi-step ones of three to five edits, beside the mixed ones above."
FAMILY = "Bold: significant after Holm’s correction over the differences of both tables (p (Holm) at most 0.05)."


def lines(scores: Scores) -> list[tuple[str, Mapping[str, Any]]]:
    """(name, scores) over all requests, then of every kind; nothing where no decomposition was scored."""
    kinds = scores.get("by_kind", {})
    order = sorted(kinds, key=lambda k: (KINDS.index(k) if k in KINDS else len(KINDS), k))
    if not any(scores.get(when) for when in WHEN):
        return []
    return [("all", scores), *((kind.replace("_", "-"), kinds[kind]) for kind in order)]


def value(means: Mapping[str, float], measure: str) -> float | None:
    """None where it was not measured."""
    if measure == MEAN_F1:
        return sum(means[c] for c in MEAN_OF) / len(MEAN_OF) if means else None
    return means.get(measure)


def drawn_of(scores: Scores) -> int:
    """k of pass@k; 0 where no answers were drawn."""
    names = [n.removeprefix("pass") for n in scores.get("before", {}) if n.startswith("pass")]
    return max(map(int, names), default=0)


def moved(entry: Scores, measure: str) -> str:
    """0.71 → 0.79, or the one of them that is there."""
    shown = [f"{x:.2f}" for when in WHEN if (x := value(entry.get(when, {}), measure)) is not None]
    return " → ".join(shown) or "–"


def change(entry: Scores, name: str) -> Mapping[str, Any] | None:
    return entry.get("change", {}).get(name)


def cells(scores: Scores) -> Iterable[Cell]:
    """All differences, for the remarks on their stars."""
    return (cell_of(gap) for _, entry in lines(scores) for gap in entry.get("change", {}).values())


# ---------------------------------------------------------------------------------------------------------- terminal
def f1_table(scores: Scores, what: str) -> Table:
    """Two lines for every kind, in 80 columns. `what`: how many of what was decomposed."""
    table = _table(f"F1 of {what}" + (": before → after RL, paired difference" if both(scores) else ""))
    table.add_column("", no_wrap=True)
    for name in F1.values():
        table.add_column(name, justify="right", no_wrap=True)
    for label, entry in lines(scores):
        texts = []
        for measure in F1:
            text, gap = Text(moved(entry, measure)), change(entry, measure)
            if gap is not None:
                figure, under = cell_of(gap).parts(sign=True)
                close = under.replace(", ", ",")  # three of them fit into 80 columns
                text.append(f"\n{figure} {close}".rstrip(), "bold" if significant(gap["p_holm"]) else "dim")
            texts.append(text)
        table.add_row(Text(label).append(f"\nn {entry['n']}", "dim"), *texts)
    return table


def exact_table(scores: Scores, what: str) -> Table | None:
    """None where exact answers were not counted."""
    heads, rows = exact_lines(scores)
    if not rows:
        return None
    table = _table(f"Exact answers to {what}")
    table.add_column("", no_wrap=True)
    for head in heads:
        table.add_column(head.replace(" ", "\n", 1), justify="right", no_wrap=True)
    for label, numbers, gaps in rows:
        texts = []
        for gap in gaps:
            figure, under = ("–", "") if gap is None else cell_of(gap).parts(sign=True)
            text = Text(figure, "bold" if gap is not None and significant(gap["p_holm"]) else "")
            texts.append(text.append(f"\n{under}", "not bold dim") if under else text)
        table.add_row(label, *("–" if x is None else f"{x:.2f}" for x in numbers), *texts)
    return table


def exact_lines(
    scores: Scores,
) -> tuple[list[str], list[tuple[str, list[float | None], list[Mapping[str, Any] | None]]]]:
    """The heads of the columns, and (kind, shares, differences) of every line: the start's greedy answers, one and k drawn from
    it, the greedy ones after RL, and what RL adds to the start and to its luck."""
    k = drawn_of(scores)
    columns = [("before", EXACT, "start greedy")]
    columns += [("before", f"pass{m}", f"start pass@{m}") for m in dict.fromkeys((1, k)) if k]
    columns += [("after", EXACT, "after RL")]
    whole = lines(scores)
    columns = [c for c in columns if any(c[1] in entry.get(c[0], {}) for _, entry in whole)]
    if not any(name == EXACT for _, name, _ in columns):
        return [], []
    gaps = [(EXACT, "RL − greedy"), (OVER_PASS, f"RL − pass@{k}")]
    gaps = [g for g in gaps if any(change(entry, g[0]) is not None for _, entry in whole)]
    rows = [
        (
            label,
            [entry.get(when, {}).get(name) for when, name, _ in columns],
            [change(entry, name) for name, _ in gaps],
        )
        for label, entry in whole
    ]
    return [head for _, _, head in columns] + [head for _, head in gaps], rows


def print_kinds(scores: Scores, what: str) -> None:
    """Both tables, and what their stars stand for."""
    if not lines(scores):
        return
    show_table(f1_table(scores, what))
    if (table := exact_table(scores, what)) is not None:
        show_table(table)
    for line in remarks(cells(scores)):
        print_line(line)


def print_both(scores: Scores, what: str) -> None:
    """The mixed requests, then the complex ones where these were evaluated too."""
    print_kinds(scores, f"{scores.get('n', 0):,} {what}")
    beside = scores.get(COMPLEX, {})
    if beside:
        console.print()
        print_kinds(beside, f"{beside['n']:,} complex requests")


def both(scores: Scores) -> bool:
    return all(scores.get(when) for when in WHEN)


def _table(title: str) -> Table:
    return Table(
        box=box.SIMPLE_HEAD, title=title, title_justify="left", padding=(0, 1), collapse_padding=True, pad_edge=False
    )


# -------------------------------------------------------------------------------------------------------------- page
def kinds_section(scores: Scores) -> list[str]:
    """Both tables as pieces of HTML."""
    rows = lines(scores)
    if not rows:
        return []
    head = ["kind", "n", *F1.values()]
    f1 = [
        ([escape(label), str(entry["n"]), *(_moved(entry, measure) for measure in F1)], False) for label, entry in rows
    ]
    heads, exact = exact_lines(scores)
    shares = [
        ([escape(label), *("–" if x is None else f"{x:.2f}" for x in numbers), *map(_gap, gaps)], False)
        for label, numbers, gaps in exact
    ]
    return [
        html.table(head, f1),
        *(['<p class="muted">Exact answers: the share of requests whose triples are all right.</p>'] if exact else []),
        html.table(["kind", *heads], shares) if exact else "",
        html.starred(cells(scores)),
        f'<p class="muted">{FAMILY}</p>' if both(scores) else "",
    ]


def _moved(entry: Scores, measure: str) -> str:
    gap = change(entry, measure)
    return escape(moved(entry, measure)) + ("" if gap is None else f"<br><small>{_gap(gap)}</small>")


def _gap(gap: Mapping[str, Any] | None) -> str:
    if gap is None:
        return "–"
    text = html.interval(cell_of(gap), 2, sign=True)
    return f"<b>{text}</b>" if significant(gap["p_holm"]) else text


__all__ = ["COMPLEX_NOTE", "COMPLEX_TITLE", "exact_table", "f1_table", "kinds_section", "lines", "print_both"]
__all__ += ["print_kinds"]
