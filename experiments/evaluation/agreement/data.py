"""The preference data of an agreement study, and what must hold of them before the first verdict is paid for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.preferences import PreferenceSet, load, sandbox
from benchmarks.preferences.base import RATINGS, PreferenceGroup
from common.errors import BadInput, ImageEditError
from conf.schema import AgreementConfig
from experiments.evaluation.agreement.judge import PAIRWISE, rubric_name
from experiments.preflight.machine import missing_of


def load_data(config: AgreementConfig, out: Path) -> PreferenceSet:
    """The set; that of the sandbox is written first."""
    source = {"hub": config.hub, "revision": config.revision, "split": config.split, "config": config.subset}
    if config.data == "sandbox":
        rows = config.samples or 40
        path = sandbox.write(out / f"data-{rows}-{config.seed}", rows, config.seed)
        data = load("csv", path=str(path))
        card = replace(
            data.card,
            title="the sandbox's comparisons",
            source=f"sandbox, seed {config.seed}",
            licence="Apache-2.0",
            read="",
        )
        return replace(data, card=card, labels="the sandbox's exact answers")
    try:
        return load(config.data, path=config.path, samples=config.samples, seed=config.seed, **source)  # type: ignore[arg-type]
    except ImageEditError as error:  # what reads tables names the keys of benchmark=…; here they are the command's own
        raise type(error)(str(error).replace("benchmark.config", "subset").replace("benchmark.", "")) from error


def check_judge(config: AgreementConfig, data: PreferenceSet) -> None:
    """What can be known to be wrong before the first verdict is paid for."""
    if config.scores == "csv":
        if all(c.score is None for g in data.groups for c in g.candidates):
            raise BadInput("scores=csv takes the columns score_a and score_b of data=csv, and there are none")
        return
    if missing := missing_of(config.judge):
        raise BadInput("; ".join(missing))
    pairwise = rubric_name(config) == PAIRWISE
    if config.judge.exact and pairwise:
        raise BadInput("judge=sandbox scores single edits; rubric=pairwise needs a judge that is a model")
    if config.judge.exact and not any(g.item.gold for g in data.groups):
        raise BadInput(
            "judge=sandbox compares with the wanted edits, which these data do not carry (column gold of a CSV)"
        )
    if pairwise and data.rule == RATINGS:
        raise BadInput(f"data={config.data} rates single edits, for which rubric=pairwise has no score")
    bare = next((k for k, (g, c) in data.candidates.items() if c.picture is None or g.item.source is None), None)
    if bare is not None:
        raise BadInput(f"edit {bare} has no pictures to judge; give them, or take the scores of the file: scores=csv")


def with_own_scores(data: PreferenceSet) -> PreferenceSet:
    """The set with an edit of its own for every row. A judge sees the same edit of several rows once; the scores of a file belong
    to its rows, which may give the same edit other scores."""

    def own(group: PreferenceGroup) -> PreferenceGroup:
        return replace(
            group, candidates=tuple(replace(c, key=f"{group.id}/{k}") for k, c in enumerate(group.candidates))
        )

    return replace(data, groups=tuple(map(own, data.groups)))


def carried_scores(data: PreferenceSet) -> dict[str, dict[str, float] | None]:
    """The scores of a CSV, read `with_own_scores`; an empty one is an invalid verdict."""
    scores = {k: c.score for k, (_, c) in data.candidates.items()}
    return {k: None if s is None else {"overall": s} for k, s in scores.items()}


__all__ = ["carried_scores", "check_judge", "load_data", "with_own_scores"]
