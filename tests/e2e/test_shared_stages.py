"""Stages of Edit-R1 and Edit-R2 that a run takes from another one: what they find out is what a run that shares nothing does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.files import read_json
from common.jsonl import read_jsonl
from experiments.run import main
from experiments.runs.cli import compose, typed
from experiments.runs.identity import run_folder
from tests.e2e.processes import ASSETS
from tests.e2e.test_edit_r1 import SMALL as EDIT_R1
from tests.e2e.test_edit_r2 import SMALL as EDIT_R2
from tests.saved_editors import save_kontext

TIMES = ("time/", "memory/", "perf/", "per_s", "seconds")
OF_THE_RUN = (
    "config.yaml",
    "results.json",
    "report.html",
    "status.json",
    "timing.jsonl",
    "shared.json",
    "trainings.json",
)


def run(words: list[str]) -> Path:
    """The command in this process; returns the run's folder."""
    config = typed(compose("run", [*words, f"paths.assets={ASSETS}", "engine.threads=1"]))
    main(config)
    return run_folder(config)


def found_out(folder: Path) -> dict[str, Any]:
    """Everything that the run left, without what tells its times."""
    values: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        name = str(path.relative_to(folder))
        if name in OF_THE_RUN or name.startswith(".") or "checkpoints" in name or path.suffix == ".txt":
            continue
        values[name] = path.read_bytes()
        if path.suffix == ".jsonl":
            values[name] = [
                {k: v for k, v in row.items() if not any(t in k for t in TIMES)} for row in read_jsonl(path)
            ]
    results = read_json(folder / "results.json")
    results.pop("time_s")
    return values | {"results": results}


def compared(words: list[str], first: str, second: str, tmp_path: Path) -> Path:
    """The job with the word `first`, then the one with `second`, which takes what it can; the latter without sharing. Returns the
    folder of the run that took."""
    run([*words, first, f"paths.outputs={tmp_path / 'together'}"])
    taken = run([*words, second, f"paths.outputs={tmp_path / 'together'}"])
    alone = run([*words, second, f"paths.outputs={tmp_path / 'apart'}", "share=false"])
    one, other = found_out(taken), found_out(alone)
    assert one.keys() == other.keys() and not (alone / "shared.json").exists()
    assert [name for name in one if one[name] != other[name]] == []
    return taken


@pytest.mark.slow
def test_edit_r1(tiny_vlm_path: Path, tmp_path: Path) -> None:
    words = [*EDIT_R1, "reward=rrm", f"rrm.base={tiny_vlm_path}"]
    words.append(f"editor.checkpoint={save_kontext(tmp_path / 'kontext')}")
    another = [w for w in words if not w.startswith("scale.test_samples")]
    taken = compared(another, "scale.test_samples=2", "scale.test_samples=3", tmp_path)
    phases = {"rrm_data", "rrm_sft-holistic", "rrm_sft", "gcpo", "rrm_accuracy", "editor_rl"}
    assert set(read_json(taken / "shared.json")) == phases
    assert (taken / "editor" / "vae").is_symlink() and (taken / "editor" / "vae" / "config.json").is_file()


@pytest.mark.slow
def test_edit_r2(tiny_vlm_path: Path, tmp_path: Path) -> None:
    """Another number of held-out sessions has the training in common; another seed the arms without training."""
    dropped = ("experiment=", "sessions.", "algo.steps=", "seed=")
    words = [*(w for w in EDIT_R2 if not w.startswith(dropped)), f"intent.checkpoint={tiny_vlm_path}"]
    words += ["experiment=edit_r2_main", "sessions.turns=[2]", "algo.steps=1"]
    words.append(f"editor.checkpoint={save_kontext(tmp_path / 'kontext')}")
    taken = compared([*words, "seed=3"], "sessions.held_out=1", "sessions.held_out=2", tmp_path)
    assert set(read_json(taken / "shared.json")) == {"session_rl"}
    more = ["seed=4", "sessions.held_out=2", "stages=[session_scores]", f"paths.outputs={tmp_path / 'together'}"]
    assert set(read_json(run([*words, *more]) / "shared.json")) == {
        f"session-scores-{a}" for a in ("raw", "intent_no_rl")
    }
