"""The same test samples across the configurations of a sweep: what the team after RL made of each, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from common.filenames import folder_name
from experiments.evaluation.strips import TARGET
from experiments.reports.html import thumbnail
from experiments.reports.sweep.comparisons import label, telling
from experiments.reports.sweep.runs import Run
from experiments.reports.sweep.summary import Sweep

ITEMS, VARIANTS = 6, 12  # at most so many samples and configurations are shown
ARM, BEFORE = "agents_rl", "editor"
SIDE = 320  # pixels of a picture's longer side, at most: a page of many photographs stays small
GOOD = 9.5  # an overall of 10 from which on a picture counts as right


def gallery_section(sweep: Sweep) -> list[str]:
    """Nothing where no two configurations kept pictures of the same sample."""
    variants = {key: members[0] for key, members in sweep.groups.items()}
    shown = {key: run for key, run in variants.items() if kept(run)}
    if len(shown) < 2:
        return []
    left_out = len(shown) - VARIANTS
    shown = dict(list(shown.items())[:VARIANTS])
    first = next(iter(shown.values()))
    samples = [i for i in kept(first) if all(i in kept(run) for run in shown.values())][:ITEMS]
    strips = [_strip(sweep, shown, sample) for sample in samples]
    said = (
        f"{len(strips)} test samples of the same evenly spaced ones (nobody chose them): the picture of the team after RL in each "
        f"configuration, seed {first.seed}, with its overall score and the sub-requests."
    )
    more = f" {left_out} further configurations are not shown." if left_out > 0 else ""
    return (
        ["<h2>The same samples across configurations</h2>", f'<p class="muted">{said}{more}</p>', *strips]
        if strips
        else []
    )


def kept(run: Run) -> list[str]:
    """Ids of the samples of which the run kept the pictures, in the order of its rows."""
    traces = run.folder / "traces" / ARM
    return [r["id"] for r in run.evaluation.arms.get(ARM, []) if (traces / folder_name(r["id"]) / "0.png").is_file()]


def _strip(sweep: Sweep, shown: Mapping[tuple[str, ...], Run], sample: str) -> str:
    first = next(iter(shown.values()))
    row = _row(first, sample)
    place = first.folder / "traces" / ARM / folder_name(sample)
    told = telling(list(shown))
    pictures = [_picture(place / "0.png", "given", "", "", "")]
    for key, run in shown.items():
        pictures.append(_variant(run, label([sweep.keys[k] for k in told], [key[k] for k in told]), sample))
    if (place / TARGET).is_file():
        pictures.append(_picture(place / TARGET, "exact answer", "", "", ""))
    return (
        f'<div class="strip"><div class="kind"><b>{escape(row["kind"].replace("_", " "))}</b> · {escape(sample)}</div>'
        f'<div class="ask">“{escape(row["request"])}”</div><div class="pics">{"".join(pictures)}</div></div>'
    )


def _variant(run: Run, name: str, sample: str) -> str:
    row, folder = _row(run, sample), run.folder / "traces" / ARM / folder_name(sample)
    last = max(folder.glob("[0-9]*.png"), key=lambda p: int(p.stem))
    overall = row["scores"].get("overall") if row["valid"] else None
    score = "invalid" if overall is None else f"{overall:.1f}"
    if row.get("error"):
        return _picture(last, name, score, f"unreadable decomposition: {row['error']}", "bad")
    good = "good" if overall is not None and overall >= GOOD else ""
    return _picture(last, name, score, "; ".join(row.get("sub_requests") or ()), good)


def _row(run: Run, sample: str) -> Mapping[str, Any]:
    return next(r for r in run.evaluation.arms[ARM] if r["id"] == sample)


def _picture(path: Path, name: str, score: str, plan: str, tone: str) -> str:
    shown = thumbnail(path, f"{name}: {plan}" if plan else name, SIDE)
    return (
        f'<div class="pic">{shown}<div class="name">{escape(name)} '
        f'<span class="score">{escape(score)}</span></div><div class="plan {tone}">{escape(plan)}</div></div>'
    )


__all__ = ["gallery_section", "kept"]
