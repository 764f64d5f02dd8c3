"""A closed loop beside single and multi execution: quality against calls of the editor, and against FLOPs."""

from __future__ import annotations

from experiments.evaluation.budgets import ARM_TITLES, cell_of
from experiments.reports.html import interval, table
from experiments.reports.looks import COLOURS
from experiments.reports.panels import FinishedRun, Panel
from experiments.reports.plots import Series, trade_off

COLOUR_OF = dict(zip(ARM_TITLES, COLOURS[2:4] + COLOURS[1::-1], strict=True))
WORDS = (
    "The mean score of the picture that stands after at most k calls of the editor, for every k; an item whose team stops after "
    "fewer calls keeps its last picture. Single execution makes its one call again with k seeds, and the judge that scores picks "
    "the best: an upper bound. FLOPs are those of the decomposer’s answers and of the edits, by the formulas of "
    "experiments.plan; an editor without a model here counts 0."
)


def section(run: FinishedRun) -> list[str]:
    curves = run.results.get("budgets") or {}
    if not curves:
        return []
    by_calls, by_flops, rows = [], [], []
    for arm, points in curves.items():
        name, colour = ARM_TITLES[arm], COLOUR_OF[arm]
        cells = [cell_of(point) for point in points]
        by_calls.append(Series(name, colour, [(p["calls"], c) for p, c in zip(points, cells, strict=True)]))
        by_flops.append(Series(name, colour, [(p["flops"] / 1e9, c) for p, c in zip(points, cells, strict=True)]))
        last = points[-1]
        rows.append(
            ([name, f"{last['calls']:.2f}", f"{last['flops'] / 1e9:.3g}", *(interval(c) for c in cells[1:])], False)
        )
    most = max(len(points) for points in curves.values()) - 1
    return [
        f'<p class="muted">{WORDS}</p>',
        f"<figure>{trade_off(by_calls, 'Quality against calls', 'calls of the editor, mean', (0.0, 10.0))}</figure>",
        f"<figure>{trade_off(by_flops, 'Quality against FLOPs', 'GFLOPs of an item, mean', (0.0, 10.0))}</figure>",
        table(["team", "calls made", "GFLOPs", *(f"at most {k} calls" for k in range(1, most + 1))], rows),
    ]


PANEL = Panel("Quality against calls", 35, section)

__all__ = ["PANEL"]
