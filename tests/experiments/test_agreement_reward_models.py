"""Reward models, a scorer without reasoning and a general model as judges of the same pairs, in one table with intervals. The
small checkpoint of the repository was never trained on edits: what its scores are worth is nothing that is tested here."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from common.files import read_json
from tests.experiments.test_agreement import run

MODEL = Path("assets/tiny/rrm")
LITTLE = ("data=sandbox", "samples=6", "judge.dtype=float32", "judge.max_invalid_share=1", "engine.device=cpu")


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("judges.agreement.RESAMPLES", 100)


@pytest.mark.slow
def test_reward_models_a_scorer_and_a_general_model_stand_in_one_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(MODEL, tmp_path / "other")
    rrm = ("judge=rrm", "judge.prompt=rrm_tiny")
    studies = {
        "sft": (*rrm, f"judge.model={MODEL}", "judge.max_tokens=160"),
        "gcpo": (*rrm, f"judge.model={other}", "judge.max_tokens=160"),
        "plain": (*rrm, f"judge.model={MODEL}", "judge.form=score", "judge.max_tokens=24"),
        "vlm": ("judge=vlm", f"judge.model={MODEL}", "judge.max_tokens=24"),
    }
    for name, words in studies.items():
        run(*LITTLE, *words, f"paths.outputs={tmp_path}", f"out={tmp_path / name}")
    capsys.readouterr()
    table = tmp_path / "table"
    run(f"compare=[{','.join(str(tmp_path / name) for name in studies)}]", f"out={table}")
    said, result = capsys.readouterr().out, read_json(table / "compare.json")
    assert [judge["name"] for judge in result["judges"]] == list(studies)
    words = [judge["judge"] for judge in result["judges"]]
    assert "rubric rrm" in words[0] and "form" not in words[0] and "form score" in words[2] and "judge=vlm" in words[3]
    for measure in result["measures"].values():
        sft, gcpo = measure["cells"][:2]
        assert sft == gcpo  # the same weights in another folder
        assert len(measure["cells"]) == 4 and len(measure["minus_first"]) == 3
    assert "4 judges on" in said and all(f"    {name}" in said for name in studies)
    assert all(f"| {name} |" in (table / "compare.md").read_text() for name in studies)
