"""An evaluation in steps: decompositions, edits, verdicts, metrics. Each step does what its rows lack, so that a step that is
repeated, or goes on after a kill, ends with the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from benchmarks.item import Benchmark, Item
from common.progress import say
from experiments.build.metrics import check_metrics, make_metrics
from experiments.evaluation import decomposing, drawing, equal_calls
from experiments.evaluation.chains import Block
from experiments.evaluation.claiming import (
    arms_with_rows,
    claim_all,
    claim_variants,
    judge_label,
    rubric_of,
    shown_arms,
    variant_name,
)
from experiments.evaluation.editing import blocks_of, edit, missing_turns
from experiments.evaluation.judge_parts import judge_for
from experiments.evaluation.judging import Judging, open_tasks
from experiments.evaluation.layout import TRACES, Key, Layout
from experiments.evaluation.listing import Listing
from experiments.evaluation.makers import FolderMaker, Maker, TeamMaker, VariantMaker
from experiments.evaluation.measuring import Measure, measure, unmeasured
from experiments.evaluation.names import ARMS, CALLS
from experiments.evaluation.phases import Phase, phase
from experiments.evaluation.session_judging import SessionJudging
from experiments.evaluation.shares import Share
from experiments.evaluation.spec import EvaluationSpec, open_benchmark
from experiments.evaluation.strips import save_strip, strip_numbers
from judges.question import Usage

if TYPE_CHECKING:
    from agents.traces import Trace
    from experiments.runs.team import TeamParts


@dataclass
class Evaluator:
    """An evaluation with its benchmark opened and every part claimed. `judge_of` and `measure_of` load what is heavy; `on_phase`
    is told what is being done."""

    spec: EvaluationSpec
    benchmark: Benchmark
    judge_of: Callable[
        [str, str, Share], Any
    ]  # rubric, label, share; of pictures or of sessions, as the judge's part says
    measure_of: Callable[[], Measure] | None = None
    parts: TeamParts | None = None  # loaded parts that another evaluation of the same run has used
    on_phase: Callable[[str], object] = lambda phase: None  # noqa: E731
    layout: Layout = field(init=False)
    listing: Listing = field(init=False)
    arms: tuple[str, ...] = field(init=False)  # all whose pictures this folder has, or will have, of the benchmark

    def __post_init__(self) -> None:
        self.layout = Layout(self.spec.out, self.spec.benchmark_name)
        self.listing, self.arms = claim_all(self.spec, self.benchmark, self.layout)

    @cached_property
    def lengths(self) -> list[int]:
        """The number of turns of every unit."""
        lengths: dict[int, int] = {}
        for unit, turn in self.listing.keys:
            lengths[unit] = max(lengths.get(unit, 0), turn + 1)
        return [lengths[u] for u in range(len(lengths))]

    @property
    def edited_lengths(self) -> list[int]:
        """The same of the units whose pictures are edited and judged, which are the first ones."""
        return self.lengths[: self.spec.edited]

    @cached_property
    def team_parts(self) -> TeamParts:
        from experiments.runs.team import TeamParts  # loads torch, which judging alone has no use for

        edits = len(self.arms) * sum(self.edited_lengths)  # or more, where the team edits in several calls
        return self.parts or TeamParts(self.spec.used, self.spec.start, edits)

    @property
    def rubric(self) -> str:
        return rubric_of(self.spec, self.benchmark)

    @property
    def label(self) -> str:
        """The judge's folder."""
        return judge_label(self.spec, self.benchmark)

    def work(self, share: Share) -> bool:
        """All steps of this share. Returns False where the judge's budget was spent before the end."""
        with share.working(self.spec.out):
            self.decompose(share)
            self.draw(share)
            self.edit(share)
            self.edit_variants(share)
            covered = self.judge(share)
            self.measure(share)
        return covered

    def decompose(self, share: Share) -> None:
        for when, blocks in self.undecomposed(share).items():
            if not blocks:
                continue
            total = sum(share.has(u, self.spec.chunk) for u, _ in self.listing.keys)
            first = total - sum(map(len, blocks))
            checkpoint = self.spec.checkpoints[when]
            with self._phase(f"decompositions {when} RL", share, total, first) as b:
                decomposing.decompose(
                    self.layout,
                    when,
                    self.benchmark,
                    lambda c=checkpoint: self.team_parts.decomposer(c),  # type: ignore[misc]
                    blocks,
                    share,
                    lambda done, b=b, first=first: b.update(first + done),  # type: ignore[misc]
                )

    def undecomposed(self, share: Share) -> dict[str, list[list[Key]]]:
        missing = decomposing.missing_blocks
        keys, chunk = self.listing.keys, self.spec.chunk
        return {
            when: missing(self.layout.decompositions(when), keys, share, chunk) for when in self.spec.decompositions
        }

    def draw(self, share: Share) -> None:
        spec = self.spec
        for when, blocks in self.undrawn(share).items():
            if not blocks:
                continue
            total = sum(share.has(u, spec.chunk) for u, _ in self.listing.keys)
            first = total - sum(map(len, blocks))
            decomposer = self.team_parts.decomposer(spec.checkpoints[when])
            if not hasattr(decomposer, "draw"):
                say(
                    f"pass@{spec.pass_at} is left out: decomposer={spec.used.decomposer.name} has no draw(samples, n, seed)"
                )
                continue
            with self._phase(f"{spec.draws} answers each, {when} RL", share, total, first) as b:
                drawing.draw(
                    self.layout,
                    when,
                    self.benchmark,
                    decomposer,
                    blocks,
                    share,
                    spec.draws,
                    spec.used.scale.test_seed,
                    lambda done, b=b, first=first: b.update(first + done),  # type: ignore[misc]
                )

    def undrawn(self, share: Share) -> dict[str, list[list[Key]]]:
        missing = decomposing.missing_blocks
        keys, chunk = self.listing.keys, self.spec.chunk
        return {when: missing(self.layout.drawn(when), keys, share, chunk) for when in self.spec.drawn}

    @property
    def makers(self) -> dict[str, Callable[[], Maker]]:
        """How the pictures of every arm that was asked for are made."""
        spec = self.spec
        makers: dict[str, Callable[[], Maker]] = {spec.named(a): lambda a=a: self._team_maker(a) for a in spec.arms}  # type: ignore[misc]
        if (folder := spec.pictures) is not None:
            keys = {i.id: i.key for i in self.listing.items}
            makers[spec.named(folder.name)] = lambda: FolderMaker(folder, keys)
        return makers

    def missing(self) -> dict[str, dict[int, int]]:
        """Of the arms that were asked for: units and their first turn without a picture."""
        retry, lengths, chunk = self.spec.retry, self.edited_lengths, self.spec.chunk
        return {arm: missing_turns(self.layout, arm, lengths, retry, chunk) for arm in self.makers}

    def edit(self, share: Share, only: str = "") -> None:
        """`only`: this arm alone."""
        for arm, make in self.makers.items():
            if only and arm != only:
                continue
            missing = missing_turns(self.layout, arm, self.edited_lengths, self.spec.retry, self.spec.chunk)
            self._edit(arm, make, blocks_of(arm, missing, len(self.edited_lengths), share, self.spec.chunk), share)

    def edit_variants(self, share: Share) -> None:
        """The editor alone with as many calls as the team after RL. Nothing is run where that made one call everywhere."""
        blocks, used = self.variant_blocks(share), self.spec.used
        if blocks:
            self._edit(
                self.spec.named(CALLS),
                lambda: VariantMaker(self.team_parts.editor, used.scale.test_seed, used.decomposer.max_request_chars),
                blocks,
                share,
            )
        self.arms = (*self.arms, *(a for a in arms_with_rows(self.layout) if a not in self.arms))

    def variant_blocks(self, share: Share) -> list[Block]:
        spec = self.spec
        if spec.editor_calls == 0 or ARMS[-1] not in spec.arms:
            return []
        counts = equal_calls.call_counts(self.layout, spec.named(ARMS[-1]), len(self.edited_lengths), spec.editor_calls)
        if spec.editor_calls is None and max(counts) == 1 and not self._several:
            return []
        claim_variants(spec, self.layout, max(counts))
        names = [variant_name(spec, j) for j in range(max(counts))]
        return equal_calls.variant_blocks(counts, self.lengths, names, self.layout, share, spec.chunk)

    def _edit(self, name: str, make: Callable[[], Maker], blocks: Sequence[Block], share: Share) -> None:
        todo = sum(self.lengths[c.unit] - t for block in blocks for c, t in block.items())
        if not todo:
            return
        began = time.monotonic()
        with self._phase(f"pictures, {name}", share, todo) as b:

            def tell(done: float) -> None:
                whole = min(int(done), todo)
                if whole > b.done:  # a later round of several calls has fewer pictures
                    b.update(whole, f"{whole / max(1e-9, time.monotonic() - began):.2g}/s")

            edit(self.layout, self.benchmark, make, blocks, share, tell)

    def _team_maker(self, arm: str) -> TeamMaker:
        spec = self.spec
        checkpoint = {"editor": None, "agents": spec.start, "agents_rl": spec.trained}[arm]
        keep = self._keep_traces(spec.named(arm)) if spec.traces else None
        return TeamMaker(self.team_parts.team(checkpoint), spec.used.scale.test_seed, keep)

    def _keep_traces(self, arm: str) -> Callable[[Item, Trace], None]:
        items = self.listing.items
        shown = {items[i].id for i in strip_numbers(len(items), self.spec.traces)}

        def keep(item: Item, trace: Trace) -> None:
            if item.id in shown:
                save_strip(self.spec.out / TRACES, arm, trace, item.reference)

        return keep

    def judge(self, share: Share) -> bool:
        """Returns False where the budget was spent before the end."""
        if not self.spec.judged:
            return True
        tasks = open_tasks(self.layout, self.label, self.arms, share, self.spec.chunk, self.spec.retry)
        if not tasks:
            return True
        part, judge = self.spec.used.judge, self.judge_of(self.rubric, self.label, share)
        began = time.monotonic()
        judging: Judging | SessionJudging
        if part.sessions:
            judging = SessionJudging(self.layout, self.label, self.benchmark, judge, share, part.sessions_at_once)
        else:
            judging = Judging(self.layout, self.label, self.benchmark, judge, share, part.exact)
        with self._phase(f"verdicts, {self.label}", share, len(tasks)) as b:
            return judging.run(tasks, lambda done, usage: b.update(done, spent(done, usage, time.monotonic() - began)))

    @property
    def _several(self) -> bool:
        """Whether the team may have made more calls on the items of another share."""
        several = self.spec.share.shards > 1 or self.spec.used.launcher.processes > 1
        return several and self.spec.used.execution.name != "single"

    @property
    def measured_arms(self) -> list[str]:
        return shown_arms(self.arms)

    def measure(self, share: Share) -> None:
        if self.measure_of is None:
            return
        names, chunk = self.spec.metrics.names, self.spec.chunk
        todo: dict[str, list[Key]] = {
            arm: unmeasured(self.layout, arm, names, share, chunk) for arm in self.measured_arms
        }
        if not any(todo.values()):
            return
        measurement = self.measure_of()
        for arm, keys in todo.items():
            if keys:
                with self._phase(f"metrics, {arm}", share, len(keys)) as b:
                    measure(self.layout, arm, self.benchmark, measurement, names, keys, share, b.update)

    def _phase(self, name: str, share: Share, total: int, done: int = 0) -> AbstractContextManager[Phase]:
        self.on_phase(name)
        return phase(self.spec.out, share, name, total, done)


def spent(done: int, usage: Usage, seconds: float) -> str:
    """Throughput and cost, for the progress bar."""
    parts = [f"{done / max(seconds, 1e-9):.1f}/s"]
    if usage.calls or usage.cached:
        parts.append(f"{usage.calls} calls, {usage.cached} cached")
        parts.append(f"{(usage.input_tokens + usage.output_tokens) / 1000:.0f}k tokens")
    if usage.dollars:
        parts.append(f"${usage.dollars:.2f}")
    return " · ".join(parts)


def open_evaluator(
    spec: EvaluationSpec, parts: TeamParts | None = None, on_phase: Callable[[str], object] = lambda phase: None
) -> Evaluator:
    """Raises BadInput, BadData, MissingFile for data, parts or claims that do not fit."""
    layout = Layout(spec.out, spec.benchmark_name)

    def judge(rubric: str, label: str, share: Share) -> Any:
        return judge_for(spec, rubric, share, layout.judge(label))

    metrics = None
    if spec.metrics.names:
        check_metrics(spec.metrics)
        metrics = lambda: make_metrics(spec.metrics)  # noqa: E731
    return Evaluator(spec, open_benchmark(spec), judge, metrics, parts, on_phase)


__all__ = ["Evaluator", "open_evaluator", "spent"]
