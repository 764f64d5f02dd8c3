"""Several candidates of one edit, from different seeds, and the judge's pick among them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from agents.steps import Planned, Watch
from agents.team import Team
from agents.traces import Trace
from benchmarks.base import EditSample
from common.errors import BadInput, RunFailed
from judges.base import OVERALL, Judge, Verdict, judge_all

Make = Callable[[int, Watch | None], Trace]  # from a seed


@dataclass(frozen=True)
class Candidates:
    """`verdicts`: one for each trace, None where it has no picture or nobody judges. `pick` is the index of the best."""

    traces: tuple[Trace, ...]
    verdicts: tuple[Verdict | None, ...]
    pick: int

    @property
    def best(self) -> Trace:
        return self.traces[self.pick]

    @property
    def judged(self) -> bool:
        return any(v is not None and v.valid for v in self.verdicts)


def make_candidates(
    make: Make,
    seed: int,
    n: int,
    judge: Judge | None,
    watch: Watch | None = None,
    starts: Callable[[int, int], None] = lambda number, seed: None,
) -> Candidates:
    """`n` traces with the seeds `seed`, `seed` + 1, …; the pick is the valid verdict with the highest overall score, the
    first trace with a picture where there is none. `starts` hears of the number and seed of each. Raises
    RunFailed where no call gave a picture, and what the judge raises."""
    made = []
    for k in range(n):
        starts(k + 1, seed + k)
        made.append(make(seed + k, watch))
    traces = tuple(made)
    usable = [k for k, trace in enumerate(traces) if not trace.failure]
    if not usable:
        raise RunFailed(
            f"the editor gave no picture, {traces[0].failure}; say it differently, or try another seed"
            + (f" (nor did any of the {n - 1} other seeds)" if n > 1 else "")
        )
    verdicts: list[Verdict | None] = [None] * n
    if judge is not None:
        first = traces[0]
        sample = EditSample(first.sample_id, first.request, (), history=first.history, picture=first.pictures[0])
        results = [traces[k].result for k in usable]
        for k, verdict in zip(usable, judge_all(judge, [sample] * len(usable), results), strict=True):
            verdicts[k] = verdict
    pick = max(usable, key=lambda k: score(verdicts[k]))  # the first of equals
    return Candidates(traces, tuple(verdicts), pick)


def score(verdict: Verdict | None) -> float:
    """0 to 10; below every score where there is no valid verdict."""
    if verdict is None or not verdict.valid or not verdict.scores:
        return -math.inf
    return verdict.scores.get(OVERALL, fmean(verdict.scores.values()))


def from_request(team: Team, sample: EditSample) -> Make:
    """The team's own plan, made once: further seeds carry the same plan out. In a closed loop every seed decides anew."""
    first: list[Trace] = []

    def make(seed: int, watch: Watch | None) -> Trace:
        if not first or first[0].execution == "loop":
            ((trace,),) = team.run([sample], seed, watch=watch)
            first.append(trace)
            return trace
        calls = None if watch is None else lambda step: None if isinstance(step, Planned) else watch(step)
        ((trace,),) = team.carry_out([sample], [first[0].sub_requests], seed, watch=calls)
        kept: dict[str, Any] = {name: getattr(first[0], name) for name in ("text", "decomposition", "error", "source")}
        return replace(trace, **kept, notes=tuple(dict.fromkeys((*first[0].notes, *trace.notes))))

    return make


def check_judge(judge: Any) -> None:
    """Raises BadInput for a judge that cannot score the edit of a free request."""
    if judge is None or not judge.verdicts:
        return
    needs = ""
    if judge.exact:
        needs = "measures against gold edits, and a free request has none"
    elif judge.sessions:
        needs = "judges whole sessions"
    elif getattr(judge, "points", "") == "sandbox":
        needs = "takes its points from gold edits, and a free request has none; judge.points=gpt4o has them written"
    elif judge.needed_facts:
        needs = f"needs {', '.join(judge.needed_facts)} of an item, which a free request has not"
    if needs:
        raise BadInput(
            f"judge={judge.name} {needs}; take judge=vlm, judge=gpt4o, judge=gemini or judge=editscore, or judge=none"
        )


def scores_of(verdicts: Sequence[Verdict | None]) -> list[dict[str, Any] | None]:
    """Plain JSON values."""
    return [None if v is None else {"valid": v.valid, "scores": dict(v.scores), "reason": v.reason} for v in verdicts]


__all__ = ["Candidates", "Make", "check_judge", "from_request", "make_candidates", "score", "scores_of"]
