"""What is missing is found before anything starts, all of it at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import MissingFile
from experiments.build.judges import ChatJudge
from experiments.preflight import run as preflight
from experiments.preflight.machine import missing_of
from experiments.runs.cli import compose, typed
from experiments.runs.stages import load_stages


def test_the_paper_scale_names_everything_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(preflight, "gpu_memories", lambda: [])
    monkeypatch.setattr(preflight, "memory_bytes", lambda: 16 * 2**30)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    config = typed(compose("run", ["scale=paper", f"paths.assets={tmp_path}", "tracker=wandb", "tracker.mode=online"]))
    with pytest.raises(MissingFile) as caught:
        preflight.preflight(config)
    message = str(caught.value)
    for needle in ("weights", "hf download", "GPUs: 8", "memory: 256 GiB", "WANDB_API_KEY", "engine=torch"):
        assert needle in message
    assert not list(tmp_path.iterdir())


def test_edit_r1_at_the_papers_size_names_everything_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Weights, GPUs, memory of each phase, keys and data, in one message; the decomposer, which no stage uses, is none of it."""
    monkeypatch.setattr(preflight, "gpu_memories", lambda: [])
    for key in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    config = typed(compose("run", ["experiment=edit_r1_paper", f"paths.assets={tmp_path}"]))
    with pytest.raises(MissingFile) as caught:
        preflight.preflight(config, load_stages(config.job))
    message = str(caught.value)
    for needle in (
        "weights of the reward model qwen2_5_vl_7b", "weights of the editor flux_kontext", "weights of the editor qwen",
        "GPUs: 8", "OPENAI_API_KEY", "GEMINI_API_KEY", "benchmark=prepared needs a folder", "EditReward-Data",
        "GPU memory for gcpo, rollouts", "GPU memory for gcpo, training", "GPU memory for rrm_sft, training",
        "GPU memory for editor_rl, reward", "GPU memory for editor_rl, training", "on each of 8 GPUs",
    ):  # fmt: skip
        assert needle in message, needle
    assert "decomposer" not in message and not list(tmp_path.iterdir())


def test_phases_are_held_against_the_smallest_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = typed(compose("run", ["experiment=edit_r1_paper", f"paths.assets={tmp_path}"]))
    said = {}
    for gib in (64, 79):
        monkeypatch.setattr(preflight, "gpu_memories", lambda gib=gib: [gib * 2**30] * 8)
        with pytest.raises(MissingFile) as caught:
            preflight.preflight(config, load_stages(config.job))
        said[gib] = [
            line for line in str(caught.value).splitlines() if "GPU memory for" in line and "editor=" not in line
        ]
    phases = [line.partition("GPU memory for ")[2].partition(":")[0] for line in said[64]]
    assert phases == [
        "rrm_data, candidate edits",
        "rrm_sft, training",
        "editor_rl, reward",
        "editor_scores, edits and their scores",
    ]
    assert not said[79]


def test_a_judges_keys_are_asked_for_only_where_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = ChatJudge(name="x", keys=["SOME_KEY"], key_help="ask them")
    monkeypatch.delenv("SOME_KEY", raising=False)
    assert any("SOME_KEY" in line and "ask them" in line for line in missing_of(judge))
    monkeypatch.setenv("SOME_KEY", "1")
    assert not missing_of(judge)


def test_a_machine_that_has_all_of_it_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    (tmp_path / "model.safetensors").write_text("")
    monkeypatch.setattr(preflight, "gpu_memories", lambda: [80 * 2**30] * 8)
    monkeypatch.setattr(preflight, "memory_bytes", lambda: 512 * 2**30)
    overrides = [f"decomposer.checkpoint={tmp_path}", "scale.needs.disk_gib=0", "decomposer.parameters=3e9"]
    preflight.preflight(typed(compose("run", ["scale=paper", "editor=sandbox", *overrides])))


def test_missing_data_says_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGEEDIT_DATA", raising=False)
    config = typed(compose("run", ["benchmark=mice_text"]))
    assert any("Edit-R2" in line for line in missing_of(config.benchmark))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["algo=flow_grpo"], "algo=flow_grpo trains editors or sessions"),
        (["algo=edit_r2_tiny"], "algo=edit_r2_tiny trains editors or sessions"),
        (["reward=rrm"], "a trained reward model for reward=rrm"),
        (["algo.pool.component=colour"], "algo.pool.component=colour is none; choose one of format, action"),
        (["algo.pool.component=outcome"], "algo.pool.component=outcome is none"),  # this reward has no outcome
        (["experiment=loop", "execution=multi"], "execution=multi is none; leave execution= out"),
        (["experiment=loop", "execution=single"], "execution=single is none"),
    ],
)
def test_parts_of_another_job_are_refused_before_anything_is_written(words: list[str], said: str) -> None:
    config = typed(compose("run", words))
    with pytest.raises(MissingFile) as caught:
        preflight.preflight(config, load_stages(config.job))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "words", [["algo.pool.component=subject"], ["reward=f1_goal_outcome", "algo.pool.component=outcome"]]
)
def test_a_component_of_the_reward_is_accepted(words: list[str]) -> None:
    config = typed(compose("run", words))
    preflight.preflight(config, load_stages(config.job))
