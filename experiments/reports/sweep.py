"""Several runs side by side: means of each configuration, the comparisons they allow, one page, and files to paste."""

from __future__ import annotations

import csv
import io
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from common.errors import BadInput, MissingFile
from common.files import read_json, write_text
from common.means import Mean, mean
from common.progress import console
from conf.schema import RunConfig
from experiments.evaluation.names import EXTRA_ARMS, SHOWN, WHEN
from experiments.reports.comparisons import (
    Comparison,
    Difference,
    asked,
    compare,
    forests,
    label,
    name,
    over_both,
    table_SN,
    unfit,
    values,
)
from experiments.reports.html import page, table
from experiments.reports.looks import ARM_COLOURS, SHORT_NAMES
from experiments.reports.plots import whiskers
from experiments.reports.run.numbers import MEAN_OF
from experiments.reports.run.terminal import interval
from experiments.runs.identity import EXCLUDED, load_config
from experiments.runs.results import Evaluation

MEASURES = {f"F1 {w}": w for w in WHEN} | {name(a): a for a in SHOWN}  # as shown -> where its rows are
AT_MOST = 5  # measures that fit side by side into 80 columns
MEANS = "mean over seeds; 95 % interval over test samples and, where there are several, seeds"
SEEDS_ONLY = "mean over seeds; 95 % interval over seeds alone, for the rows of the test samples are not there or differ"
K_CALLS = (
    "The editor alone, k calls: the raw request k times, where k is what the team called on that sample or "
    "scale.editor_calls; by chance is one of the k pictures at random; best by the judge is picked by the judge that "
    "also scores it, an upper bound."
)
HEADS = ("configuration", "compared", "over test samples", "over seeds and samples", "each seed", "samples")
COVERS = (
    "second − first, paired by seed and test sample. The interval covers the test samples; what training anew would "
    "change shows in the differences of the single seeds and, roughly, in the interval over seeds and samples. "
    "Intervals are not corrected for the number of questions."
)


@dataclass(frozen=True)
class Run:
    folder: Path
    choices: dict[str, str]  # dotted keys of the configuration, the seed left out
    seed: int
    measures: dict[str, float]
    rows: Evaluation = field(repr=False)


def find_runs(arguments: Sequence[str]) -> tuple[list[Path], Path]:
    """(finished runs, where a page about them goes). A folder with runs.txt (a sweep) or with runs inside stands for them."""
    if not arguments:
        raise BadInput("name run folders, or a sweep's folder: python -m experiments.report outputs/<run> …")
    runs: list[Path] = []
    for argument in arguments:
        folder = Path(argument)
        if (folder / "config.yaml").is_file():
            runs.append(folder)
        elif (folder / "runs.txt").is_file():
            runs += [Path(line) for line in (folder / "runs.txt").read_text().splitlines() if line]
        elif folder.is_dir():
            runs += sorted(p.parent for p in folder.glob("*/config.yaml") if ".old-" not in p.parent.name)
        else:
            raise MissingFile(f"there is no folder {folder}; runs lie in outputs/<name>-<hash>")
    named: dict[Path, Path] = {}
    for run in runs:
        named.setdefault(run.resolve(), run)  # a run named in two ways is one run
    runs = list(named.values())
    finished = [r for r in runs if (r / "results.json").is_file()]
    for run in runs:
        if run not in finished:
            console.print(f"[dim]{run} is not finished and left out: its command again goes on with it[/]")
    if not finished:
        raise MissingFile(f"no finished run in {', '.join(arguments)}: a finished run has results.json")
    first = Path(arguments[0])
    single = len(arguments) == 1 and not (first / "config.yaml").is_file()
    return finished, first if single else finished[0].parent


def load(folder: Path) -> Run:
    config, found = load_config(folder), read_json(folder / "results.json")
    scores = found["decomposition"]
    measures = {f"F1 {when}": sum(scores[when][c] for c in MEAN_OF) / len(MEAN_OF) for when in WHEN if scores.get(when)}
    for arm in SHOWN:
        for result in found["arms"].get(arm, {}).values():
            measures[name(arm)] = result["overall"]
    return Run(folder, choices(config), config.seed, measures, Evaluation.load(folder))


def choices(config: RunConfig) -> dict[str, str]:
    """Dotted keys and values of what defines a run; a group's own name stands for it where it has one."""
    flat: dict[str, str] = {}

    def walk(value: Mapping[str, Any], prefix: str) -> None:
        for key, item in value.items():
            dotted = prefix + key
            if dotted in EXCLUDED or dotted == "seed":
                continue
            if isinstance(item, Mapping):
                walk(item, f"{dotted}.")
            else:
                flat[dotted.removesuffix(".name")] = f"{item:g}" if isinstance(item, float) else str(item)

    walk(asdict(config), "")
    return flat


def differing(runs: Sequence[Run]) -> list[str]:
    """Keys whose values differ. What follows from a named choice that differs (the weights of a reward) is left out."""
    keys = [k for k in runs[0].choices if len({r.choices.get(k) for r in runs}) > 1]

    def follows(key: str) -> bool:
        group = key.partition(".")[0]
        own = "algo.variant" if group == "algo" else group
        leading = [k for k in (own, "scale") if k in keys]  # a scale has its own settings for every group
        return own in leading and key not in leading and _decided(runs, key, leading)

    return [k for k in keys if not follows(k)]


def _decided(runs: Sequence[Run], key: str, leading: Sequence[str]) -> bool:
    """Whether the leading keys' values leave `key` no choice in any of the runs."""
    found = {(tuple(r.choices[k] for k in leading), r.choices.get(key)) for r in runs}
    return len(found) == len({chosen for chosen, _ in found})


def grouped(runs: Sequence[Run], keys: Sequence[str]) -> dict[tuple[str, ...], list[Run]]:
    """Runs that differ in the seed alone, together."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(run.choices[k] for k in keys), []).append(run)
    return groups


def over(members: Sequence[Run], measure: str) -> Mean:
    """Over seeds and test samples where every run has rows of the same samples, else over seeds alone."""
    there = sorted((r for r in members if measure in r.measures), key=lambda r: r.seed)
    if not there or not has_rows(there, measure):
        return over_seeds(there, measure)
    by_run = {n: values(r.rows, MEASURES[measure]) for n, r in enumerate(there)}
    return over_both(table_SN(by_run, list(by_run), list(asked(there[0].rows))))


def over_seeds(members: Sequence[Run], measure: str) -> Mean:
    return mean([r.measures[measure] for r in members if measure in r.measures])


def has_rows(members: Sequence[Run], measure: str) -> bool:
    there = [r for r in members if measure in r.measures]
    return all(values(r.rows, MEASURES[measure]) for r in there) and not unfit([(r.seed, r.rows) for r in there], False)


@dataclass(frozen=True)
class Sweep:
    """Everything the tables show: runs by configuration, means per measure, comparisons."""

    name: str
    runs: list[Run]
    keys: list[str]
    groups: dict[tuple[str, ...], list[Run]]
    measures: list[str]
    means: dict[tuple[str, ...], dict[str, Mean]]
    title: str  # what the means are of
    comparisons: list[Comparison]

    @classmethod
    def of(cls, title: str, runs: Sequence[Run]) -> Sweep:
        keys = differing(runs)
        groups = grouped(runs, keys)
        used = [m for m in MEASURES if any(m in r.measures for r in runs)]
        rows = all(has_rows(members, m) for members in groups.values() for m in used)
        average = over if rows else over_seeds  # never two kinds of interval in one table
        means = {key: {m: average(members, m) for m in used} for key, members in groups.items()}
        found = compare(keys, {key: [(r.seed, r.rows) for r in members] for key, members in groups.items()})
        return cls(title, list(runs), keys, groups, used, means, MEANS if rows else SEEDS_ONLY, found)


def report_sweep(folders: Sequence[Path], out: Path) -> Path:
    """Print the tables; write `sweep.html`, `sweep.md` and `sweep.csv` into `out`. Returns the page."""
    sweep = Sweep.of(out.name, [load(f) for f in folders])
    for printed in (*mean_tables(sweep), runs_table(sweep), comparisons_table(sweep)):
        if printed is not None:
            console.print(printed)
    if has_k_calls(sweep):
        console.print(f"  {K_CALLS}", markup=False)
    for text in not_compared(sweep):
        console.print(f"  not compared: {text}", markup=False)
    write_text(out / "sweep.md", markdown(sweep))
    write_text(out / "sweep.csv", comparisons_csv(sweep.comparisons))
    write_text(out / "sweep.html", sweep_page(sweep))
    console.print(f"report: [bold]{out / 'sweep.html'}[/]; tables to paste: {out / 'sweep.md'}, {out / 'sweep.csv'}")
    return out / "sweep.html"


def mean_tables(sweep: Sweep) -> list[Table]:
    """One table, or F1 and arms apart where they are too many for 80 columns."""
    f1 = [m for m in sweep.measures if MEASURES[m] in WHEN]
    parts = [sweep.measures] if len(sweep.measures) <= AT_MOST else [f1, [m for m in sweep.measures if m not in f1]]
    tables = []
    for n, measures in enumerate(parts):
        printed = _table(f"{len(sweep.runs)} runs: {sweep.title}" if n == 0 else "")
        printed.add_column("\n".join(sweep.keys) or "configuration", overflow="fold")
        for m in measures:
            printed.add_column(_stacked(heading(m), 9), justify="right", no_wrap=True)
        for key, members in sweep.groups.items():
            cells = [interval(sweep.means[key][m], digits(m)) for m in measures]
            first = Text("\n".join(key) or "as configured").append(f"\n{_seeds(r.seed for r in members)}", "dim")
            printed.add_row(first, *cells)
        tables.append(printed)
    return tables


def runs_table(sweep: Sweep) -> Table:
    printed = _table("Each run")
    printed.add_column("run", overflow="fold")
    for head in ("seed", *map(heading, sweep.measures)):
        printed.add_column(_stacked(head, 6), justify="right", no_wrap=True)
    for key, members in sweep.groups.items():
        if sweep.keys:
            printed.add_row(Text(label(sweep.keys, key), "bold"))
        for run in members:
            printed.add_row(Text(run.folder.name), str(run.seed), *(_number(run, m) for m in sweep.measures))
    return printed


def comparisons_table(sweep: Sweep) -> Table | None:
    """Differences with their interval over test samples, and of each seed."""
    answered = [(c, c.difference) for c in sweep.comparisons if c.difference is not None]
    if not answered:
        return None
    printed = _table("Comparisons: difference, 95 % interval over test samples, and the difference of each seed")
    printed.add_column("", overflow="fold", min_width=30)
    printed.add_column("difference", justify="right", no_wrap=True)
    printed.add_column("each seed", overflow="fold")
    for where, several in groupby(answered, lambda pair: pair[0].where):
        lines = list(several)
        seeds = list(lines[0][1].seeds)
        n = max(d.samples.n for _, d in lines)
        printed.add_row(Text(where, "bold"), Text(f"{n} samples", "dim"), Text(_seeds(seeds), "dim"))
        for c, d in lines:
            left = f"\n  {_left_out(d)}" if d.left_out else ""
            value, _, under = signed(d.samples, c.digits).partition(" ")
            each = (
                list(_each(c, d).values()) if list(d.seeds) == seeds else [f"{k}: {v}" for k, v in _each(c, d).items()]
            )
            printed.add_row(
                Text(f"  {c.question}").append(left, "dim"),
                Text(value).append(f"\n{under}" if under else "", "dim"),
                Text(" ".join(each)),
            )
    return printed


def has_k_calls(sweep: Sweep) -> bool:
    return any(MEASURES[m] in EXTRA_ARMS for m in sweep.measures)


def not_compared(sweep: Sweep) -> list[str]:
    return [f"{c.where}, {c.question}: {c.refused}" for c in sweep.comparisons if c.refused]


def _table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", padding=(0, 1), collapse_padding=True)


def heading(measure: str) -> str:
    return SHORT_NAMES.get(MEASURES[measure], measure).replace("\n", " ")


def _stacked(text: str, width: int) -> str:
    """A head no wider than the numbers under it."""
    return "\n".join(textwrap.wrap(text, width))


def digits(measure: str) -> int:
    return 3 if MEASURES[measure] in WHEN else 2


def _number(run: Run, measure: str) -> str:
    return f"{run.measures[measure]:.{digits(measure)}f}" if measure in run.measures else "–"


def signed(m: Mean, places: int) -> str:
    """+0.06 [-0.22, +0.38]"""
    return f"{m.value:+.{places}f} [{m.low:+.{places}f}, {m.high:+.{places}f}]" if m.n else "–"


def _each(c: Comparison, d: Difference) -> dict[int, str]:
    return {seed: f"{x:+.{c.digits}f}" if math.isfinite(x) else "–" for seed, x in d.seeds.items()}


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))


def _seeds(seeds: Iterable[int]) -> str:
    """seed 0; seeds 0, 1, 2"""
    several = list(seeds)
    return f"seed{'s' * (len(several) > 1)} {_listed(several)}"


def _left_out(d: Difference) -> str:
    return f"{d.left_out} without a valid value left out"


def markdown(sweep: Sweep) -> str:
    """GitHub-flavoured tables: arms by configuration, then the comparisons."""
    heads = sweep.keys or ["configuration"]
    means = [
        [
            *(key or ("as configured",)),
            _listed(r.seed for r in members),
            *(unsigned(sweep.means[key][m], digits(m)) for m in sweep.measures),
        ]
        for key, members in sweep.groups.items()
    ]
    lines = [
        f"{_sentence(sweep.title)}",
        "",
        *_markdown_table([*heads, "seeds", *map(heading, sweep.measures)], means, len(heads) + 1),
    ]
    answered = [(c, c.difference) for c in sweep.comparisons if c.difference is not None]
    if answered:
        rows = [
            [
                c.where,
                c.question + (f" ({d.left_out} left out)" if d.left_out else ""),
                signed(d.samples, c.digits),
                signed(d.both, c.digits) if len(d.seeds) > 1 else "–",
                " · ".join(f"{x} ({seed})" for seed, x in _each(c, d).items()),
                str(d.samples.n),
            ]
            for c, d in answered
        ]
        lines += ["", f"Differences: {COVERS}", "", *_markdown_table(HEADS, rows, 2)]
    lines += ["", K_CALLS] if has_k_calls(sweep) else []
    refused = not_compared(sweep)
    return "\n".join([*lines, *([""] if refused else []), *(f"- not compared: {_cell(t)}" for t in refused)]) + "\n"


def unsigned(m: Mean, places: int) -> str:
    """8.37 [7.91, 8.76]"""
    return f"{m.value:.{places}f} [{m.low:.{places}f}, {m.high:.{places}f}]" if m.n else "–"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


def _cell(text: str) -> str:
    """Text that cannot end its cell or its row."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """The first `left` columns are aligned to the left, the others to the right."""
    rule = [":--" if n < left else "--:" for n in range(len(head))]
    return [f"| {' | '.join(map(_cell, cells))} |" for cells in (head, rule, *rows)]


def comparisons_csv(comparisons: Sequence[Comparison]) -> str:
    """One row per comparison; empty cells where there is no number, and then the reason."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ("where", "question", "kind", "unit", "difference", "low", "high", "both_low", "both_high", "each_seed", "samples",
         "left_out", "refused")
    )  # fmt: skip
    for c in comparisons:
        d = c.difference
        numbers: list[object] = [""] * 8
        if d is not None:
            five = (d.samples.value, d.samples.low, d.samples.high, d.both.low, d.both.high)
            each = " ".join(f"{seed}:{x:.6g}" for seed, x in d.seeds.items())
            numbers = [*(f"{x:.6g}" if math.isfinite(x) else "" for x in five), each, d.samples.n, d.left_out]
        writer.writerow((c.where, c.question, c.kind, c.unit, *numbers, c.refused))
    return out.getvalue()


def sweep_page(sweep: Sweep) -> str:
    heads = [*(sweep.keys or ["configuration"]), "seeds", *map(heading, sweep.measures)]
    means = [
        (
            [
                *map(escape, key or ("as configured",)),
                _listed(r.seed for r in members),
                *(_small(unsigned(sweep.means[key][m], digits(m))) for m in sweep.measures),
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
                *(_number(r, m) for m in sweep.measures),
            ],
            False,
        )
        for r in sweep.runs
    ]
    return page(
        sweep.name,
        [
            f"<h1>{escape(sweep.name)}</h1>",
            f'<p class="lead">{len(sweep.runs)} runs; {escape(sweep.title)}.</p>',
            table(heads, means),
            f'<div class="two">{"".join(f"<figure>{p}</figure>" for p in mean_plots(sweep))}</div>',
            *comparisons_section(sweep),
            "<h2>Each run</h2>",
            table(["run", "seed", *sweep.keys, *map(heading, sweep.measures)], each),
        ],
    )


def mean_plots(sweep: Sweep) -> list[str]:
    """F1 and arms of each configuration with their intervals."""
    colours = {f"F1 {w}": c for w, c in zip(WHEN, ("#d9772b", "#2563a8"), strict=True)}
    arms = [a for a in SHOWN if name(a) in sweep.measures]
    colours |= {name(a): ARM_COLOURS[a] for a in arms}
    wide = (max(6.4, 1.3 * len(sweep.groups) + 2.5), 3.2)
    f1 = [m for m in sweep.measures if MEASURES[m] in WHEN]
    return [
        whiskers(
            [("\n".join(key) or "all", [(m, sweep.means[key][m], colours[m]) for m in part]) for key in sweep.groups],
            title,
            figsize=wide,
        )
        for part, title in ((f1, "Mean F1 of the decomposition"), ([name(a) for a in arms], "Overall (0–10)"))
        if part
    ]


def comparisons_section(sweep: Sweep) -> list[str]:
    answered = [(c, c.difference) for c in sweep.comparisons if c.difference is not None]
    rows = [
        (
            [
                f"{escape(c.question)}<br><small>{escape(c.where)}{f'; {_left_out(d)}' if d.left_out else ''}</small>",
                _small(signed(d.samples, c.digits)),
                _small(signed(d.both, c.digits)) if len(d.seeds) > 1 else "<small>one seed</small>",
                "<br>".join(f"<small>{seed}</small> {x}" for seed, x in _each(c, d).items()),
                str(d.samples.n),
            ],
            d.samples.low > 0 or d.samples.high < 0,
        )
        for c, d in answered
    ]
    return [
        "<h2>Comparisons</h2>",
        f'<p class="muted">Each line: {escape(COVERS)} Stressed: the interval over test samples leaves out 0.</p>',
        f'<p class="muted">{escape(K_CALLS)}</p>' if has_k_calls(sweep) else "",
        *(f"<figure>{p}</figure>" for p in forests(sweep.comparisons)),
        table(HEADS[1:], rows) if rows else "",
        *(f'<p class="muted">Not compared: {escape(t)}</p>' for t in not_compared(sweep)),
    ]


def _small(text: str) -> str:
    """The interval behind a number in small type."""
    value, bracket, rest = text.partition(" [")
    return f"{value} <small>[{rest}</small>" if bracket else value
