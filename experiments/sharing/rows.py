"""The phases of a run's evaluation: the answers of one decomposer, and the pictures of one arm.

Their rows carry claims (experiments/evaluation/claims.py) that say what defines them, with digests of weights and data. A phase
is defined by these claims and by what of the run's identity could matter besides.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.filenames import folder_name
from common.files import read_json
from experiments.evaluation.layout import CLAIM, TRACES
from experiments.evaluation.rows import fine, read_rows
from experiments.evaluation.shares import Share
from experiments.sharing import indifferent
from experiments.sharing.doing import take_or_make
from experiments.sharing.phase import SharedPhase, without
from experiments.sharing.stage_phases import besides

if TYPE_CHECKING:
    from experiments.evaluation.evaluator import Evaluator
    from experiments.runs.run import Run


def share_rows(run: Run, evaluator: Evaluator) -> None:
    """Take what other runs have of this evaluation, and make the rest of it that they may take. What is there stays."""
    whole = Share()
    if not run.config.share:
        return
    with whole.working(evaluator.spec.out):
        for when in evaluator.spec.decompositions:
            if evaluator.undecomposed(whole)[when]:
                phase = row_phase(run, evaluator, evaluator.layout.decompositions(when), indifferent.decompositions())
                take_or_make(run, phase, lambda: evaluator.decompose(whole))
        for when in evaluator.spec.drawn:
            if evaluator.undrawn(whole)[when]:
                phase = row_phase(run, evaluator, evaluator.layout.drawn(when), indifferent.decompositions())
                take_or_make(run, phase, lambda: evaluator.draw(whole))
        for arm in evaluator.makers:
            if evaluator.missing()[arm]:
                rows = evaluator.layout.edits(arm)
                take_or_make(
                    run,
                    arm_phase(run, evaluator, arm),
                    lambda arm=arm: evaluator.edit(whole, only=arm),  # type: ignore[misc]
                    lambda rows=rows: all(map(fine, read_rows(rows).values())),  # type: ignore[misc]
                )


def arm_phase(run: Run, evaluator: Evaluator, arm: str) -> SharedPhase:
    """Pictures first, then their rows, which say that they are there. The traces that a report shows are theirs, too."""
    layout, spec = evaluator.layout, evaluator.spec
    more: list[Path] = [layout.pictures(arm)]
    if spec.traces:
        more.append(spec.out / TRACES / folder_name(arm))
    return row_phase(run, evaluator, layout.edits(arm), indifferent.pictures(arm), more, {"traces": spec.traces})


def row_phase(
    run: Run,
    evaluator: Evaluator,
    folder: Path,
    reasons: Mapping[str, str],
    before: list[Path] | None = None,
    more: Mapping[str, Any] | None = None,
) -> SharedPhase:
    """The rows of `folder`, after the folders in `before`; `more` defines the phase besides."""
    out = evaluator.spec.out
    identity = {
        "values": without(run.identity, reasons),
        "benchmark": benchmark_claim(evaluator),
        "claim": read_json(folder / CLAIM),
        **besides(run.config),
        **(more or {}),
    }
    name = "-".join(folder.relative_to(out).parts)
    leaves = tuple(str(path.relative_to(out)) for path in [*(before or []), folder])
    return SharedPhase(name, identity, leaves)


def benchmark_claim(evaluator: Evaluator) -> dict[str, Any]:
    """Which items, and how many units; the words of the benchmark's card define nothing."""
    values = read_json(evaluator.layout.folder / CLAIM)
    return {k: v for k, v in values.items() if k != "card"}


__all__ = ["arm_phase", "row_phase", "share_rows"]
