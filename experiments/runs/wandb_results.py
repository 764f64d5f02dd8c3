"""What a finished run tells Weights & Biases besides its steps: means with intervals, paired differences, samples with pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.filenames import folder_name
from common.statistics import mean
from experiments.evaluation.names import ARMS, WHEN
from experiments.reports.run.numbers import differences, f1_change, mean_f1, mean_of
from experiments.runs.results import Evaluation

MOST = 24  # rows of the table of samples


def summary_of(folder: Path) -> dict[str, float]:
    """Flat keys: mean_f1/<when>, overall/<arm>, each with /low and /high, and difference/<one>-<other>."""
    evaluation = Evaluation.load(folder)
    out: dict[str, float] = {}

    def add(key: str, cell: Any) -> None:
        if cell.value is not None:
            bounds = {f"{key}/low": cell.low, f"{key}/high": cell.high}
            out.update({key: cell.value} | {k: v for k, v in bounds.items() if v is not None})

    for when in WHEN:
        if rows := evaluation.decompositions[when]:
            add(f"mean_f1/{when}", mean(mean_f1(rows), shares=True))
    if all(evaluation.decompositions[when] for when in WHEN):
        add("difference/mean_f1", f1_change(*(evaluation.decompositions[when] for when in WHEN)).cell)
    for arm, rows in evaluation.arms.items():
        if rows:
            add(f"overall/{arm}", mean_of(rows, "overall"))
    for one, other, gap in differences(evaluation):
        add(f"difference/{one}-{other}", gap.cell)
    return out


def samples_table(folder: Path) -> Any:
    """At most MOST of the samples whose traces were kept: request, pictures, scores. None where no picture was kept."""
    import wandb

    evaluation, traces = Evaluation.load(folder), folder / "traces"
    rows = next((rows for rows in evaluation.arms.values() if rows), [])
    arms = [arm for arm in ARMS if evaluation.arms.get(arm)]
    by_arm = {arm: {r["i"]: r for r in evaluation.arms[arm]} for arm in arms}
    columns = ["id", "request", "given", *(f"{arm} {what}" for arm in arms for what in ("picture", "overall"))]
    data: list[list[Any]] = []
    for row in rows:
        name = folder_name(row["id"])
        first = next((traces / arm / name for arm in arms if (traces / arm / name / "0.png").is_file()), None)
        if first is None or len(data) == MOST:
            continue
        line: list[Any] = [row["id"], row["request"], wandb.Image(str(first / "0.png"))]
        for arm in arms:
            last = max((traces / arm / name).glob("[0-9]*.png"), key=lambda p: int(p.stem), default=None)
            scores = by_arm[arm].get(row["i"], {}).get("scores", {})
            line += [wandb.Image(str(last)) if last else None, scores.get("overall")]
        data.append(line)
    return wandb.Table(columns=columns, data=data) if data else None


__all__ = ["MOST", "samples_table", "summary_of"]
