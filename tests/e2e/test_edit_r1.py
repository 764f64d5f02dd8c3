"""Edit-R1 end to end on random tiny models of the real classes: data, cold start, GCPO, held-out pairs, an editor's training. A
kill loses nothing, and a reward model that exists is taken as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from common.jsonl import read_jsonl
from tests.e2e.processes import command
from tests.saved_editors import save_kontext

SMALL = [
    "experiment=edit_r1", "engine.device=cpu", "seed=3", "scale.chunk=2", "scale.test_samples=2", "scale.strips=2",
    "rrm.data.samples=2", "rrm.data.candidates=2", "rrm.data.traces=2", "rrm.data.pairs=6", "rrm.data.held_out=3",
    "rrm.data.editors=[]", "rrm.compared=[holistic]", "rrm.max_new_tokens=8", "rrm.sft.steps=1", "rrm.sft.batch_size=2",
    "rrm.gcpo.steps=2", "rrm.gcpo.prompts_per_step=1", "rrm.gcpo.group_size=2", "rrm.gcpo.checkpoint_every=1",
    "algo.steps=1", "algo.prompts_per_step=1", "algo.group_size=2", "algo.sampling_steps=3", "algo.window_size=2",
    "editor.steps=2", "editor.true_cfg=1.0", "algo.watch.pictures=2",
]  # fmt: skip


@pytest.fixture
def parts(tiny_vlm_path: Path, tmp_path: Path) -> list[str]:
    return [*SMALL, f"rrm.base={tiny_vlm_path}", f"editor.checkpoint={save_kontext(tmp_path / 'kontext')}"]


def finished(folder: Path) -> tuple[Path, dict]:
    (run,) = (folder / "outputs").glob("edit_r1-*")
    return run, json.loads((run / "results.json").read_text())


@pytest.mark.slow
def test_all_stages_and_a_kill_between(parts: list[str], tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir(), whole.mkdir()
    assert command("experiments.run", [*parts, "reward=judge"], killed, kill_at=40).code == -9
    ended = command("experiments.run", [*parts, "reward=judge"], killed)
    assert ended.code == 0, ended.text
    other = command("experiments.run", [*parts, "reward=judge"], whole)
    assert other.code == 0, other.text
    (run, results), (twin, same) = finished(killed), finished(whole)
    for name in ("rrm-data/cold_start/traces.jsonl", "gcpo-rows.jsonl", "rrm-scores.jsonl", "editor-scores.jsonl"):
        assert (run / name).read_text() == (twin / name).read_text(), name
    assert {k: v for k, v in results.items() if k != "time_s"} == {k: v for k, v in same.items() if k != "time_s"}
    assert set(results["rrm"]["pair_accuracy"]) == {"holistic", "sft", "gcpo"}
    assert set(results["editor_rl"]["exact_overall"]) == {"before", "after"}
    assert results["editor_rl"]["n"] == {"before": 2, "after": 2}
    page = (run / "report.html").read_text()
    assert "The reward model" in page and "The editor before and after RL" in page
    assert (run / "editor" / "transformer").is_dir() and (run / "editor" / "vae").is_symlink()
    assert len(read_jsonl(run / "gcpo.jsonl")) == 2 and len(read_jsonl(run / "metrics.jsonl")) == 1
    assert "held-out pairs in the right order" in ended.text

    again = [p for p in parts if not p.startswith("editor.checkpoint")]
    again += ["reward=judge", f"rrm.checkpoint={run / 'rrm' / 'gcpo'}", f"editor.checkpoint={run / 'editor'}"]
    third = tmp_path / "again"
    third.mkdir()
    ended = command("experiments.run", again, third)  # a reward model and an editor that exist
    assert ended.code == 0, ended.text
    assert set(finished(third)[1]["rrm"]["pair_accuracy"]) == {"checkpoint"}
    assert not (finished(third)[0] / "rrm").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algo.group_size=1"], "algo.group_size"),
        (["rrm.gcpo.group_size=1"], "group_size"),
        (["algo=grpo"], "algo=flow_grpo"),
        (["editor=sandbox"], "editor=flux_kontext"),
        (["reward=f1"], "reward=rrm"),
        (["rrm.compared=[x]"], "'x' is unknown"),
        (["rrm.data.points_by=gpt4o"], "belong together"),
        (["rrm.data.choice=last"], "best or first"),
        (["rrm.base=/nowhere"], "no config.json and"),
    ],
)
def test_what_cannot_work_is_refused_at_once(parts: list[str], words: list[str], said: str, tmp_path: Path) -> None:
    changed = [p for p in parts if p.partition("=")[0] not in {w.partition("=")[0] for w in words}]
    if words[0].startswith(("algo=", "editor=")):
        changed = [p for p in changed if not p.startswith(("algo.", "editor."))]
    ended = command("experiments.run", [*changed, *words], tmp_path)
    assert ended.code == 2, ended.text
    assert said in ended.text and "Traceback" not in ended.text
