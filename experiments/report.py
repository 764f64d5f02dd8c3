"""report.html of one run, and tables and plots of several.

python -m experiments.report outputs/<run>               write its report.html anew, print its tables
python -m experiments.report outputs/<run> outputs/…     one table and one page over several runs
python -m experiments.report outputs/sweeps/<sweep>      the same over a sweep (or any folder of runs)
python -m experiments.report <out of an evaluation>      its tables and page anew
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from common.filenames import folder_name
from common.files import read_json, write_text
from common.jsonl import read_jsonl
from common.means import Mean, mean, paired
from conf.schema import RunConfig
from experiments.evaluation.names import ARM_NAMES, ARMS, COMPONENTS, SHOWN, WHEN
from experiments.reports.html import card, image, page, table
from experiments.reports.plots import ARM_COLOURS, curves, whiskers
from experiments.reports.tables import aspects, calls_note, decomposition_rows, differences, mean_f1, mean_of
from experiments.runs.identity import load_config
from experiments.runs.results import Evaluation

BEFORE, AFTER = "#d9772b", "#2563a8"


def write_report(folder: Path) -> Path:
    """Write `report.html` of a finished run from its own files alone."""
    config = load_config(folder)
    values = read_json(folder / "results.json")
    found = Evaluation.load(folder)
    metrics = read_jsonl(folder / "metrics.jsonl") if (folder / "metrics.jsonl").is_file() else []
    body = [
        f"<h1>{escape(folder.name)}</h1>",
        f'<p class="lead">{escape(headline(config))}</p>',
        f'<div class="cards">{"".join(cards(found, values))}</div>',
        *arms_section(found),
        *decomposition_section(found),
        *training_section(metrics),
        *strips_section(folder, found),
        *config_section(config),
    ]
    return write_text(folder / "report.html", page(folder.name, body))


def training_section(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """Nothing where nothing was trained: an evaluation of a run's arms with other parts."""
    figures = "".join(f"<figure>{s}</figure>" for s in curves(metrics))
    return ["<h2>Training</h2>", f'<div class="grid">{figures}</div>'] if metrics else []


def headline(config: RunConfig) -> str:
    return (
        f"Decomposer {config.decomposer.name}, {config.algo.variant} for {config.algo.steps} steps of "
        f"{config.algo.prompts_per_step} prompts × {config.algo.group_size}, reward {config.reward.name}; editor "
        f"{config.editor.name}, {config.execution.name} execution; benchmark {config.benchmark.name}, scale "
        f"{config.scale.name}, seed {config.seed}. Scores are on samples never trained on; intervals are 95 % bootstrap."
    )


def cards(found: Evaluation, values: Mapping[str, Any]) -> list[str]:
    before, after = (mean(mean_f1(found.decompositions[w])) for w in WHEN)
    out = (
        [card(f"{before.value:.3f} → {after.value:.3f}", "mean F1 of action, subject, goal; before → after RL")]
        if after.n
        else []
    )
    for arm in ARMS:
        if found.arms[arm]:
            out.append(card(f"{mean_of(found.arms[arm], 'overall').value:.2f}", f"overall of 10, {ARM_NAMES[arm]}"))
    spent = values["time_s"]
    return [*out, card(f"{(spent['train'] + spent['evaluate']) / 60:.1f} min", "training and evaluation")]


def arms_section(found: Evaluation) -> list[str]:
    ran = [a for a in SHOWN if found.arms.get(a)]
    if not ran:
        return []
    names = aspects(found.arms[ran[0]])
    rows: list[tuple[list[str], bool]] = []
    for arm in ran:
        cells = [interval(mean_of(found.arms[arm], n)) for n in names]
        rows.append(([ARM_NAMES[arm], *cells, str(sum(not r["valid"] for r in found.arms[arm]))], arm == "agents_rl"))
    diffs = [([f"{ARM_NAMES[a]} − {ARM_NAMES[b]}", interval(d, "+.2f")], d.low > 0) for a, b, d in differences(found)]
    kinds = sorted({r["kind"] for a in ran for r in found.arms[a]})
    plot = whiskers(
        [
            (n.replace("_", " "), [(ARM_NAMES[a], mean_of(found.arms[a], n), ARM_COLOURS[a]) for a in ran])
            for n in names
        ],
        "Arms by aspect (0–10)",
    )
    by_kind = whiskers(
        [
            (
                k.replace("_", " "),
                [
                    (ARM_NAMES[a], mean_of([r for r in found.arms[a] if r["kind"] == k], "overall"), ARM_COLOURS[a])
                    for a in ran
                ],
            )
            for k in kinds
        ],
        "Overall by kind of request",
    )
    note = calls_note(found)
    head = ["arm", *(n.replace("_", " ") for n in names), "invalid"]
    return [
        "<h2>The arms</h2>",
        f'<p class="muted">The same {len(found.arms[ran[0]])} test samples in every arm; 0–10 by the judge.</p>',
        table(head, rows),
        f'<p class="muted">{escape(note[0].upper() + note[1:])}.</p>' if note else "",
        f'<div class="two"><figure>{plot}</figure><figure>{by_kind}</figure></div>',
        table(["paired difference in overall", "mean"], diffs, narrow=True) if diffs else "",
    ]


def decomposition_section(found: Evaluation) -> list[str]:
    rows = decomposition_rows(found.decompositions)
    if not rows:
        return []
    lines: list[tuple[list[str], bool]] = [
        (
            [
                label,
                interval(mean(mean_f1(part)), ".3f"),
                *(interval(mean([r["scores"][c] for r in part]), ".3f") for c in COMPONENTS),
            ],
            label.startswith("after"),
        )
        for label, part in rows
    ]
    parts = found.decompositions
    change = ""
    if parts["before"] and parts["after"]:
        diff = paired(mean_f1(parts["before"]), mean_f1(parts["after"]))
        change = f"<p>Change of the mean F1, paired: <b>{interval(diff, '+.3f')}</b></p>"
    kinds = sorted({r["kind"] for r in parts["after"]})
    plot = whiskers(
        [
            (
                k.replace("_", " "),
                [
                    (f"{w} RL", mean(mean_f1([r for r in parts[w] if r["kind"] == k])), colour)
                    for w, colour in zip(WHEN, (BEFORE, AFTER), strict=True)
                ],
            )
            for k in kinds
        ],
        "Mean F1 by kind of request",
    )
    by_component = whiskers(
        [
            (
                c,
                [
                    (f"{w} RL", mean([r["scores"][c] for r in parts[w]]), col)
                    for w, col in zip(WHEN, (BEFORE, AFTER), strict=True)
                ],
            )
            for c in COMPONENTS
        ],
        "By component",
    )
    return [
        "<h2>Decomposition</h2>",
        table(["", "mean F1", *COMPONENTS], lines),
        change,
        f'<div class="two"><figure>{by_component}</figure><figure>{plot}</figure></div>',
    ]


def strips_section(folder: Path, found: Evaluation) -> list[str]:
    """Before, after each arm, and the exact answer, for the samples whose traces were kept."""
    traces = folder / "traces"
    by_arm = {arm: {r["i"]: r for r in found.arms[arm]} for arm in ARMS}
    some = next((rows for rows in found.arms.values() if rows), [])
    shown = [r for r in some if any((traces / a / folder_name(r["id"]) / "trace.json").is_file() for a in ARMS)]
    if not shown:
        return []
    out = [
        "<h2>Before and after</h2>",
        f'<p class="muted">{len(shown)} test samples, evenly spaced (nobody chose them), with what each arm did '
        "and its overall score.</p>",
    ]
    gold = {r["i"]: r.get("gold", []) for r in found.decompositions["after"]}
    for row in shown:
        name = folder_name(row["id"])
        first = next(traces / a / name for a in ARMS if (traces / a / name).is_dir())
        wanted = "; ".join(_edit(*g) for g in gold.get(row["i"], []))
        pictures = [_picture(first / "0.png", "given", "", "", "")]
        for arm in ARMS:
            if (r := by_arm[arm].get(row["i"])) is not None:
                pictures.append(_arm_picture(traces / arm / name, arm, r))
        pictures.append(
            _picture(first / "target.png", "exact answer", "", wanted, "") if (first / "target.png").is_file() else ""
        )
        out.append(
            f'<div class="strip"><div class="kind">{escape(row["kind"].replace("_", " "))} · {escape(row["id"])}</div>'
            f'<div class="ask">“{escape(row["request"])}”</div><div class="pics">{"".join(pictures)}</div></div>'
        )
    return out


def _arm_picture(folder: Path, arm: str, row: Mapping[str, Any]) -> str:
    last = max(folder.glob("[0-9]*.png"), key=lambda p: int(p.stem), default=folder / "0.png")
    overall = row["scores"].get("overall")
    score = f"{overall:.1f}" if row["valid"] and overall is not None else "invalid"
    tone = "good" if row["valid"] and overall is not None and overall >= 9.5 else ""
    said = "the raw request" if arm == "editor" else "; ".join(row["sub_requests"])
    if row.get("error"):
        said, tone = f"unreadable decomposition: {row['error']}", "bad"
    return _picture(last, ARM_NAMES[arm], score, said, tone)


def _picture(path: Path, name: str, score: str, said: str, tone: str) -> str:
    return (
        f'<div class="pic">{image(path)}<div class="name">{escape(name)} <span class="score">{escape(score)}</span></div>'
        f'<div class="plan {tone}">{escape(said)}</div></div>'
    )


def _edit(action: str, subject: str, goal: str | None) -> str:
    return f"{action} · {subject}" + (f" · {goal}" if goal else "")


def config_section(config: RunConfig) -> list[str]:
    lines = []
    for group, value in asdict(config).items():
        text = (
            ", ".join(f"{k} {_plain(v)}" for k, v in value.items() if v not in (None, "", 0.0, []))
            if isinstance(value, dict)
            else str(value)
        )
        lines.append(f"<dt>{escape(group)}</dt><dd>{escape(text)}</dd>")
    return ["<h2>Configuration</h2>", f'<dl class="config">{"".join(lines)}</dl>']


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{k} {_plain(v)}" for k, v in value.items() if v) + ")"
    return f"{value:g}" if isinstance(value, float) else str(value)


def interval(m: Mean, form: str = ".2f") -> str:
    if m.n == 0:
        return "–"
    return f"{format(m.value, form)} <small>[{format(m.low, form)}, {format(m.high, form)}]</small>"


def main(arguments: Sequence[str]) -> None:
    """One finished run: write its report anew. Several, or a sweep's folder: one table and one page over all of them."""
    from experiments.evaluation.load import is_evaluation
    from experiments.reports.evaluation.rewrite import rewrite
    from experiments.reports.sweep import find_runs, report_sweep

    if len(arguments) == 1 and is_evaluation(Path(arguments[0])):
        print(f"report: {rewrite(Path(arguments[0]))}")
        return
    runs, out = find_runs(arguments)
    if len(runs) == 1:
        from experiments.reports.tables import print_results

        print_results(runs[0], read_json(runs[0] / "results.json"))
        print(f"report: {write_report(runs[0])}")
    else:
        report_sweep(runs, out)


if __name__ == "__main__":
    from experiments.runs.cli import plain_command

    plain_command(main, sys.argv[1:], __doc__)
