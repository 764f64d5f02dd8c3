"""sweep.html: means by configuration, comparisons, and each run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from experiments.reports.html import interval, page, starred, table
from experiments.reports.plots import whiskers
from experiments.reports.sweep.comparisons import telling
from experiments.reports.sweep.effects import COVERS as MAIN_EFFECTS
from experiments.reports.sweep.effects import LEGEND, Effect
from experiments.reports.sweep.forest import forests
from experiments.reports.sweep.gallery import gallery_section
from experiments.reports.sweep.kinds import kinds_part
from experiments.reports.sweep.learning import learning_section
from experiments.reports.sweep.measures import CHOICE, ForestPlot
from experiments.reports.sweep.pivot import Pivot
from experiments.reports.sweep.summary import Sweep
from experiments.reports.sweep.words import COVERS, HEADS, each_seed, left_out_text, listed, value
from experiments.reports.words import p_text


def sweep_page(sweep: Sweep, pivoted: Pivot | None = None, effects: Sequence[Effect] = ()) -> str:
    heads = [*(sweep.keys or ["configuration"]), "seeds", *(m.heading for m in sweep.measures)]
    means = [
        (
            [
                *map(escape, key or ("as configured",)),
                listed(r.seed for r in members),
                *(interval(sweep.means[key][m.name], m.unit.digits) for m in sweep.measures),
            ],
            False,
        )
        for key, members in sweep.groups.items()
    ]
    each = [
        (
            [
                escape(r.folder.name),
                str(r.seed),
                *(escape(r.choices[k]) for k in sweep.keys),
                *(value(r, m) for m in sweep.measures),
            ],
            False,
        )
        for r in sweep.runs
    ]
    return page(
        sweep.name,
        [
            f"<h1>{escape(sweep.name)}</h1>",
            f'<p class="lead">{len(sweep.runs)} runs{escape(sweep.judged)}; {escape(sweep.title)}.</p>',
            *absent(sweep),
            table(heads, means, "stacked"),
            f'<p class="muted">{escape(units(sweep))}</p>',
            starred(c for by_measure in sweep.means.values() for c in by_measure.values()),
            f'<div class="two">{"".join(f"<figure>{p}</figure>" for p in mean_plots(sweep))}</div>',
            *pivot_section(pivoted),
            *effects_section(effects),
            *learning_section(sweep),
            *gallery_section(sweep),
            *comparisons_section(sweep),
            *kinds_part(sweep),
            "<h2>Each run</h2>",
            table(["run", "seed", *sweep.keys, *(m.heading for m in sweep.measures)], each),
        ],
    )


def pivot_section(pivoted: Pivot | None) -> list[str]:
    if pivoted is None:
        return []
    rows = [
        (
            [
                escape(pivoted.label(row)),
                *(" ".join(_value_and_interval(*pivoted.text(row, col))) for col in pivoted.cols),
            ],
            False,
        )
        for row in pivoted.rows
    ]
    return [
        f"<h2>{escape(pivoted.title)}</h2>",
        f'<p class="muted">{escape(pivoted.note)}</p>',
        table([", ".join(pivoted.row_keys), *map(pivoted.label, pivoted.cols)], rows, "stacked narrow"),
        starred(pivoted.cells.values()),
    ]


def _value_and_interval(value: str, interval: str) -> tuple[str, str]:
    return escape(value), f"<small>{escape(interval)}</small>" if interval else ""


def effects_section(effects: Sequence[Effect]) -> list[str]:
    """Main effects as a table and as a forest plot."""
    answered = [(e, d) for e in effects if (d := e.comparison.difference) is not None]
    if not answered:
        return []
    rows = [
        (
            [
                f"{escape(e.comparison.question)}<br><small>{escape(e.key)}</small>",
                interval(d.samples, e.comparison.digits, sign=True),
                interval(d.both, e.comparison.digits, sign=True),
                p_text(d.adjusted),
            ],
            d.significant,
        )
        for e, d in answered
    ]
    unit = answered[0][0].comparison.unit
    shown = [ForestPlot(f"Main effects: {unit.title.lower()}", unit, (CHOICE,))]
    plots = forests([e.comparison for e, _ in answered], shown, LEGEND)
    numbers = table(["change", "over test samples", "over pairs and samples", "p (Holm)"], rows, "stacked wordsfirst")
    return [
        "<h2>Main effects</h2>",
        f'<p class="muted">{escape(MAIN_EFFECTS)}</p>',
        f'<div class="two">{"".join(f"<figure>{p}</figure>" for p in plots)}<div>{numbers}</div></div>',
        starred(cell for _, d in answered for cell in (d.samples, d.both)),
    ]


def units(sweep: Sweep) -> str:
    """What the columns of the first table are measured in."""
    by_unit = {unit.title: [m.heading for m in sweep.measures if m.unit == unit] for unit in sweep.shown.units}
    said = (
        f"{', '.join(names)}: {title[:1].lower()}{title[1:]}"
        for title, names in by_unit.items()
        if names not in ([], [title])
    )
    return "".join(f"{line[:1].upper()}{line[1:]}. " for line in said).strip()


def absent(sweep: Sweep) -> list[str]:
    """The cells of the sweep that are in no table: what failed, and what is not finished."""
    if not sweep.absent:
        return []
    lines = "".join(f"<li>{escape(line)}</li>" for line in sweep.absent)
    return [
        f'<div class="warning"><b>{len(sweep.absent)} of the sweep’s runs are in no table:</b><ul>{lines}</ul></div>'
    ]


def mean_plots(sweep: Sweep) -> list[str]:
    """The means of each configuration with their intervals, one figure for each unit."""
    figures = []
    shown = telling(list(sweep.groups))
    for unit in sweep.shown.units:
        measures = [m for m in sweep.measures if m.unit == unit]
        points = [
            (
                "\n".join(key[k] for k in shown) or "all",
                [(m.name, sweep.means[key][m.name], m.colour) for m in measures],
            )
            for key in sweep.groups
        ]
        if measures:
            figures.append(whiskers(points, unit.title, unit.scale))
    return figures


def comparisons_section(sweep: Sweep) -> list[str]:
    rows = [
        (
            [
                f"{escape(c.question)}<br><small>{escape(c.where)}{f'; {left_out_text(d)}' if d.left_out else ''}</small>",
                interval(d.samples, c.digits, sign=True),
                p_text(d.adjusted),
                interval(d.both, c.digits, sign=True) if len(d.seeds) > 1 else "<small>one seed</small>",
                "<br>".join(f'<small class="in">{seed}</small> {x}' for seed, x in each_seed(c, d).items()),
                str(d.samples.n),
            ],
            d.significant,
        )
        for c, d in sweep.answered
    ]
    plots = forests(sweep.comparisons, sweep.shown.forests)
    return [
        "<h2>Comparisons</h2>",
        f'<p class="muted">Each line: {escape(COVERS)}</p>',
        *(f'<p class="muted">{escape(note)}</p>' for note in sweep.notes),
        f'<div class="two">{"".join(f"<figure>{p}</figure>" for p in plots)}</div>' if plots else "",
        table(HEADS[1:], rows, "wordsfirst") if rows else "",
        starred(cell for _, d in sweep.answered for cell in (d.samples, d.both)),
        *(f'<p class="muted">{escape(line)}</p>' for line in sweep.equal),
        *(f'<p class="muted">Not compared: {escape(t)}</p>' for t in sweep.refused),
    ]
