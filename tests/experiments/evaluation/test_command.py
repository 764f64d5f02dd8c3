"""The command itself, on the tiny models and 64-pixel sandbox pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.files import read_json
from experiments import evaluate
from experiments.evaluation.rows import read_rows
from experiments.runs import cli

BASE = ("run=none", "benchmark=sandbox", "editor=sandbox", "samples=5", "chunk=2", "arms=all")


@pytest.fixture
def command(tiny_vlm_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def call(*words: str) -> None:
        own = [f"decomposer.checkpoint={tiny_vlm_path}", "decomposer.max_new_tokens=8"]
        last = {word.partition("=")[0]: word for word in (*words, *own)}  # what a test adds replaces BASE
        monkeypatch.setattr(sys, "argv", ["evaluate", *last.values()])
        cli.command("evaluate", evaluate.main, evaluate.FREE_TEXT)

    return call


def contents(out: Path) -> dict[str, object]:
    """Everything that an evaluation decided: pictures, edits, verdicts, numbers. Not who did it and how long it took."""
    result: dict[str, object] = {}
    for kind in ("edits", "verdicts/sandbox"):
        for arm in ("editor", "agents"):
            rows = read_rows(out / "sandbox" / kind / arm)
            result[f"{kind} {arm}"] = [{k: v for k, v in r.items() if k != "seconds"} for r in rows.values()]
            lines = [
                line for f in (out / "sandbox" / kind / arm).glob("*.jsonl") for line in f.read_text().splitlines()
            ]
            assert len(lines) == len(rows) == 5
    result |= {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.glob("sandbox/pictures/*/*.png"))}
    results = read_json(out / "results.json")
    return result | {k: results[k] for k in ("arms", "table", "partial")}


def test_any_number_of_shards_ends_in_the_same_evaluation(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    one, mixed = tmp_path / "one", tmp_path / "mixed"
    command(*BASE, f"out={one}")
    command(*BASE, f"out={mixed}", "shard=1", "shards=2")  # another number of them than of those that go on
    for i in range(3):
        assert read_json(mixed / "results.json")["partial"]
        command(*BASE, f"out={mixed}", f"shard={i}", "shards=3")  # the last one to end sees everything
    assert contents(one) == contents(mixed) and not read_json(mixed / "results.json")["partial"]
    (row, _) = read_json(one / "results.json")["table"]["rows"]
    assert row["arm"] == "editor" and row["cells"][0]["n"] == 5 and row["average"] == row["cells"][0]["value"]
    assert {"report.html", "table.csv", "table.md", "table.tex"} <= {p.name for p in one.iterdir()}


def test_the_same_command_again_does_nothing_and_pictures_from_elsewhere_are_another_arm(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    words = [*BASE[:-1], f"out={out}"]
    command(*words, "arms=editor")
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file() and ".shards" not in p.parts}
    with monkeypatch.context() as nothing:
        nothing.setattr("experiments.runs.team.TeamParts", None)
        nothing.setattr("experiments.evaluation.evaluator.judge_for", None)
        nothing.setattr(
            "experiments.evaluation.evaluator.Evaluator.work", None
        )  # results.json says that nothing is missing
        command(*words, "arms=editor")
    assert {p: p.stat().st_mtime_ns for p in before} == before
    mine = tmp_path / "my_editor"
    (out / "sandbox" / "pictures" / "editor").rename(mine)
    mine.joinpath("4-0.png").unlink()
    with pytest.raises(SystemExit):  # 1 of 5 without a picture is more than the sandbox judge's 0.05
        command(*words, f"pictures={mine}")
    assert "1 of 5 verdicts are invalid" in capsys.readouterr().err.replace("\n", " ")
    command(*words, f"pictures={mine}", "judge.max_invalid_share=0.5")
    result = read_json(out / "results.json")["arms"]
    assert result["my_editor"]["sandbox"]["invalid"] == 1 and result["my_editor"]["sandbox"]["n"] == 5


def test_a_result_that_cannot_be_read_is_one_invalid_edit(
    command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    """The others are judged, and the broken ones are named: damaged in the middle, cut, empty, and no picture at all."""
    data, mine, out = tmp_path / "data", tmp_path / "mine", tmp_path / "out"
    data.mkdir(), mine.mkdir()
    rng = np.random.default_rng(0)
    for i in range(6):
        picture = Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8))
        picture.save(data / f"p{i}.png")
        picture.save(mine / f"i{i}.png")
    rows = "".join(f"i{i},p{i}.png,do {i}\n" for i in range(6))
    (data / "q.csv").write_text(f"id,image,instruction\n{rows}")
    whole = (mine / "i1.png").read_bytes()
    broken = {"i1": whole[:200] + bytes(200) + whole[400:], "i2": whole[:300], "i3": b"", "i4": b"no picture"}
    for name, content in broken.items():
        (mine / f"{name}.png").write_bytes(content)
    words = ["run=none", "benchmark=folder", f"benchmark.path={data}", "judge=none", "metrics.names=[l1@source]"]
    command(*words, f"pictures={mine}", f"out={out}", "engine.threads=1")
    edits = read_rows(out / "folder" / "edits" / "mine")
    assert [bool(row["failure"]) for row in edits.values()] == [False, True, True, True, True, False]
    for name in broken:
        assert f"{mine / name}.png" in edits[int(name[1]), 0]["failure"]
    result = read_json(out / "results.json")
    assert result["metrics"]["folder"]["arms"]["mine"]["l1@source"]["n"] == 2 and not result["partial"]
    assert result["edits"]["folder"]["mine"]["failed"] == 4
    assert "mine: 4 of 6 edits invalid, no picture" in " ".join(capsys.readouterr().out.split())
    assert "4 of 6 edits invalid" in (out / "report.html").read_text(encoding="utf-8")


def test_a_given_picture_that_cannot_be_read_is_one_invalid_edit(
    command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    """For an arm that edits it and for an arm that was made elsewhere; a damaged mask or target leaves its metrics out."""
    data, mine, out = tmp_path / "data", tmp_path / "mine", tmp_path / "out"
    data.mkdir(), mine.mkdir()
    for i in range(5):
        picture = Image.new("RGB", (32, 32), (40 * i, 90, 200))
        for place in (data / f"p{i}.png", data / f"t{i}.png", mine / f"i{i}.png"):
            picture.save(place)
    whole = (data / "p1.png").read_bytes()
    (data / "p1.png").write_bytes(whole[:60])
    (data / "p3.png").write_bytes(b"")
    (data / "t4.png").write_bytes(b"no picture")
    rows = "".join(f"i{i},p{i}.png,t{i}.png,make it darker\n" for i in range(5))
    (data / "q.csv").write_text(f"id,image,reference,instruction\n{rows}")
    words = [
        "run=none",
        "benchmark=folder",
        f"benchmark.path={data}",
        "judge=none",
        "engine.threads=1",
        "allow_tiny=true",
    ]
    words += [
        "metrics.names=[l1@source,l1@reference]",
        f"out={out}",
        f"pictures={mine}",
        "editor=sandbox",
        "arms=editor",
    ]
    command(*words)
    for arm in ("editor", "mine"):
        edits = read_rows(out / "folder" / "edits" / arm)
        assert [bool(row["failure"]) for row in edits.values()] == [False, True, False, True, False], arm
        for i in (1, 3):
            assert (
                "the given picture cannot be used" in edits[i, 0]["failure"] and f"p{i}.png" in edits[i, 0]["failure"]
            )
    result = read_json(out / "results.json")
    cells = result["metrics"]["folder"]["arms"]["mine"]
    assert cells["l1@source"]["n"] == 3 and cells["l1@source"]["invalid"] == 2 and not result["partial"]
    assert cells["l1@reference"]["n"] == 2
    said = " ".join(capsys.readouterr().out.split())
    assert "mine: 2 of 5 edits invalid" in said and "t4.png" in said


def test_a_label_and_a_second_benchmark_extend_the_table(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    words = [*BASE[:-1], f"out={out}", "arms=editor"]
    command(*words)
    command(*words, "label=again", "execution=multi", "metrics=basic")
    result = read_json(out / "results.json")
    assert list(result["arms"]) == ["again/editor", "editor"] or list(result["arms"]) == ["editor", "again/editor"]
    assert result["arms"]["editor"]["sandbox"] == result["arms"]["again/editor"]["sandbox"]
    assert result["metrics"]["sandbox"]["arms"]["editor"]["l1@source"]["n"] == 5
    assert result["metrics"]["sandbox"]["drift"]["again/editor"]["n"] == 5
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "again: editor alone" in page and "Metrics without a judge" in page


def test_metrics_without_a_judge_are_in_the_table_and_missing_arms_are_said(
    command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    command(*BASE, "judge=none", "metrics=basic", f"out={out}")
    said = " ".join(capsys.readouterr().out.split())
    assert "arms=all: editor alone and team before RL; run=none has no trained decomposer" in said
    text = (out / "table.md").read_text(encoding="utf-8")
    assert (
        text.startswith("Metrics without a judge on sandbox")
        and "| metric | n | editor alone | team before RL |" in text
    )
    rows = [line for line in text.splitlines() if line.startswith("| l1")]
    assert rows and all(row.split(" | ")[1] == "5" and row.count("[") == 2 for row in rows)


def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(
    command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "out"
    for words, needle in (
        (["arms=editor,agents_rl"], "needs run="),
        (["arms=editors"], "arms=editors is unknown"),
        (["arms=editor", "shard=2", "shards=2"], "shard=2 shards=2"),
        (["arms=editor", "benchmark=mice_text"], "no pictures to edit"),
        (["arms=editor", f"pictures={tmp_path / 'nowhere'}"], "no folder pictures="),
        (["arms=editor", "budget=-1"], "budget=-1"),
        (["arms=editor", "metrics.names=[l3]"], "no metric 'l3'"),
        (["arms=editor", "editor=qwen", f"paths.assets={tmp_path}"], "cannot start here"),
        (["arms=editor", "label=a/b"], "no / in it"),
        (["arms=editor", "gallery=-1"], "gallery=-1 cannot be used"),
        (["arms=editor", "judge=gpt4o", "judge.keys=[]", "judge.rubric=nope"], "there is no judge/rubric=nope"),
    ):
        with pytest.raises(SystemExit) as stop:
            command(*BASE[:4], f"out={out}", *words)
        assert stop.value.code == 2
        assert needle in capsys.readouterr().err.replace("\n", " "), words
        assert not list(out.rglob("*-of-*.jsonl")) and not list(out.rglob("*.png"))
    with pytest.raises(SystemExit):
        command("run=none", "benchmark=sandbox", "samples=2", f"out={out}")
    assert "nothing to judge" in capsys.readouterr().err.replace("\n", " ")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "results.json").write_text('{"accuracy": 1}')
    for other, needle in (
        (tmp_path / "mine", "holds something else (results.json)"),
        (tmp_path / "mine" / "results.json", "is a file"),
    ):
        with pytest.raises(SystemExit) as stop:
            command(*BASE, f"out={other}")
        assert stop.value.code == 2 and needle in capsys.readouterr().err.replace("\n", " ")
    assert (tmp_path / "mine" / "results.json").read_text() == '{"accuracy": 1}'


def test_another_configuration_of_an_arm_needs_a_label(
    command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    words = [*BASE[:-1], f"out={tmp_path / 'out'}", "arms=agents"]
    command(*words)
    with pytest.raises(SystemExit):
        command(*words, "execution=multi")
    said = capsys.readouterr().err.replace("\n", " ")
    assert "other execution" in said and "label=<name>" in said
    assert json.loads((tmp_path / "out" / "results.json").read_text())["execution"] == "single"


def test_a_report_is_written_anew_from_the_rows_alone(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from experiments.report import main as report

    out = tmp_path / "out"
    command(*BASE[:-1], f"out={out}", "arms=editor")
    before = {n: (out / n).read_bytes() for n in ("report.html", "results.json", "table.csv", "table.md", "table.tex")}
    for name in ("report.html", "table.csv"):
        (out / name).unlink()
    report([str(out)])
    assert {n: (out / n).read_bytes() for n in before} == before
