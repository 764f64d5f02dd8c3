"""Before and after in pictures: what each arm made of a few test samples, and the exact answer."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from common.filenames import folder_name
from experiments.evaluation.names import ARM_NAMES, ARMS
from experiments.reports.html import image
from experiments.reports.panels import FinishedRun, Panel

GOOD = 9.5  # an overall of 10 from which on a picture counts as right


def section(run: FinishedRun) -> list[str]:
    """The samples whose traces were kept."""
    traces, arms = run.folder / "traces", run.evaluation.arms
    by_arm = {arm: {r["i"]: r for r in arms[arm]} for arm in ARMS}
    rows = next((rows for rows in arms.values() if rows), [])
    shown = [r for r in rows if any((traces / a / folder_name(r["id"]) / "trace.json").is_file() for a in ARMS)]
    if not shown:
        return []
    intro = (
        f'<p class="muted">{len(shown)} test samples, evenly spaced (nobody chose them), with what each arm did '
        "and its overall score.</p>"
    )
    gold = {r["i"]: r.get("gold", []) for r in run.evaluation.decompositions["after"]}
    return [intro, *(strip(traces, row, gold.get(row["i"], []), by_arm) for row in shown)]


def strip(
    traces: Path, row: Mapping[str, Any], gold: list[Any], by_arm: Mapping[str, Mapping[int, Mapping[str, Any]]]
) -> str:
    """One sample: the given picture, that of each arm, and the exact answer where the benchmark has one."""
    name = folder_name(row["id"])
    first = next(traces / a / name for a in ARMS if (traces / a / name).is_dir())
    pictures = [picture(first / "0.png", "given", "", "", "")]
    for arm in ARMS:
        if (arm_row := by_arm[arm].get(row["i"])) is not None:
            pictures.append(arm_picture(traces / arm / name, arm, arm_row))
    if (target := first / "target.png").is_file():
        pictures.append(picture(target, "exact answer", "", "; ".join(edit_text(*g) for g in gold), ""))
    return (
        f'<div class="strip"><div class="kind"><b>{escape(row["kind"].replace("_", " "))}</b> · {escape(row["id"])}</div>'
        f'<div class="ask">“{escape(row["request"])}”</div><div class="pics">{"".join(pictures)}</div></div>'
    )


def arm_picture(folder: Path, arm: str, row: Mapping[str, Any]) -> str:
    last = max(folder.glob("[0-9]*.png"), key=lambda p: int(p.stem), default=folder / "0.png")
    overall = row["scores"].get("overall")
    scored = row["valid"] and overall is not None
    score = f"{overall:.1f}" if scored else "invalid"
    tone = "good" if scored and overall >= GOOD else ""
    plan = "the raw request" if arm == "editor" else "; ".join(row["sub_requests"])
    if row.get("error"):
        plan, tone = f"unreadable decomposition: {row['error']}", "bad"
    return picture(last, ARM_NAMES[arm], score, plan, tone)


def picture(path: Path, name: str, score: str, plan: str, tone: str) -> str:
    alt = f"{name}: {plan}" if plan else name
    return (
        f'<div class="pic">{image(path, alt)}<div class="name">{escape(name)} <span class="score">{escape(score)}</span></div>'
        f'<div class="plan {tone}">{escape(plan)}</div></div>'
    )


def edit_text(action: str, subject: str, goal: str | None) -> str:
    return f"{action} · {subject}" + (f" · {goal}" if goal else "")


PANEL = Panel("Before and after", 60, section)

__all__ = ["PANEL"]
