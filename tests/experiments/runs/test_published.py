"""experiment=paper is the paper's own: its data, benchmarks and judges; what is missing is said before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import MissingFile
from common.files import write_json
from experiments.preflight import run as preflight
from experiments.runs import cli
from experiments.runs.published import PublishedBenchmarks, evaluation, pairs
from experiments.runs.run import Run
from experiments.runs.stages import load_stages

PAIRS = [(b, j) for b in ("psr", "realedit", "ultraedit") for j in ("gpt4o", "gemini")]


def test_the_papers_experiment_has_its_data_benchmarks_and_judges() -> None:
    config = cli.typed(cli.compose("run", ["experiment=paper"]))
    assert (config.benchmark.name, config.judge.name) == ("prepared", "gpt4o")
    assert list(pairs(config)) == PAIRS
    main = cli.typed(cli.compose("run", []))
    assert config.job == [*main.job, "experiments.runs.published.PublishedBenchmarks"]
    assert isinstance(load_stages(config.job)[-1], PublishedBenchmarks)
    assert list(pairs(main)) == []


def test_what_the_papers_experiment_lacks_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(preflight, "gpu_memories", lambda: [])
    config = cli.typed(cli.compose("run", ["experiment=paper", f"paths.assets={tmp_path}"]))
    with pytest.raises(MissingFile) as lacking:
        preflight.preflight(config, load_stages(config.job))
    said = str(lacking.value)
    for needle in (
        "data: ",
        "experiments.prepare",
        "OPENAI_API_KEY",
        "GEMINI_API_KEY",
        "GPUs: 8",
        "weights of the decomposer",
    ):
        assert needle in said
    assert said.count("OPENAI_API_KEY") == 1  # a run's judge and the table's are one


def test_each_pair_is_an_evaluation_of_the_run(tmp_path: Path) -> None:
    config = cli.typed(cli.compose("run", ["experiment=paper", f"paths.outputs={tmp_path}"]))
    made = evaluation(config, ["benchmark=realedit", "judge=gemini"], "the-run", "the-table")
    assert (made.run, made.out, made.arms) == ("the-run", "the-table", "all")
    assert (made.benchmark.name, made.benchmark.samples, made.judge.name) == ("realedit", 1000, "gemini")
    assert made.paths.outputs == str(tmp_path)


def test_the_stage_is_done_when_every_pair_is_there_and_complete(tmp_path: Path) -> None:
    stage = PublishedBenchmarks()
    config = cli.typed(cli.compose("run", ["experiment=paper"]))
    run = Run(config, tmp_path)
    assert not stage.done(run)

    def table(columns: list[tuple[str, str]], partial: bool) -> bool:
        listed = [{"benchmark": b, "judge": j} for b, j in columns]
        write_json(tmp_path / "published/results.json", {"table": {"columns": listed}, "partial": partial})
        return stage.done(run)

    assert not table(PAIRS[:-1], False) and not table(PAIRS, True) and table(PAIRS, False)
    assert stage.done(Run(cli.typed(cli.compose("run", [])), tmp_path / "other"))  # nothing was asked for
