"""Edit-R2 end to end on random tiny models of the real classes: four trainings, held-out sessions, tables and page. A kill loses
nothing, and what was trained is taken as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.jsonl import read_jsonl
from tests.e2e.processes import command
from tests.saved_editors import save_kontext

SMALL = [
    "experiment=edit_r2", "engine.device=cpu", "seed=3", "scale.chunk=2", "scale.strips=1", "editor=flux_kontext",
    "editor.steps=2", "editor.true_cfg=1.0", "sessions.held_out=3", "sessions.turns=[2,3]", "intent.max_new_tokens=6",
    "algo.steps=2", "algo.sessions_per_step=1", "algo.group_size=2", "algo.turns=2", "algo.checkpoint_every=1",
    "algo.flow.sampling_steps=3", "algo.flow.window_size=1", "algo.text.temperature=1.0",
]  # fmt: skip
ARMS = {"raw", "intent_no_rl", "text_only", "flow_only", "no_filter", "edit_r2"}


@pytest.fixture
def parts(tiny_vlm_path: Path, tmp_path: Path) -> list[str]:
    return [*SMALL, f"intent.checkpoint={tiny_vlm_path}", f"editor.checkpoint={save_kontext(tmp_path / 'kontext')}"]


def finished(folder: Path) -> tuple[Path, dict]:
    (run,) = (folder / "outputs").glob("edit_r2-*")
    return run, json.loads((run / "results.json").read_text())


@pytest.mark.slow
def test_all_arms_and_a_kill_between(parts: list[str], tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir(), whole.mkdir()
    assert command("experiments.run", parts, killed, kill_at=30).code == -9
    ended = command("experiments.run", parts, killed)
    assert ended.code == 0, ended.text
    other = command("experiments.run", parts, whole)
    assert other.code == 0, other.text
    (run, results), (twin, same) = finished(killed), finished(whole)
    for name in ("session-scores.jsonl", *(f"sessions/{a}/samples.jsonl" for a in ARMS - {"raw", "intent_no_rl"})):
        assert (run / name).read_text() == (twin / name).read_text(), name
    assert {k: v for k, v in results.items() if k != "time_s"} == {k: v for k, v in same.items() if k != "time_s"}
    part = results["sessions"]
    assert set(part["ga_last_turn"]) == ARMS and set(part["by_length"]) == {"2", "3"}
    assert all(len(part[f"{s}_by_turn"][arm]) == 2 for s in ("if", "cc", "ga") for arm in ARMS)
    assert len(part["by_length"]["3"]["ga_by_turn"]["raw"]) == 3 and set(part["gain"]) == ARMS - {"edit_r2"}
    assert len(read_jsonl(run / "session-scores.jsonl")) == len(ARMS) * 3 * (2 + 3)
    page = (run / "report.html").read_text()
    assert "Sessions of several turns" in page and "Training on sessions" in page
    assert "held-out sessions of 3 turns" in ended.text
    trained_arms = ARMS - {"raw", "intent_no_rl"}
    folders = {arm: {p.name for p in (run / "sessions" / arm).iterdir() if p.is_dir()} for arm in trained_arms}
    assert {"intent", "editor"} <= folders["edit_r2"]
    assert "editor" not in folders["text_only"] and "intent" not in folders["flow_only"]

    again = [p for p in parts if not p.startswith(("intent.checkpoint", "editor.checkpoint"))]
    trained = run / "sessions" / "edit_r2"
    again += [f"intent.checkpoint={trained / 'intent'}", f"editor.checkpoint={trained / 'editor'}"]
    third = tmp_path / "again"
    third.mkdir()
    taken = command("experiments.run", [*again, "stages=[session_scores,results]"], third)
    assert taken.code == 0, taken.text
    assert set(finished(third)[1]["sessions"]["ga_last_turn"]) == {"raw", "intent_no_rl"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["algo=grpo"], "algo=grpo trains on single requests"),
        (["reward=f1_goal"], "reward=f1_goal scores single requests"),
        (["reward.weights.style=1"], "style"),
        (["sessions.actions.paint=1"], "there is no key 'sessions.actions.paint'"),
        (["sessions.actions.recolor=0", "sessions.actions.remove=0"], "actions are all 0"),
        (["sessions.actions.recolor=0", "sessions.actions.remove=0", "sessions.actions.add=1"], 'with "it"'),
        (["algo.group_size=1"], "group_size"),
        (["algo.filter=some"], "published, intended, none"),
        (["experiment=main", "reward=session"], "scores the turns of sessions"),
    ],
)
def test_what_cannot_work_is_refused_at_once(parts: list[str], tmp_path: Path, wrong: list[str], said: str) -> None:
    own = [] if wrong[0] == "experiment=main" else parts
    if wrong[0].startswith("algo="):
        own = [p for p in own if not p.startswith("algo.")]
    ended = command("experiments.run", [*own, *wrong], tmp_path)
    assert ended.code == 2 and said in ended.text, ended.text
    assert "Traceback" not in ended.text and not (tmp_path / "outputs").exists()
