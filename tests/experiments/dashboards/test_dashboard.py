"""The dashboard: what it takes from the runs' files, and what W&B's own library sends of it to a server on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import BadInput, MissingFile, RunFailed
from common.jsonl import Journal
from experiments import dashboard
from experiments.dashboards.contents import Section, charts, contents, matching
from experiments.runs.trainings import begin
from tests.made_up_runs import make_run
from tests.wandb_server import ENTITY, KEY, StoredRun, WandBServer, wandb_server


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rewards with two seeds each."""
    folder = tmp_path_factory.mktemp("sweep")
    for reward in ("f1", "f1_goal"):
        for seed in (0, 1):
            name = f"main-{len(reward)}{seed}abcdef"
            make_run(folder / name, (f"reward={reward}", f"seed={seed}"), n=12, steps=4)
    return folder


def test_contents_are_what_the_runs_have_and_differ_in(sweep: Path) -> None:
    made = contents(sorted(sweep.glob("main-*")), "rewards")
    assert made.keys == ("reward.name",) and len(made.ids) == 4
    assert [s.title for s in made.sections] == [
        "Learning curves", "Final results", "Rollout health", "Time and memory", "Samples"]  # fmt: skip
    learning, final, health, cost, samples = made.sections
    assert learning.charts[0].metrics == ("reward/mean",) and learning.charts[0].axis == "step"
    assert {"overall/agents_rl", "mean_f1/after"} <= set(final.bars) and not any("/low" in b for b in final.bars)
    assert {c.title for c in health.charts} == {"groups/no_spread", "tokens/mean", "tokens/max", "tokens/truncated"}
    assert [(c.title, c.metrics) for c in cost.charts] == [("time", ("time/step", "time/checkpoint"))]
    assert samples == Section("Samples", samples.about, samples=True)


def test_no_metric_is_in_two_charts_and_every_known_group_is_in_one() -> None:
    names = ["reward/mean", "reward/goal/mean", "kl/mean", "train/lr", "train/clip_high/mean", "groups/no_spread",
             "time/step", "time/train", "memory/rss", "perf/mfu", "tokens/mean", "entropy/mean"]  # fmt: skip
    shown = [m for section in charts({"": names}) for chart in section for m in chart.metrics]
    assert sorted(shown) == sorted(names)
    assert list(matching(["a/b", "b", "c"], ("b", ".*"))) == ["b", "a/b", "c"]


def test_trainings_have_charts_of_their_own(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "edit_r1-0a1b2c3d", n=12, steps=2)
    (folder / "metrics.jsonl").unlink()
    for journal, key in (("rrm-sft.jsonl", "sft/loss"), ("gcpo.jsonl", "reward/mean")):
        begin(folder, journal)
        Journal(folder / journal).append({"step": k, key: 0.5, "time/step": 1.0} for k in (1, 2))
    learning = contents([folder], "x").sections[0].charts
    assert [(c.title, c.axis) for c in learning] == [
        ("gcpo/reward/mean", "gcpo/step"),
        ("rrm-sft/loss", "rrm-sft/step"),
    ]


def test_the_specification_is_written_without_asking_anybody(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wandb_workspaces")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    dashboard.main([f"sweep={sweep}", "dry_run=true", "title=Two rewards"])
    path = sweep / "dashboard-spec.json"
    assert str(path) in capsys.readouterr().out.replace("\n", "")
    written = json.loads(path.read_text())
    path.unlink()
    assert written["title"] == "Two rewards" and written["grouped_by"] == ["reward.name"]
    check_workspace(written["workspace"], written["runs"])
    check_report(written["report"], written["runs"])


def check_workspace(spec: Any, ids: list[str]) -> None:
    bank, (runs,) = spec["section"]["panelBankConfig"], spec["section"]["runSets"]
    assert [s["name"] for s in bank["sections"]][:2] == ["Learning curves", "Final results"]
    first = bank["sections"][0]["panels"][0]
    assert first["viewType"] == "Run History Line Plot"
    assert first["config"]["metrics"] == ["reward/mean"] and first["config"]["xAxis"] == "step"
    assert runs["grouping"] == [{"section": "config", "name": "reward.value.name"}]
    assert all(key in json.dumps(runs["filters"]) for key in ids)
    assert "summary:overall/agents_rl" in json.dumps(runs["runFeed"])


def check_report(spec: Any, ids: list[str]) -> None:
    titles = [b["children"][0]["text"] for b in spec["blocks"] if b["type"] == "heading"]
    assert titles == ["Learning curves", "Final results", "Rollout health", "Time and memory", "Samples"]
    grids = [b["metadata"] for b in spec["blocks"] if b["type"] == "panel-grid"]
    assert len(grids) == 5
    kinds = {p["viewType"] for grid in grids for p in grid["panelBankSectionConfig"]["panels"]}
    assert {"Run History Line Plot", "Bar Chart", "Run Comparer", "Weave"} <= kinds
    for grid in grids:
        assert all(key in json.dumps(grid["runSets"][0]["filters"]) for key in ids)
        assert grid["runSets"][0]["grouping"] == [{"section": "config", "name": "reward.value.name"}]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandBServer]:
    wandb = pytest.importorskip("wandb")
    pytest.importorskip("wandb_workspaces")
    wandb.teardown()
    with wandb_server() as made:
        for name in ("DATA", "CACHE", "CONFIG"):
            monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name))
        monkeypatch.delenv("WANDB_MODE", raising=False)
        monkeypatch.setenv("WANDB_BASE_URL", made.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield made
        made.heal()
        wandb.teardown()


@pytest.mark.slow
def test_the_pages_are_saved_and_changed_in_place(
    server: WandBServer, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [run.name.rpartition("-")[2] for run in sorted(sweep.glob("main-*"))]
    with pytest.raises(MissingFile, match="none of the runs is in someone/imageedit-r1"):
        dashboard.main([f"sweep={sweep}"])
    server.runs.update({name: StoredRun(name, "imageedit-r1") for name in ids[1:]})
    dashboard.main([f"sweep={sweep}"])
    assert not server.unknown and len(server.views) == 2
    workspace, report = server.views.values()
    assert (workspace["type"], report["type"]) == ("project-view", "runs")
    assert {v["entityName"] for v in (workspace, report)} == {ENTITY} and report["displayName"] == sweep.name
    check_workspace(json.loads(workspace["spec"]), ids)
    check_report(json.loads(report["spec"]), ids)
    out = capsys.readouterr().out.replace("\n", "")
    assert f"experiments.sync run={sweep / f'main-{ids[0]}'}" in out  # the one that is not there yet
    assert f"{ENTITY}/imageedit-r1" in out and "workspace: http" in out and "report: http" in out
    dashboard.main([f"sweep={sweep}", "title=Again"])
    assert len(server.views) == 2  # the same two
    assert {v["displayName"] for v in server.views.values()} == {"Again"}
    server.trouble, server.trouble_in = 401, "/graphql"
    with pytest.raises(RunFailed):
        dashboard.main([f"sweep={sweep}"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give sweep=<folder>, or runs="),
        (["sweep=a", "runs=b"], "give sweep=<folder>, or runs="),
        (["runs=nowhere"], "there is no folder nowhere"),
        (["sweep=a", "dry_run=yes"], "dry_run=yes is neither true nor false"),
        (["swep=a"], "usage: python -m experiments.dashboard"),
    ],
)
def test_bad_input_says_what_to_give(words: list[str], says: str) -> None:
    with pytest.raises((BadInput, MissingFile), match=says):
        dashboard.main(words)


def test_without_a_key_or_offline_it_says_what_to_do(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(MissingFile, match="dry_run=true needs none"):
        dashboard.main([f"sweep={sweep}"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(BadInput, match="keeps W&B offline"):
        dashboard.main([f"sweep={sweep}"])
