"""sweep.html: means by configuration, comparisons, and each run."""

from __future__ import annotations

from html import escape

from experiments.reports.html import interval, page, starred, table
from experiments.reports.plots import whiskers
from experiments.reports.sweep.forest import forests
from experiments.reports.sweep.kinds import kinds_part
from experiments.reports.sweep.summary import Sweep
from experiments.reports.sweep.words import COVERS, HEADS, each_seed, left_out_text, listed, value
from experiments.reports.words import p_text


def sweep_page(sweep: Sweep) -> str:
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
            *comparisons_section(sweep),
            *kinds_part(sweep),
            "<h2>Each run</h2>",
            table(["run", "seed", *sweep.keys, *(m.heading for m in sweep.measures)], each),
        ],
    )


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
    for unit in sweep.shown.units:
        measures = [m for m in sweep.measures if m.unit == unit]
        points = [
            ("\n".join(key) or "all", [(m.name, sweep.means[key][m.name], m.colour) for m in measures])
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
