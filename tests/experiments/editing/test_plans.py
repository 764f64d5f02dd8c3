"""Plans from files: replayed exactly, carried out where they were changed, refused where they are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agents.steps import Called, Planned, Step
from agents.team import Team
from agents.traces import Trace
from benchmarks.base import EditSample
from common.errors import BadData, BadInput, MissingFile
from experiments.editing.plans import GivenPlan, read_plan
from tests.experiments.editing.stand_ins import team


def given() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (5, 7, 3), dtype=np.uint8))


def traced(folder: Path, execution: str) -> Trace:
    ((trace,),) = team(execution).run([EditSample("s", "moon star", (), picture=given())], seed=4)
    trace.save(folder)
    return trace


def changed(folder: Path, **values: Any) -> GivenPlan:
    path = folder / "changed.json"
    raw = json.loads((folder / "trace.json").read_text())
    path.write_text(json.dumps(raw | values))
    return read_plan(str(path), "single")


@pytest.mark.parametrize("execution", ["single", "multi"])
def test_a_trace_is_replayed_exactly(tmp_path: Path, execution: str) -> None:
    trace, steps = traced(tmp_path, execution), list[Step]()
    for place in (tmp_path, tmp_path / "trace.json"):
        plan = read_plan(str(place), "single")
        assert plan.unchanged and plan.picture == tmp_path / "0.png"
        assert plan.carry_out(given(), team, trace.seed, steps.append) == trace
    calls = len(trace.calls)
    assert [type(s) for s in steps] == [Planned, *[Called] * calls] * 2


@pytest.mark.parametrize("execution", ["single", "multi"])
def test_a_changed_plan_is_carried_out_with_the_same_seeds(tmp_path: Path, execution: str) -> None:
    trace = traced(tmp_path, execution)
    plan = changed(tmp_path, sub_requests=["remove the moon", "paint it, black"])
    made = plan.carry_out(given(), team, trace.seed)
    assert not plan.unchanged and made.source == "given" and made.request == "moon star"
    assert made.sub_requests == ("remove the moon", "paint it, black") and made.execution == execution
    assert {c.seed for c in made.calls} <= {c.seed for c in trace.calls}
    same_start = execution == "multi"
    assert (made.digests[1] == trace.digests[1]) == same_start  # the first call is as it was


@pytest.mark.parametrize("values", [{"seed": 5}, {"execution": "single"}])
def test_what_else_is_changed_in_the_file_counts(tmp_path: Path, values: dict[str, Any]) -> None:
    trace = traced(tmp_path, "multi")
    plan = changed(tmp_path, **values)
    assert plan.trace is not None and not plan.unchanged
    made = plan.carry_out(given(), team, plan.trace.seed)
    assert made.digests[-1] != trace.digests[-1] and made.seed == plan.trace.seed


def test_a_plan_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({"sub_requests": ["a", "b"]}))
    plan = read_plan(str(path), "multi")
    made = plan.carry_out(given(), team, 3)
    assert (plan.trace, plan.picture, made.request, len(made.calls), made.seed) == (None, None, "a; b", 2, 3)


def test_the_steps_of_a_closed_loop_are_replayed(tmp_path: Path) -> None:
    from agents.editing import EditingAgent
    from agents.loop_team import LoopTeam
    from agents.sequencer import RulesSequencer
    from tests.agents.test_loop import AGAIN_TEXT, EDIT_TEXT, STOP_TEXT, Script
    from tests.experiments.editing.stand_ins import NoisyEditor

    script: Any = Script({"s": [EDIT_TEXT, AGAIN_TEXT, STOP_TEXT]})
    looped = LoopTeam(script, RulesSequencer(), EditingAgent(NoisyEditor()))
    sample = EditSample("s", "make the star red", (), picture=Image.new("RGB", (4, 4)))
    ((trace,),) = looped.run([sample], seed=2)
    trace.save(tmp_path)
    plan = read_plan(str(tmp_path), "single")
    assert plan.unchanged and plan.carry_out(sample.image, team, trace.seed) == trace  # type: ignore[arg-type]
    fewer = changed(tmp_path, sub_requests=trace.sub_requests[:1])
    assert len(fewer.carry_out(sample.image, team, trace.seed).calls) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "list of texts"),
        ('{"sub_requests": "a"}', "list of texts"),
        ('{"sub_requests": [1]}', "list of texts"),
        ('{"sub_requests": []}', "no sub-request"),
        ('{"sub_requests": ["a", " "]}', "sub-request 2 .* is empty"),
        ('{"sub_requests": ["a"], "calls": []}', "no trace"),
        ("[" * 100_000, "no JSON"),
        ("\xff\xfe", "no JSON"),
    ],
)
def test_what_is_no_plan_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises((BadData, BadInput), match=said):
        read_plan(str(path), "single")
    with pytest.raises(MissingFile, match="no plan"):
        read_plan(str(tmp_path), "single")


def test_a_team_without_decomposer_is_all_it_takes(tmp_path: Path) -> None:
    from agents.sequencer import RulesSequencer

    traced(tmp_path, "multi")
    teams: list[str] = []

    def without(execution: str) -> Team:
        teams.append(execution)
        return Team(None, RulesSequencer(), team(execution).editing)

    plan = changed(tmp_path, sub_requests=["x"])
    assert plan.carry_out(given(), without, 0).text is None and teams == ["multi"]
