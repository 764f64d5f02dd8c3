"""A finished run's arms again: with its own parts the same rows, with others the rest stays as it was."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import BadInput
from common.files import read_json, write_text
from conf.schema import EvaluateConfig
from experiments import evaluate
from experiments.evaluation import resolve
from experiments.evaluation.names import ARMS
from experiments.evaluation.rows import read_rows
from experiments.report import main as report
from experiments.runs import cli
from experiments.runs.identity import TRAINED, config_text, load_config
from experiments.runs.run import Run
from experiments.runs.stages import load_stages
from tests.saved_editors import save_kontext


@pytest.fixture(scope="module")
def run(tiny_vlm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose training is over: the job goes on after it, with before, after and the arms."""
    folder = tmp_path_factory.mktemp("main-run")
    config = cli.typed(
        cli.compose(
            "run",
            [
                f"decomposer.checkpoint={tiny_vlm_path}",
                "decomposer.max_new_tokens=8",
                "scale.test_samples=3",
                "scale.chunk=2",
                "scale.strips=1",
                "editor.steps=1",
                "engine.threads=1",
            ],
        )
    )
    shutil.copytree(tiny_vlm_path, folder / TRAINED)
    write_text(folder / "config.yaml", config_text(config))
    run = Run(config, folder, stages=load_stages(config.job))
    for stage in run.stages:
        if not stage.done(run):
            stage.run(run)
    return folder


def command(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", *words])
    cli.command("evaluate", evaluate.main, evaluate.FREE_TEXT)


def rows(folder: Path) -> dict[str, object]:
    """All rows, without how long they took."""
    return {
        str(p.parent.relative_to(folder)): [
            {k: v for k, v in r.items() if k != "seconds"} for r in read_rows(p.parent).values()
        ]
        for p in sorted(folder.glob("sandbox/**/0-of-1.jsonl"))
        if p.parent.name != "words" and "metrics" not in p.parts
    }


def test_with_the_runs_own_parts_the_arms_come_out_as_in_the_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, f"run={run}", "arms=all", f"out={tmp_path / 'again'}")
    assert rows(tmp_path / "again") == rows(run)
    mine, its = (read_json(f / "results.json") for f in (tmp_path / "again", run))
    for result in mine["arms"].values():
        assert result["sandbox"].pop("judges") == ["sandbox"]
    assert mine["arms"] == its["arms"] and set(ARMS) <= set(mine["arms"])
    assert mine["decomposition"] == its["decomposition"]
    assert load_config(tmp_path / "again") == load_config(run)
    page = (tmp_path / "again" / "report.html").read_text(encoding="utf-8")
    assert "team after RL" in page and "Decomposition" in page and "<h2>Training</h2>" not in page


def test_another_editor_is_evaluated_beside_the_run_and_its_folder_takes_no_third(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, out = save_kontext(tmp_path / "kontext"), tmp_path / "multi"
    words = [f"run={run}", "arms=all", f"out={out}", "execution=multi", "editor=flux_kontext", "editor.steps=1"]
    words += [f"editor.checkpoint={checkpoint}", "editor.area=1024", "samples=2", "editor_calls=2"]
    command(monkeypatch, *words)
    used, its = load_config(out), load_config(run)
    assert (used.editor.name, used.editor.steps, used.execution.name) == ("flux_kontext", 1, "multi")
    assert used.scale == replace(its.scale, test_samples=2, editor_calls=2)
    assert replace(used, editor=its.editor, execution=its.execution, scale=its.scale) == its
    result = read_json(out / "results.json")
    assert result["editor"] == "flux_kontext" and result["editor_settings"]["steps"] == 1 and result["n"] == 2
    assert result["arms"]["editor_best"]["sandbox"]["calls"] == 2
    best, chance = (result["arms"][a]["sandbox"]["overall"] for a in ("editor_best", "editor_chance"))
    assert best >= chance
    report([str(run), str(out)])
    assert "flux_kontext" in capsys.readouterr().out

    before = rows(out)
    with pytest.raises(SystemExit):
        command(monkeypatch, *(w for w in words if not w.startswith("editor.") and w != "editor=flux_kontext"))
    assert "other editor" in capsys.readouterr().err
    weights = next(checkpoint.glob("transformer/*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(SystemExit):  # the same command, but the checkpoint is another one
        command(monkeypatch, *words)
    assert "other editor" in capsys.readouterr().err
    assert rows(out) == before


def test_arms_named_one_by_one_and_judged_from_their_files_score_as_in_the_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, its = tmp_path / "out", read_json(run / "results.json")["arms"]
    command(monkeypatch, f"run={run}", "arms=editor,agents_rl", "chunk=2", f"out={out}")
    mine = read_json(out / "results.json")
    assert set(mine["arms"]) == {"editor", "agents_rl"} and not mine["partial"]
    for arm, result in mine["arms"].items():
        assert result["sandbox"].pop("judges") == ["sandbox"] and result["sandbox"] == pytest.approx(
            its[arm]["sandbox"]
        )
    command(monkeypatch, f"run={run}", "arms=agents", "judge=none", "label=unjudged", "chunk=2", f"out={out}")
    again = read_json(out / "results.json")
    assert again["arms"]["unjudged/agents"] == {} and again["partial"]  # pictures without verdicts are no result
    assert again["table"]["rows"][0] == mine["table"]["rows"][0]
    with pytest.raises(SystemExit):
        command(monkeypatch, f"run={run}", "arms=agents_rl", "scale=paper", f"out={out}")


def test_what_cannot_work_is_refused_before_anything_is_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    its, out = rows(run), tmp_path / "out"
    for words, needle in (
        (["arms=some"], "arms=some"),
        (["benchmark=sandbox", "editor=qwen"], "without arms=all"),
        (["arms=all", "editor=flux_kontext", f"paths.assets={tmp_path}"], f"{tmp_path}/tiny/flux_kontext"),
        (["arms=all", "editor_calls=-1"], "editor_calls=-1"),
        (["arms=all", "editr=qwen"], "'editor'"),
    ):
        with pytest.raises(SystemExit):
            command(monkeypatch, f"run={run}", f"out={out}", *words)
        assert needle in capsys.readouterr().err.replace("\n", " "), words
        assert not rows(out)
    with pytest.raises(SystemExit):
        command(monkeypatch, f"run={run}", "arms=all", f"out={run}")
    assert "folder of a run" in capsys.readouterr().err
    assert rows(run) == its


def test_swapped_parts_take_the_settings_of_the_runs_own_scale() -> None:
    paper = cli.typed(cli.compose("run", ["scale=paper", "editor=flux_kontext", "seed=4"]))
    other = resolve.swapped(paper, ["run=a", "editor=qwen", "editor.steps=4"])
    assert (other.editor.checkpoint, other.editor.steps, other.editor.true_cfg) == ("Qwen/Qwen-Image-Edit", 4, 4.0)
    assert replace(other, editor=paper.editor) == paper
    single = resolve.swapped(paper, ["editor.negative_prompt='a b'", "judge.max_invalid_share=0.5"])
    assert single.editor == replace(paper.editor, negative_prompt="a b")
    assert single.judge == replace(paper.judge, max_invalid_share=0.5)
    assert resolve.swapped(paper, ["samples=3", "out=b"]) == paper


def test_without_arms_the_benchmark_is_the_commands_own_and_no_part_is_swapped(run: Path, tmp_path: Path) -> None:
    words = [f"run={run}", f"out={tmp_path}"]
    config = cli.typed(cli.compose("evaluate", words))
    assert isinstance(config, EvaluateConfig)
    spec = resolve.resolve(config, words)
    assert (spec.used.benchmark.name, spec.decompositions, spec.arms) == ("mice_text", ("before", "after"), ())
    assert (spec.chunk, spec.part, spec.samples) == (2, "all", None)  # the run's own chunk
    with pytest.raises(BadInput, match=r"judge\.max_invalid_share would change nothing"):
        resolve.resolve(config, [*words, "judge.max_invalid_share=1"])
