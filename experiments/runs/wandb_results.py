"""What a finished run tells Weights & Biases besides its steps: means with intervals, paired differences, samples with pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.statistics import mean
from experiments.evaluation.names import WHEN
from experiments.reports.run.numbers import differences, f1_change, mean_f1, mean_of
from experiments.runs.results import Evaluation
from experiments.runs.tracked_samples import arms_of, tracked_samples


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


CHOSEN = ("seed", "editor_settings")  # numbers of results.json that were chosen and not measured


def headline(folder: Path, values: Mapping[str, Any]) -> dict[str, float]:
    """The final numbers for pages that show each of them on its own: those of `summary_of` without their intervals, and of a run's
    flat results those that were measured and are not by kind, benchmark or test."""
    own = {k: v for k, v in summary_of(folder).items() if k.rpartition("/")[2] not in ("low", "high")}
    given = {
        k: v
        for k, v in values.items()
        if isinstance(v, int | float) and k.count("/") <= 2 and k.partition("/")[0] not in CHOSEN
    }
    return {f"summary/{k}": float(v) for k, v in (given | own).items()}


def samples_table(folder: Path) -> Any:
    """The tracked samples with their pictures. None where no picture was kept."""
    import wandb

    samples = tracked_samples(folder)
    arms = arms_of(samples)
    columns = ["id", "request", "given", *(f"{what} of {arm}" for arm in arms for what in ("picture", "overall"))]
    data = [
        [s.id, s.request, wandb.Image(str(s.given))]
        + [
            cell
            for picture, score in (s.results.get(arm, (None, None)) for arm in arms)
            for cell in (wandb.Image(str(picture)) if picture else None, score)
        ]
        for s in samples
    ]
    return wandb.Table(columns=columns, data=data) if data else None


__all__ = ["headline", "samples_table", "summary_of"]
