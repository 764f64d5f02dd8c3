"""A plan from a file: a trace's calls made again as they were, or the sub-requests that a person changed in the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from agents.editing import call_seed
from agents.sequencer import EXECUTIONS
from agents.steps import Planned, Watch
from agents.team import Team, given_plan
from agents.traces import FILE, Trace, calls_again, digest
from benchmarks.base import EditSample
from common.errors import BadData, BadInput, MissingFile

TeamFor = Callable[[str], Team]  # by execution


@dataclass(frozen=True)
class GivenPlan:
    """`trace`: what the file is a trace of, without its pictures; None where it holds a plan alone. `picture`: the one that
    the trace was made on, where it lies beside the file."""

    sub_requests: tuple[str, ...]
    execution: str
    request: str
    trace: Trace | None = None
    picture: Path | None = None

    @property
    def unchanged(self) -> bool:
        """Whether the trace's own calls carry the plan out, with the seed that the file says."""
        trace = self.trace
        if trace is None:
            return False
        seeds = [call_seed(trace.seed, trace.sample_id, k) for k in range(len(trace.calls))]
        if [call.seed for call in trace.calls] != seeds:
            return False
        if trace.turns:
            return trace.sub_requests == tuple("; ".join(turn.sub_requests) for turn in trace.turns if turn.called)
        texts = [call.instruction for call in trace.calls]
        return texts == ["; ".join(self.sub_requests)] if self.execution == "single" else texts == [*self.sub_requests]

    def carry_out(self, given: Image.Image, team: TeamFor, seed: int, watch: Watch | None = None) -> Trace:
        """The trace of the plan on `given`: with the trace's own seed and plan its calls as they were. The steps of a
        changed closed loop are carried out one by one."""
        trace = self.trace
        execution = "multi" if self.execution == "loop" else self.execution
        if trace is not None and self.unchanged and seed == trace.seed:
            return self._again(trace, given, team(execution), watch)
        id_, history = (digest(given), ()) if trace is None else (trace.sample_id, trace.history)
        sample = EditSample(id_, self.request, (), history=history, picture=given)
        ((done,),) = team(execution).carry_out([sample], [self.sub_requests], seed, watch=watch)
        return done

    def _again(self, trace: Trace, given: Image.Image, team: Team, watch: Watch | None) -> Trace:
        if watch is not None:
            watch(Planned(trace.sample_id, trace.sub_requests, trace.source))
        result = calls_again(trace, given, team.editing.editor, watch)
        pictures = (given, *result.pictures)
        return replace(
            trace, pictures=pictures, digests=tuple(map(digest, pictures)), failure=result.failure, timings={}
        )


def read_plan(place: str, execution: str) -> GivenPlan:
    """The plan in a trace.json, in the folder of one, or in any JSON file with "sub_requests". `execution`: of a plan alone.

    Raises MissingFile, BadData naming what is wrong, BadInput for a plan that cannot be carried out.
    """
    path = Path(place) / FILE if Path(place).is_dir() else Path(place)
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise MissingFile(f"there is no plan at {path}; give the trace.json of an edit") from None
    except OSError as error:
        raise BadInput(f"plan={path} cannot be read ({error.strerror or error})") from None
    except (ValueError, RecursionError) as error:
        raise BadData(f"plan={path} is no JSON ({error}); mend the place, or restore the file") from None
    texts = raw.get("sub_requests") if isinstance(raw, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadData(f'plan={path}: "sub_requests" should be a list of texts, each what to do in one step')
    given_plan(texts, str(path))
    if "calls" not in raw:
        request = raw.get("request")
        return GivenPlan(tuple(texts), execution, request if isinstance(request, str) else "; ".join(texts))
    try:
        trace = Trace.from_dict(raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"plan={path} is no trace ({type(error).__name__}: {error}); restore the file") from None
    if trace.execution not in (*EXECUTIONS, "loop") or not isinstance(trace.seed, int):
        raise BadData(f'plan={path}: "execution" is single, multi or loop, and "seed" a whole number')
    picture = path.parent / "0.png"
    beside = picture if picture.is_file() else None
    return GivenPlan(tuple(texts), trace.execution, trace.request, trace, beside)


__all__ = ["GivenPlan", "read_plan"]
