"""The parts of an evaluation, claimed in its folder before anything is made, so that rows of two evaluations never mix."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.item import Benchmark
from common.contents import digest
from common.errors import BadInput
from common.files import read_json
from experiments.build.judges import rubric_of as protocol_of
from experiments.build.judges import takes_rubric
from experiments.evaluation.claims import claim, has_rows, write_changed
from experiments.evaluation.decomposing import check_gold
from experiments.evaluation.editing import check_pictures
from experiments.evaluation.identities import (
    arm_settings,
    decomposer_settings,
    judge_settings,
    weights,
)
from experiments.evaluation.layout import CLAIM, EDITS, LIMITS, LOCKS, METRICS, Layout
from experiments.evaluation.listing import Listing, claim_benchmark
from experiments.evaluation.makers import ENDINGS, FolderMaker
from experiments.evaluation.names import CALLS, arm_order
from experiments.evaluation.shares import held
from experiments.evaluation.spec import EvaluationSpec, benchmark_identity
from experiments.runs.contents import values_with_content

ANOTHER = "choose another out=<folder>, or label=<name> to have both in one table"


def claim_all(spec: EvaluationSpec, benchmark: Benchmark, layout: Layout) -> tuple[Listing, tuple[str, ...]]:
    """The list of items, and the arms whose pictures the folder has or will have. Raises BadInput where the folder holds rows of
    something else, or where there is nothing to do."""
    if spec.arms or spec.pictures:
        check_pictures(layout, benchmark)
    if spec.decompositions:
        check_gold(layout, benchmark)
    with held(spec.out / LOCKS / "claims.lock", wait=True):
        listing = claim_benchmark(layout, benchmark, benchmark_identity(spec))
        for when in spec.decompositions:
            values = {"when": when, "chunk": spec.chunk, **decomposer_settings(spec.used, spec.checkpoints[when])}
            claim(layout.decompositions(when), values, "decompositions", "choose another out=<folder>")
        for when in spec.drawn:
            values = {"when": when, "chunk": spec.chunk, "n": spec.draws, "seed": spec.used.scale.test_seed}
            values |= decomposer_settings(spec.used, spec.checkpoints[when])
            claim(layout.drawn(when), values, "drawn answers", "choose another out=<folder>")
            write_changed(layout.drawn(when) / LIMITS, {"pass_at": spec.pass_at})
        arms = _claim_arms(spec, layout, listing)
        if not arms and not spec.decompositions:
            raise BadInput(
                f"there is nothing to judge in {layout.folder}: name arms=…, or pictures=<folder of edited pictures>"
            )
        if arms:
            _claim_judge(spec, benchmark, layout)
            if spec.metrics.names:
                models = {k: v for k, v in values_with_content(spec.metrics).items() if k != "name"}
                claim(layout.folder / METRICS, models, "metrics", "choose another out=<folder>")
    return listing, arms


def _claim_arms(spec: EvaluationSpec, layout: Layout, listing: Listing) -> tuple[str, ...]:
    names: list[str] = []
    settings = arm_settings(spec.used) if spec.arms else {}
    for arm in spec.arms:
        values = settings["editor"] if arm == "editor" else {**settings["editor"], **settings["team"]}
        if arm != "editor":
            checkpoint = spec.start if arm == "agents" else spec.trained
            assert checkpoint is not None
            values = values | {"weights": weights(checkpoint)}
            if spec.used.sequencer.own_backbone:
                values = values | {"backbone": weights(spec.start)}
        claim_arm(spec, layout, arm, values)
        names.append(spec.named(arm))
    if spec.pictures is not None:
        FolderMaker(spec.pictures, {i.id: i.key for i in listing.items}).check()
        content = digest(spec.pictures, [f"*{e}" for e in ENDINGS])
        name = spec.named(spec.pictures.name)
        claim(layout.edits(name), {"arm": name, "chunk": 1, "content": content}, "pictures", ANOTHER)
        names.append(name)
    return tuple(sorted({*names, *arms_with_rows(layout)}, key=arm_order))


def claim_arm(spec: EvaluationSpec, layout: Layout, arm: str, values: dict[str, object]) -> None:
    name = spec.named(arm)
    units = {} if spec.edited is None else {"units": spec.edited}
    claim(layout.edits(name), {"arm": name, "chunk": spec.chunk, **units, **values}, "pictures", ANOTHER)


def variant_name(spec: EvaluationSpec, number: int) -> str:
    """The name of the arm that holds the pictures of one variant of the editor alone."""
    return spec.named(f"{CALLS}.{number}")


def claim_variants(spec: EvaluationSpec, layout: Layout, count: int) -> None:
    """Claim the arms of the editor with several calls: one for each number of a variant."""
    values = arm_settings(spec.used)["editor"]
    for j in range(count):
        claim_arm(spec, layout, f"{CALLS}.{j}", {**values, "variant": j, "calls": spec.editor_calls})


def arms_with_rows(layout: Layout) -> list[str]:
    """All arms of the folder that have rows, those of the editor's variants too."""
    return [read_json(p)["arm"] for p in (layout.folder / EDITS).glob(f"*/{CLAIM}") if has_rows(p.parent)]


def _claim_judge(spec: EvaluationSpec, benchmark: Benchmark, layout: Layout) -> None:
    if not spec.judged:
        return
    judge = spec.used.judge
    if judge.exact and not any(i.gold for i in benchmark.unit(0)):
        raise BadInput(
            f"judge={judge.name} compares with exact answers, which benchmark={spec.benchmark_name} does not have; "
            "choose another judge, or judge=none for pictures alone"
        )
    facts = getattr(benchmark.unit(0)[0], "facts", {})
    if lacking := [key for key in judge.needed_facts if key not in facts]:
        raise BadInput(
            f"judge={judge.name} needs {', '.join(judge.needed_facts)} of every item, and benchmark={spec.benchmark_name} does not "
            f"say {', '.join(lacking)}; choose another judge, or a benchmark made for this one"
        )
    rubric = rubric_of(spec, benchmark)
    if rubric:
        protocol_of(judge, rubric)  # an unknown one is refused before anything is edited
    folder = layout.judge(judge_label(spec, benchmark))
    values = {"label": judge_label(spec, benchmark), **judge_settings(judge, rubric)}
    claim(folder, values, "verdicts", "give judge.name=<another>")
    write_changed(folder / LIMITS, {"max_invalid_share": judge.max_invalid_share})


def rubric_of(spec: EvaluationSpec, benchmark: Benchmark) -> str:
    judge = spec.used.judge
    return protocol_of(judge, benchmark.card.rubric).name if takes_rubric(judge) else ""


def judge_label(spec: EvaluationSpec, benchmark: Benchmark) -> str:
    """The judge's folder: the same model with two rubrics is two judges."""
    name, rubric = spec.used.judge.name, rubric_of(spec, benchmark)
    return f"{name}-{rubric}" if rubric else name


def shown_arms(arms: Sequence[str]) -> list[str]:
    """Without the variants of the editor alone, which two derived arms stand for."""
    return [a for a in arms if not is_variant(a)]


def is_variant(arm: str) -> bool:
    return arm.rpartition("/")[2].startswith(f"{CALLS}.")


__all__ = [
    "arms_with_rows",
    "claim_all",
    "claim_variants",
    "is_variant",
    "judge_label",
    "rubric_of",
    "shown_arms",
    "variant_name",
]
