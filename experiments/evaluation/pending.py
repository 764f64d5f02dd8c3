"""What is left of an evaluation, and whether this machine has what that needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import MissingFile, RunFailed
from common.progress import console
from conf.parts import with_keys
from experiments.evaluation.evaluator import Evaluator
from experiments.evaluation.judge_parts import missing_for_judge
from experiments.evaluation.judging import open_tasks
from experiments.evaluation.load import judged_rows
from experiments.evaluation.measuring import unmeasured
from experiments.evaluation.names import ARMS, CALLS
from experiments.evaluation.rows import read_rows
from experiments.evaluation.shares import Share
from experiments.preflight.unlike_sandbox import check_benchmark
from judges.invalid import invalid_share_error


def check(work: Evaluator) -> bool:
    """Whether anything is left to do. Raises MissingFile, in one message, for what that needs and this machine lacks: judging
    what is there needs no editor, and showing what was judged needs nothing."""
    whole, spec = Share(), work.spec
    arms = [arm for arm, units in work.missing().items() if units]
    tasks = spec.judged and open_tasks(work.layout, work.label, work.arms, whole, spec.chunk, spec.retry)
    texts = [
        when for todo in (work.undecomposed(whole), work.undrawn(whole)) for when, blocks in todo.items() if blocks
    ]
    variants = not arms and bool(work.variant_blocks(whole))
    lacking = _missing_parts(work, arms, texts)
    if spec.judged and (arms or tasks or variants):
        lacking += missing_for_judge(spec.used.judge)
    if lacking:
        raise MissingFile("the evaluation cannot start here; missing:\n" + "\n".join(f"  - {f}" for f in lacking))
    if arms or tasks or variants or texts:
        edited = spec.arms if arms or tasks or variants else ()
        for unlike in check_benchmark(
            spec.used, work.benchmark, edited, spec.allow_tiny, spec.unlike, decomposed=bool(texts)
        ):
            console.print(f"allowed by allow_tiny=true: {unlike}", markup=False)
    if arms or tasks or texts or variants:
        return True
    names = spec.metrics.names
    return any(unmeasured(work.layout, arm, names, whole, spec.chunk) for arm in work.measured_arms if names)


def _missing_parts(work: Evaluator, arms: Sequence[str], texts: Sequence[str]) -> list[str]:
    """What editing and decomposing need and this machine lacks; pictures made elsewhere need nothing."""
    from experiments.preflight.editor import missing_cache_room, missing_editor, missing_editor_memory
    from experiments.preflight.machine import missing_of
    from experiments.preflight.picture_tokens import too_many_tokens

    used, kinds = work.spec.used, {a.rpartition("/")[2] for a in arms} & set(ARMS)
    lacking: list[str] = []
    if kinds - {"editor"} or texts:
        start = with_keys(used.decomposer, "decomposer", {"checkpoint": str(work.spec.start)})
        lacking += [*missing_of(start, used.rollouts), *too_many_tokens(used)]
    if kinds:
        lacking += [*missing_editor(used.editor), *missing_editor_memory(used), *missing_cache_room(used)]
    return lacking


def remaining(work: Evaluator, share: Share) -> int:
    """The rows that this share is still to write: decompositions, edits, verdicts, measurements."""
    spec, lengths = work.spec, work.lengths
    new = sum(lengths[u] - t for units in work.missing().values() for u, t in units.items() if share.has(u, spec.chunk))
    texts = (*work.undecomposed(share).values(), *work.undrawn(share).values())
    total = new + sum(len(block) for blocks in texts for block in blocks)
    if spec.judged:
        total += new + len(open_tasks(work.layout, work.label, work.arms, share, spec.chunk, spec.retry))
    if names := spec.metrics.names:
        total += new + sum(len(unmeasured(work.layout, a, names, share, spec.chunk)) for a in work.measured_arms)
    return total


def all_measured(work: Evaluator, metrics: Mapping[str, Any]) -> bool:
    """Whether the section "metrics" of results.json has all metrics that the specification names, of every picture."""
    section = metrics.get(work.layout.benchmark, {"arms": {}, "drift": {}})
    for arm in work.measured_arms:
        whole = {name for name, cell in section["arms"].get(arm, {}).items() if not cell.get("missing")}
        if not set(work.spec.metrics.names) <= whole | ({"drift"} if arm in section["drift"] else set()):
            return False
    return True


def check_invalid(work: Evaluator, remedy: str) -> None:
    """Raises RunFailed naming every arm of this judge with too many invalid verdicts, once all of them are there."""
    if not work.spec.judged:
        return
    limit = work.spec.used.judge.max_invalid_share
    errors, variants = [], []
    for arm in work.arms:
        rows = judged_rows(read_rows(work.layout.edits(arm)), read_rows(work.layout.verdicts(work.label, arm)))
        if arm.startswith(work.spec.named(f"{CALLS}.")):
            variants += list(rows.values())
        elif len(rows) == sum(work.edited_lengths):
            errors.append(invalid_share_error(f"arm {arm}", rows.values(), len(rows), limit, remedy))
    if variants:
        errors.append(invalid_share_error(f"arm {work.spec.named(CALLS)}", variants, len(variants), limit, remedy))
    if messages := [e for e in errors if e]:
        raise RunFailed("\n".join(messages))


__all__ = ["all_measured", "check", "check_invalid", "remaining"]
