"""The arms of a run on its test samples: the editor alone, the team before RL, the team after it.

Every arm is a file of rows, filled chunk by chunk, so that a kill loses at most a chunk. Where the team called the editor
more than once on a sample, the editor alone gets as many calls on its raw request (`equal_calls`), so that what more calls
buy is not taken for what the team's plan buys.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from agents.backends.base import Backend
from agents.decomposer import Decomposer, clean_request
from agents.editing import Call, EditingAgent, call_seed, execute
from agents.sequencer import RulesSequencer
from agents.team import Team
from agents.traces import Trace
from benchmarks.base import EditSample
from common.errors import BadInput, RunFailed
from common.files import Rows
from common.jsonl import Journal
from common.progress import Bar, bar
from conf.schema import RunConfig
from editors.base import Editor
from editors.flow_editor import FlowEditor
from experiments.build.decomposers import make_decomposer, make_vlm
from experiments.build.editors import make_editor
from experiments.build.judges import make_judge
from experiments.build.rollouts import make_backend
from experiments.build.sequencers import make_sequencer
from experiments.evaluation.names import ARMS, CALLS
from experiments.runs.results import Row, calls_made
from experiments.runs.strips import save_strip, strip_numbers
from judges.base import Judge, Verdict, judge_all

Timed = Callable[[str], AbstractContextManager[None]]


@dataclass
class Arms:
    """What the arms of one folder have in common. `start` and `trained` are the decomposer before and after RL."""

    config: RunConfig
    folder: Path
    samples: Sequence[EditSample]
    start: Path
    trained: Path

    def rows(self, name: str) -> Rows:
        return Rows(self.folder / "eval" / f"{name}.jsonl", len(self.samples), self.config.scale.chunk)

    @cached_property
    def editor(self) -> Editor:
        """Loaded once for all arms: a published one takes minutes."""
        return make_editor(self.config.editor, self.config.engine)

    @cached_property
    def judge(self) -> Judge:
        return make_judge(self.config.judge, self.config.engine, self.config.paths.outputs)

    def team(self, checkpoint: Path | None) -> Team:
        """The team with this decomposer; without one the raw request goes straight to the editor."""
        c = self.config
        return Team(
            None if checkpoint is None else decomposer(c, checkpoint),
            RulesSequencer() if checkpoint is None else make_sequencer(c.sequencer, lambda: backend(c, self.start)),
            EditingAgent(self.editor, c.execution.name),
        )

    def judged(
        self, samples: Sequence[EditSample], pictures: Sequence[Image.Image | None], failures: Sequence[str]
    ) -> list[Verdict]:
        """A verdict on each picture; an invalid one, saying why, where an edit failed."""
        whole = [(s, p) for s, p, why in zip(samples, pictures, failures, strict=True) if p is not None and not why]
        found = iter(judge_all(self.judge, [s for s, _ in whole], [p for _, p in whole]))
        return [Verdict.invalid(why) if why else next(found) for why in failures]


def run_arms(arms: Arms, enter: Callable[[str], None]) -> None:
    """All arms with whatever rows they still miss; `enter` is told what is being done."""
    for arm, checkpoint in zip(ARMS, (None, arms.start, arms.trained), strict=True):
        enter(f"arm {arm}")
        run_arm(arms, arm, checkpoint)
    enter(f"arm {CALLS}")
    equal_calls(arms)


def run_arm(arms: Arms, arm: str, checkpoint: Path | None) -> None:
    """Edit and judge every test sample; one row each in eval/<arm>.jsonl, traces of those the report shows."""
    c, rows = arms.config, arms.rows(arm)
    if any(rows.missing()):
        shown = strip_numbers(len(arms.samples), c.scale.strips)
        team = arms.team(checkpoint)
        with bar(f"arm {arm}", rows.total, len(rows.rows)) as b:
            for chunk in rows.missing():
                with timed(arms.folder, f"arm {arm}"):
                    samples = [arms.samples[i] for i in chunk]
                    working = replace(team, editing=replace(team.editing, editor=watched(arms.editor, b, chunk)))
                    traces = next(iter(working.run(samples, c.scale.test_seed, len(samples))))
                    failures = [t.failure for t in traces]
                    verdicts = arms.judged(samples, [None if t.failure else t.result for t in traces], failures)
                    for i, sample, trace in zip(chunk, samples, traces, strict=True):
                        if i in shown:
                            save_strip(arms.folder / "traces", arm, sample, trace)
                rows.append([_row(*parts) for parts in zip(chunk, samples, traces, verdicts, strict=True)])
                b.update(chunk.stop)
    check_verdicts(arm, rows.rows, c.judge.max_invalid_share)


def _row(i: int, sample: EditSample, trace: Trace, verdict: Verdict) -> dict[str, Any]:
    return {
        "i": i,
        "id": sample.id,
        "kind": sample.kind,
        "request": sample.request,
        "text": trace.text,
        "error": trace.error,
        "source": trace.source,
        "sub_requests": trace.sub_requests,
        "calls": [call.instruction for call in trace.calls],
        "scores": dict(verdict.scores),
        "valid": verdict.valid,
        "reason": verdict.reason,
    }


def equal_calls(arms: Arms) -> None:
    """The raw request to the editor k times with k seeds, every picture judged; a row per sample with its k variants.

    k is what the trained team made on the sample, or `scale.editor_calls`. Variant 0 has the seed of the arm "editor", so
    that k = 1 is that arm. Where the team made one call everywhere, nothing is run.
    """
    c = arms.config
    counts = call_counts(arms.rows(ARMS[-1]).rows, c.scale.editor_calls)
    if not any(counts) or (c.scale.editor_calls is None and max(counts) == 1):
        return
    rows = arms.rows(CALLS)
    if any(rows.missing()):
        with bar(f"arm {CALLS}", rows.total, len(rows.rows)) as b:
            for chunk in rows.missing():
                with timed(arms.folder, f"arm {CALLS}"):
                    variants = [(arms.samples[i], j) for i in chunk for j in range(counts[i])]
                    found = iter(_variants(arms, variants, watched(arms.editor, b, chunk)))
                    made = [
                        {"i": i, "id": s.id, "kind": s.kind, "request": s.request}
                        | {"variants": [next(found) for _ in range(counts[i])]}
                        for i, s in ((i, arms.samples[i]) for i in chunk)
                    ]
                rows.append(made)
                b.update(chunk.stop)
    check_verdicts(CALLS, [v for r in rows.rows for v in r["variants"]], c.judge.max_invalid_share)


def _variants(arms: Arms, variants: Sequence[tuple[EditSample, int]], editor: Editor) -> list[dict[str, Any]]:
    """What the judge says of each (sample, number of the variant), all in one batch."""
    seed = arms.config.scale.test_seed
    calls = [(Call(clean_request(s.request)[0], call_seed(seed, s.id, j)),) for s, j in variants]
    samples = [s for s, _ in variants]
    given = [s.image.convert("RGB") for s in samples if s.image is not None]  # all of them: the arms before have run
    done = execute(editor, given, calls)
    pictures = [d.pictures[-1] if d.pictures else None for d in done]
    verdicts = arms.judged(samples, pictures, [d.failure for d in done])
    return [{"scores": dict(v.scores), "valid": v.valid, "reason": v.reason} for v in verdicts]


def call_counts(team: Sequence[Row], override: int | None) -> list[int]:
    """k of each sample: the override, or what the team made there and at least 1."""
    return [calls_made(row) if override is None else override for row in team]


def check_calls(override: int | None) -> None:
    if override is not None and override < 0:
        raise BadInput(f"scale.editor_calls={override} cannot be used; give 1 or more, 0 for none, null for the team's")


def check_verdicts(arm: str, rows: Sequence[Row], max_invalid_share: float) -> None:
    """RunFailed where the share of invalid verdicts is too large for the mean of the rest to mean anything."""
    bad = [r for r in rows if not r["valid"]]
    if len(bad) > max_invalid_share * len(rows):
        raise RunFailed(
            f"arm {arm}: {len(bad)} of {len(rows)} verdicts are invalid (allowed share "
            f"{max_invalid_share}); the first says: {bad[0]['reason']}. A mean over the rest would be "
            "biased; mend what it names, delete the file in eval/, and give the same command again"
        )


def watched(editor: Editor, b: Bar, chunk: range) -> Editor:
    """The editor, moving the bar within a chunk where it can say how far it is; later rounds of a chunk only tell."""
    if not isinstance(editor, FlowEditor):
        return editor

    def progress(done: int, total: int) -> None:
        reached = chunk.start + len(chunk) * done // total
        b.update(max(b.done, min(reached, chunk.stop - 1)), f"picture {done} of {total}")

    return replace(editor, on_progress=progress)


def backend(config: RunConfig, checkpoint: Path) -> Backend:
    return make_backend(config.rollouts, make_vlm(config.decomposer, config.engine, checkpoint))


def decomposer(config: RunConfig, checkpoint: Path) -> Decomposer:
    gc.collect()  # the model of the phase before
    return make_decomposer(config.decomposer, backend(config, checkpoint))


@contextmanager
def timed(folder: Path, what: str) -> Iterator[None]:
    """Add the block's seconds to timing.jsonl; summed over all processes that worked in the folder."""
    start = time.perf_counter()
    yield
    Journal(folder / "timing.jsonl").append([{"phase": what, "seconds": time.perf_counter() - start}])
