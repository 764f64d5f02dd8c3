"""Whole runs in real processes, with a tiny random model: same seed, same scores; killed anywhere, same scores."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from common.jsonl import read_jsonl
from experiments.evaluation.rows import read_rows
from tests.e2e.processes import ASSETS, Ended, command, last_of_each

RUN = "experiments.run"


def arguments(model: Path, *more: str) -> list[str]:
    """Three steps on a random model. Weight decay moves the weights even where every completion is malformed. The editor's one step
    serves as well as its four."""
    words = [
        *([] if any(word.startswith("editor=") for word in more) else ["editor.steps=1"]),
        f"paths.assets={ASSETS}",
        f"decomposer.checkpoint={model}",
        "decomposer.max_new_tokens=8",
        "algo.steps=3",
        "algo.prompts_per_step=2",
        "algo.group_size=2",
        "algo.lr=1e-2",
        "algo.weight_decay=0.5",
        "algo.checkpoint_every=1",
        "scale.test_samples=4",
        "scale.chunk=2",
        "scale.strips=2",
        "engine.threads=1",
    ]
    return last_of_each([*words, *more])


def the_run(folder: Path) -> Path:
    (run,) = (p.parent for p in (folder / "outputs").glob("*/config.yaml") if ".old-" not in p.parent.name)
    return run


def scores(folder: Path) -> dict[str, Any]:
    values = json.loads((the_run(folder) / "results.json").read_text())
    values.pop("time_s")
    return values


def outcome(folder: Path) -> dict[str, Any]:
    """Everything of a run that must be the same however often it was killed."""
    run = the_run(folder)
    times = ("time/", "memory/", "perf/", "tokens_per_s")
    rows = [{k: v for k, v in r.items() if not k.startswith(times)} for r in read_jsonl(run / "metrics.jsonl")]
    folders = sorted(
        {p.parent for split in ("sandbox", "sandbox_complex") for p in (run / split).glob("**/0-of-1.jsonl")}
    )
    texts = {
        str(f.relative_to(run)): [{k: v for k, v in r.items() if k != "seconds"} for r in read_rows(f).values()]
        for f in folders
    }
    assert len(texts) == 2 * (
        3 + 3 + 2 * 3
    )  # of both splits: decompositions and drawn answers, edits, verdicts and their words
    samples = (run / "samples.jsonl").read_text()
    return {"scores": scores(folder), "metrics": rows, "eval": texts, "samples": samples}


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, tiny_vlm_path: Path) -> tuple[Path, Ended]:
    """A run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("once")
    ended = command(RUN, arguments(tiny_vlm_path), folder)
    assert ended.code == 0, ended.text
    return folder, ended


def test_a_run_leaves_everything_and_says_where(once: tuple[Path, Ended]) -> None:
    folder, ended = once
    run = the_run(folder)
    for name in (
        "config.yaml",
        "metrics.jsonl",
        "samples.jsonl",
        "results.json",
        "report.html",
        "checkpoints",
        "decomposer",
    ):
        assert (run / name).exists(), name
    assert len(read_jsonl(run / "metrics.jsonl")) == 3
    result = scores(folder)
    assert result["arms"]["agents_rl"]["sandbox"]["n"] == 4
    assert "report.html" in ended.text and "team after RL" in ended.text and "GRPO" in ended.text
    assert (run / "report.html").read_text().count('class="strip"') == 2


def test_the_same_command_again_shows_the_finished_run(once: tuple[Path, Ended], tiny_vlm_path: Path) -> None:
    folder, _ = once
    before = (the_run(folder) / "metrics.jsonl").stat().st_mtime_ns
    again = command(RUN, arguments(tiny_vlm_path, "verbose=true"), folder)
    assert again.code == 0 and "is finished" in again.text and "team after RL" in again.text
    assert (the_run(folder) / "metrics.jsonl").stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_scores_and_force_keeps_the_old_run(
    once: tuple[Path, Ended], tiny_vlm_path: Path, tmp_path: Path
) -> None:
    shutil.copytree(once[0] / "outputs", tmp_path / "outputs")
    forced = command(RUN, arguments(tiny_vlm_path, "force=true"), tmp_path)
    assert forced.code == 0 and ".old-1" in forced.text
    assert outcome(tmp_path) == outcome(once[0])
    assert (tmp_path / "outputs" / f"{the_run(tmp_path).name}.old-1" / "results.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("first", [8, 15, 30])
def test_a_run_killed_again_and_again_ends_with_the_same_scores(
    once: tuple[Path, Ended], tiny_vlm_path: Path, tmp_path: Path, first: int
) -> None:
    """Each process is killed at some write, a few later than the one before: in an append, in a checkpoint, before a rename."""
    kills = 0
    while (ended := command(RUN, arguments(tiny_vlm_path), tmp_path, kill_at=first + 4 * kills)).code == -9:
        kills += 1
        assert kills < 40, "no progress between kills"
    assert ended.code == 0, ended.text
    assert kills >= 2
    assert outcome(tmp_path) == outcome(once[0])


def test_an_interrupt_says_where_it_stopped_and_loses_nothing(
    once: tuple[Path, Ended], tiny_vlm_path: Path, tmp_path: Path
) -> None:
    stopped = command(RUN, arguments(tiny_vlm_path), tmp_path, interrupt_at=once[1].writes // 2)
    assert stopped.code == 130
    assert "the same command goes on" in stopped.text and "Traceback" not in stopped.text
    assert command(RUN, arguments(tiny_vlm_path), tmp_path).code == 0
    assert outcome(tmp_path) == outcome(once[0])


@pytest.mark.parametrize("share", [0.4, pytest.param(0.8, marks=pytest.mark.slow)])
def test_a_full_disk_is_named_and_the_run_goes_on_afterwards(
    once: tuple[Path, Ended], tiny_vlm_path: Path, tmp_path: Path, share: float
) -> None:
    full = command(RUN, arguments(tiny_vlm_path), tmp_path, full_at=int(once[1].writes * share))
    assert full.code == 2, full.text
    assert "No space left" in full.text and "error: " in full.text and "Traceback" not in full.text
    assert command(RUN, arguments(tiny_vlm_path), tmp_path).code == 0
    assert outcome(tmp_path) == outcome(once[0])


@pytest.mark.parametrize(
    ("argument", "needle"),
    [
        ("reward.weights.action=-1", "action"),
        ("reward.weights.action=nan", "action"),
        ("reward=nonsense", "reward="),
        ("algo.steps=0", "algo.steps"),
        ("algo.group_size=1", "group_size"),
        ("decomposer.checkpoint=nowhere", "nowhere"),
        ("benchmark=mice_text", "Edit-R2"),
        ("engine.device=cuda", "GPU"),
    ],
)
def test_bad_input_exits_2_with_one_message_and_leaves_no_run(
    tiny_vlm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, needle: str
) -> None:
    monkeypatch.delenv("IMAGEEDIT_DATA", raising=False)
    ended = command(RUN, arguments(tiny_vlm_path, argument), tmp_path)
    assert ended.code == 2, ended.text
    assert "error: " in ended.text and needle in ended.text and "Traceback" not in ended.text
    assert not list(tmp_path.glob("outputs/*/config.yaml"))
