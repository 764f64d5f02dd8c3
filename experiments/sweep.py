"""Several runs side by side: a table per choice that differs, means over seeds with intervals, one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.errors import BadInput, MissingFile
from conf.schema import RunConfig
from experiments.html import page, table
from experiments.identity import EXCLUDED, load_config
from experiments.plots import ARM_COLOURS, whiskers
from experiments.progress import console
from experiments.results import ARMS, WHEN
from experiments.stats import Mean, mean
from experiments.store import read_json, write_text
from experiments.tables import ARM_NAMES, MEAN_OF, interval

MEASURES = ("F1 before", "F1 after", *(ARM_NAMES[a] for a in ARMS))


@dataclass(frozen=True)
class Run:
    folder: Path
    choices: dict[str, str]  # dotted keys of the configuration, the seed left out
    seed: int
    measures: dict[str, float]


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
    finished = [r for r in dict.fromkeys(runs) if (r / "results.json").is_file()]
    for run in dict.fromkeys(runs):
        if run not in finished:
            console.print(f"[dim]{run} is not finished and left out: its command again goes on with it[/]")
    if not finished:
        raise MissingFile(f"no finished run in {', '.join(arguments)}: a finished run has results.json")
    first = Path(arguments[0])
    single = len(arguments) == 1 and not (first / "config.yaml").is_file()
    return finished, first if single else finished[0].parent


def load(folder: Path) -> Run:
    config, values = load_config(folder), read_json(folder / "results.json")
    scores = values["decomposition"]
    measures = {f"F1 {when}": sum(scores[when][c] for c in MEAN_OF) / len(MEAN_OF) for when in WHEN if scores.get(when)}
    for arm in ARMS:
        for result in values["arms"].get(arm, {}).values():
            measures[ARM_NAMES[arm]] = result["overall"]
    return Run(folder, choices(config), config.seed, measures)


def choices(config: RunConfig) -> dict[str, str]:
    """Dotted keys and values of what defines a run; a group's own name stands for it where it has one."""
    flat: dict[str, str] = {}

    def walk(value: Mapping[str, Any], prefix: str) -> None:
        for key, item in value.items():
            name = prefix + key
            if name in EXCLUDED or name == "seed":
                continue
            if isinstance(item, Mapping):
                walk(item, f"{name}.")
            else:
                flat[name.removesuffix(".name")] = f"{item:g}" if isinstance(item, float) else str(item)

    walk(asdict(config), "")
    return flat


def differing(runs: Sequence[Run]) -> list[str]:
    """Keys whose values differ. What follows from a named choice that differs (the weights of a reward) is left out."""
    keys = [k for k in runs[0].choices if len({r.choices.get(k) for r in runs}) > 1]
    named = {k for k in keys if "." not in k}
    follow = {k for k in keys if k.partition(".")[0] in named and "." in k}
    if "algo.variant" in keys:
        follow |= {
            k for k in keys if k.startswith("algo.") and k != "algo.variant" and _follows(runs, k, "algo.variant")
        }
    return [k for k in keys if k not in follow]


def _follows(runs: Sequence[Run], key: str, other: str) -> bool:
    pairs = {(r.choices[other], r.choices[key]) for r in runs}
    return len(pairs) == len({p[0] for p in pairs})


def grouped(runs: Sequence[Run], keys: Sequence[str]) -> dict[tuple[str, ...], list[Run]]:
    """Runs that differ in the seed alone, together."""
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(run.choices[k] for k in keys), []).append(run)
    return groups


def report_sweep(folders: Sequence[Path], out: Path) -> Path:
    """Print and write `sweep.html` and `sweep.json` into `out`."""
    runs = [load(f) for f in folders]
    keys = differing(runs)
    groups = grouped(runs, keys)
    used = [m for m in MEASURES if any(m in r.measures for r in runs)]
    rows = [(key, members, {m: over(members, m) for m in used}) for key, members in groups.items()]
    printed = Table(box=box.SIMPLE_HEAD, title=f"{len(runs)} runs: mean over seeds and 95 % interval")
    for name in (*(keys or ("all",)), "seeds", *used):
        printed.add_column(name, justify="left" if name in keys else "right", no_wrap=name in used, overflow="fold")
    for key, members, values in rows:
        label = key or ("as configured",)
        printed.add_row(*label, str(len(members)), *(interval(values[m], 3 if m.startswith("F1") else 2) for m in used))
    console.print(printed)
    each = Table(box=box.SIMPLE_HEAD, title="Each run")
    for name in ("run", "seed", *keys, *used):
        each.add_column(
            name, justify="left" if name in ("run", *keys) else "right", no_wrap=name not in keys, overflow="fold"
        )
    for run in runs:
        each.add_row(run.folder.name, str(run.seed), *(run.choices[k] for k in keys), *(_number(run, m) for m in used))
    console.print(each)
    write_text(out / "sweep.html", sweep_page(out.name, runs, keys, used, rows))
    console.print(f"report: [bold]{out / 'sweep.html'}[/]")
    return out / "sweep.html"


def over(members: Sequence[Run], measure: str) -> Mean:
    return mean([r.measures[measure] for r in members if measure in r.measures])


def _number(run: Run, measure: str) -> str:
    return "–" if measure not in run.measures else f"{run.measures[measure]:.{3 if measure.startswith('F1') else 2}f}"


def sweep_page(
    name: str,
    runs: Sequence[Run],
    keys: Sequence[str],
    used: Sequence[str],
    rows: Sequence[tuple[tuple[str, ...], list[Run], dict[str, Mean]]],
) -> str:
    from experiments.report import interval as shown

    head = [*(keys or ["all"]), "seeds", *used]
    lines = [
        (
            [
                *map(escape, key or ("as configured",)),
                str(len(m)),
                *(shown(v[x], ".3f" if x.startswith("F1") else ".2f") for x in used),
            ],
            False,
        )
        for key, m, v in rows
    ]
    labels = [" · ".join(key) or "all" for key, _, _ in rows]
    f1 = [m for m in used if m.startswith("F1")]
    arms = {ARM_NAMES[a]: ARM_COLOURS[a] for a in ARMS if ARM_NAMES[a] in used}
    colours = {"F1 before": "#d9772b", "F1 after": "#2563a8"}
    wide = (max(6.4, 1.3 * len(rows) + 2.5), 3.2)
    plots = [
        whiskers(
            [(lab, [(m, r[2][m], colours[m]) for m in f1]) for lab, r in zip(labels, rows, strict=True)],
            "Mean F1 of the decomposition",
            figsize=wide,
        )
    ]
    if arms:
        plots.append(
            whiskers(
                [(lab, [(m, r[2][m], c) for m, c in arms.items()]) for lab, r in zip(labels, rows, strict=True)],
                "Overall (0–10)",
                figsize=wide,
            )
        )
    each = [
        (
            [
                f"{escape(r.folder.name)}",
                str(r.seed),
                *(escape(r.choices[k]) for k in keys),
                *(_number(r, m) for m in used),
            ],
            False,
        )
        for r in runs
    ]
    return page(
        name,
        [
            f"<h1>{escape(name)}</h1>",
            f'<p class="lead">{len(runs)} runs; rows are means over seeds with 95 % bootstrap intervals over those seeds.</p>',
            table(head, lines),
            '<div class="two">' + "".join(f"<figure>{p}</figure>" for p in plots) + "</div>",
            "<h2>Each run</h2>",
            table(["run", "seed", *keys, *used], each),
        ],
    )
