"""MICE-Bench's protocol end to end at tiny size: sandbox sessions, played by the sandbox's editor, judged as wholes by tiny random
models. Scores mean nothing; that there are some, of every turn and category, does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.sandbox.__main__ import main as sandbox
from common.files import read_json
from experiments import evaluate
from experiments.evaluation.rows import read_rows
from experiments.runs import cli
from tests.judges.sessions.tiny_sight import save_dinov3, save_grounding_dino

ASSETS = Path(__file__).parents[2] / "assets"


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", *words])
    cli.command("evaluate", evaluate.main, evaluate.FREE_TEXT)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("mice")
    sandbox(["mice", "n=4", f"out={folder / 'data'}"])
    return [
        "run=none",
        "benchmark=mice",
        f"benchmark.path={folder / 'data'}",
        "arms=editor",
        "editor=sandbox",
        "judge=mice",
        f"judge.vlm.model={ASSETS / 'tiny' / 'decomposer'}",  # it says something else, but ends
        "judge.vlm.dtype=float32",
        "judge.max_invalid_share=0.5",
        "judge.vlm.max_tokens=128",
        "judge.votes=2",
        f"judge.detector.model={save_grounding_dino(folder / 'grounding_dino')}",
        "judge.detector.shortest=64",
        "judge.detector.longest=64",
        f"judge.features.model={save_dinov3(folder / 'dinov3')}",
        "judge.features.side=32",
        f"paths.outputs={folder / 'outputs'}",
        "metrics=none",
        "engine.threads=1",
    ]


@pytest.mark.slow
def test_sessions_are_played_judged_and_shown(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command(monkeypatch, *words, f"out={out}")
    rows = read_rows(out / "mice" / "verdicts" / "mice" / "editor")
    assert len(rows) == 12 and {turn for _, turn in rows} == {0, 1, 2}
    for row in rows.values():
        assert row["valid"] and set(row["scores"]) == {"overall", "if", "cc", "ga"}
        assert all(0 <= value <= 10 for value in row["scores"].values())
    results = read_json(out / "results.json")
    arm = results["judges"]["mice"]["mice"]["arms"]["editor"]
    assert set(arm["sessions"]) == {"all", "cm", "cu"} and arm["sessions"]["all"]["n"] == 4
    for kind in ("all", "cm", "cu"):
        assert all(set(arm["sessions"][kind][name]) == {"1", "2", "3"} for name in ("if", "cc", "ga"))
    assert set(arm["aspects_by"]["ga"]["by_kind"]) == {"cm", "cu"} and set(arm["aspects_by"]["cc"]["by_turn"]) == {
        "0",
        "1",
        "2",
    }
    assert "mice" in capsys.readouterr().out

    again = tmp_path / "again"  # the same pictures elsewhere: every reply, box and comparison is kept
    command(monkeypatch, *words, f"out={again}")
    assert read_rows(again / "mice" / "verdicts" / "mice" / "editor") == rows
    usage = read_json(again / "results.json")["cost"]["mice"]["judges"]["mice"]
    assert usage["calls"] == 0 and usage["cached"] > 0

    published = tmp_path / "published"
    command(monkeypatch, *words, f"out={published}", "judge.cc=as_published")
    others = read_rows(published / "mice" / "verdicts" / "mice" / "editor")
    assert [r["scores"]["ga"] for r in others.values()] == [r["scores"]["ga"] for r in rows.values()]
    assert [r["scores"]["cc"] for r in others.values()] != [r["scores"]["cc"] for r in rows.values()]


def test_everything_that_is_missing_is_named_at_once(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = [f"judge.{part}.model={tmp_path / part}" for part in ("vlm", "detector", "features")]
    with pytest.raises(SystemExit):
        command(monkeypatch, *(w for w in words if ".model=" not in w), *absent, f"out={tmp_path / 'out'}")
    said = " ".join(capsys.readouterr().err.split())
    for part in ("grounding_dino of the judge", "dinov3 of the judge", "Qwen2.5-VL-32B-Instruct"):
        assert part in said


def test_other_benchmarks_and_runs_have_no_use_for_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        others = [w for w in words if not w.startswith("benchmark")]
        command(monkeypatch, *others, "benchmark=sandbox", f"out={tmp_path / 'out'}", "samples=2")
    assert "formatted_instruction" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command(monkeypatch, *words, "judge.vlm.repeats=3", f"out={tmp_path / 'out'}")
    assert "judge.votes" in capsys.readouterr().err
