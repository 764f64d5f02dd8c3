"""`experiments.ls`: which runs it lists, in which order and forms."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from common.errors import BadInput, MissingFile
from experiments import ls
from experiments.catalogue.entry import read_entry
from experiments.catalogue.query import chosen, ordered
from experiments.catalogue.sizes import age_text, bytes_in, size_text, span
from tests.experiments.catalogue.folders import add_run


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    out = tmp_path / "outputs"
    add_run(out / "main-a", overall=5.5, age=300)
    add_run(out / "main-b", overall=7.25, seed=1, reward={"name": "f1"}, age=200)
    add_run(out / "main-c", algo={"lr": 3e-5}, age=10 * 86400)
    add_run(out / "main-c.old-1", overall=1.0)
    (out / "sweeps").mkdir()
    return out


def listed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    ls.main([*arguments, "format=csv"])
    return [row["run"] for row in csv.DictReader(io.StringIO(capsys.readouterr().out))]


def test_the_youngest_run_comes_first_and_those_moved_aside_are_left_out(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed([str(outputs)], capsys) == ["main-b", "main-a", "main-c"]
    assert listed([str(outputs / "main-a"), str(outputs)], capsys) == ["main-b", "main-a", "main-c"]  # each once


@pytest.mark.parametrize(
    ("conditions", "runs"),
    [
        (["reward=f1_goal"], "ac"),
        (["reward!=f1_goal"], "b"),
        (["reward=f1*"], "abc"),
        (["seed=0", "state=finished"], "a"),
        (["seed=0.0"], "ac"),
        (["algo.lr<5e-5"], "c"),
        (["algo.lr>=1e-4"], "ab"),
        (["overall>5.5"], "b"),
        (["F1 after>0.5"], "ab"),
        (["arms.agents_rl.sandbox.overall<=5.5"], "a"),
        (["age>7d"], "c"),
        (["run=main-[ab]"], "ab"),
        (["reward.weights.action=0.3"], "abc"),
    ],
)
def test_conditions(outputs: Path, conditions: list[str], runs: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = listed([str(outputs), *(f"where={c}" for c in conditions), "sort=run"], capsys)
    assert found == [f"main-{letter}" for letter in runs]


def test_sorting_puts_numbers_by_size_and_runs_without_the_key_last(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listed([str(outputs), "sort=-overall"], capsys) == ["main-b", "main-a", "main-c"]
    assert listed([str(outputs), "sort=overall"], capsys) == ["main-a", "main-b", "main-c"]
    assert listed([str(outputs), "sort=algo.lr"], capsys)[0] == "main-c"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["where=rewart=f1"], "the nearest one is 'reward'"),
        (["sort=ovrall"], "the nearest one is 'overall'"),
        (["show=algo.lrr"], "the nearest one is 'algo.lr'"),
        (["where=reward"], "is no condition"),
        (["where=reward>x"], "x is no number"),
        (["wher=a"], "the nearest one is 'where'"),
        (["format=xml"], "there are: table, json, csv"),
        (["sort=run", "sort=age"], "given twice"),
        (["sort="], "empty"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_nearest_right_word(outputs: Path, words: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said.replace("(", r"\(")):
        ls.main([str(outputs), *words])


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="there is no folder"):
        ls.main([str(tmp_path / "nothing")])


def test_a_folder_whose_name_looks_like_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_run(tmp_path / "lr=3" / "main-x", overall=1.0)
    assert listed([f"{tmp_path}/lr=3"], capsys) == ["main-x"]


def test_a_sweep_stands_for_its_runs(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = outputs / "sweeps" / "run-1"
    sweep.mkdir()
    (sweep / "runs.txt").write_text(f"{outputs / 'main-b'}\n{outputs / 'main-gone'}\n")
    assert listed([str(sweep)], capsys) == ["main-b"]


def test_json_has_everything_and_csv_the_same_scores(outputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ls.main([str(outputs), "sort=run", "format=json"])
    rows = json.loads(capsys.readouterr().out)
    assert [r["run"] for r in rows] == ["main-a", "main-b", "main-c"]
    a = rows[0]
    assert a["scores"] == {"F1 before": pytest.approx(0.6), "F1 after": pytest.approx(0.6), "overall": 5.5}
    assert a["config"]["reward"] == "f1_goal" and a["results"]["arms.agents_rl.sandbox.overall"] == 5.5
    assert rows[2]["progress"] == {"phase": "training", "done": 20, "total": 20} and rows[2]["state"] == "stopped"
    assert a["bytes"] == sum(p.stat().st_size for p in (outputs / "main-a").iterdir())


def test_the_table_holds_80_columns_and_shows_further_keys(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.console import Console

    from common import progress

    monkeypatch.setattr(progress, "console", Console(width=80))
    ls.main([str(outputs), "show=reward,algo.lr", "sort=run"])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for needle in ("main-a", "f1_goal", "3e-05", "stopped", "training 20/20", "3 runs: 2 finished, 1 stopped"):
        assert needle in out


def test_a_run_without_a_key_fulfils_no_order_and_no_likeness(outputs: Path) -> None:
    entries = [read_entry(outputs / f"main-{x}") for x in "abc"]
    assert [e.name for e in chosen(entries, ["overall<100"])] == ["main-a", "main-b"]
    assert [e.name for e in chosen(entries, ["overall!=5.5"])] == ["main-b", "main-c"]
    assert [e.name for e in ordered(entries, "-run")] == ["main-c", "main-b", "main-a"]


def test_sizes_ages_and_spans() -> None:
    assert [size_text(n) for n in (0, 999, 1500, 12_345_678, 3.2e12)] == ["0 B", "999 B", "1.5 kB", "12 MB", "3.2 TB"]
    assert [age_text(s) for s in (5, 300, 7200, 3 * 86400)] == ["5 s", "5 min", "2 h", "3 d"]
    assert [span(t, "x") for t in ("30m", "1.5h", "7d", "2w")] == [1800, 5400, 604800, 1209600]
    with pytest.raises(BadInput, match="7 days"):
        span("7 days", "older_than")


def test_a_file_with_two_names_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    (tmp_path / "c").symlink_to(tmp_path)  # not followed: it would never end
    assert bytes_in(tmp_path) == 100 + (tmp_path / "c").lstat().st_size
