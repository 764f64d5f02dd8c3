"""The whole command against a judging service that misbehaves, on pictures made elsewhere."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from common.files import read_json
from common.http import JsonClient
from experiments import evaluate
from experiments.evaluation.ledger import budget_left
from experiments.evaluation.rows import read_rows
from experiments.evaluation.shares import Share
from experiments.runs import cli
from judges.rubrics import make_rubric
from tests.judges import chat_server as cs

KEY = "sk-a-key-that-must-be-nowhere"
REQUESTS = [
    "make it red",
    "drop the line",
    "be busy",
    "write prose",
    "refuse this",
    "cut it short",
    "be fine",
    "fail twice",
]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Eight requests and, in `mine/`, an edited picture for each."""
    folder, mine = tmp_path / "photos", tmp_path / "mine"
    folder.mkdir()
    mine.mkdir()
    with (folder / "requests.csv").open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["id", "image", "instruction", "kind"])
        for i, request in enumerate(REQUESTS):
            Image.new("RGB", (48, 32), (20 * i, 90, 120)).save(folder / f"{i}.png")
            Image.new("RGB", (48, 32), (20 * i, 190, 120)).save(mine / f"p{i}.png")
            writer.writerow([f"p{i}", f"{i}.png", request, f"kind{i % 2}"])
    return folder


@pytest.fixture
def command(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setattr(
        JsonClient, "wait_s", lambda *_: 0.01
    )  # how long it really waits is tests/common/test_http.py's

    def call(server: cs.ChatServer, *words: str) -> None:
        own = [f"benchmark.path={photos}", f"out={tmp_path / 'out'}", f"paths.outputs={tmp_path / 'outputs'}"]
        own += [f"judge.base_url={server.url}", "judge.timeout_s=10", "judge.tries=3", "run=none", "benchmark=folder"]
        monkeypatch.setattr(sys, "argv", ["evaluate", *own, *words])
        cli.command("evaluate", evaluate.main, evaluate.FREE_TEXT)

    return call


def test_every_item_ends_scored_or_invalid_with_its_reason_and_the_key_is_nowhere(
    command: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    script = {
        "drop the line": [cs.drop(), cs.answer()],
        "be busy": [cs.busy(0.01), cs.answer()],
        "write prose": [cs.prose()],
        "refuse this": [cs.refuse()],
        "cut it short": [cs.cut_json()],
        "fail twice": [cs.error(500), cs.echo_key(503), cs.answer()],
    }
    words = (f"pictures={tmp_path / 'mine'}", "judge=gpt4o", "judge.max_invalid_share=0.3")
    with cs.ChatServer(script=script, key=KEY) as server:
        command(server, *words)
        asked = len(server.calls)
        rows = read_rows(out / "folder" / "verdicts" / "gpt4o-paper" / "mine")
        assert [r["id"] for r in rows.values()] == [f"p{i}" for i in range(8)]
        invalid = {REQUESTS[k[0]]: r["reason"] for k, r in rows.items() if not r["valid"]}
        assert set(invalid) == {"refuse this", "cut it short"} and all(invalid.values())
        command(server, *words)
        assert len(server.calls) == asked  # what is there is not asked again
        result = read_json(out / "results.json")
        (cell,) = result["table"]["rows"][0]["cells"]
        assert (cell["n"], cell["invalid"], result["partial"]) == (6, 2, False)
        command(
            server, "judge=gemini", "judge.rubric=viescore", "judge.max_invalid_share=0.3"
        )  # the pictures are there
        result = read_json(out / "results.json")
        assert [c["title"] for c in result["table"]["columns"]] == ["gemini (viescore)", "gpt4o (paper)"]
        with pytest.raises(SystemExit):
            command(server, "judge=gpt4o", "judge.seed=1", "judge.max_invalid_share=0.3")
        assert "other seed" in capsys.readouterr().err.replace("\n", " ")
    judged = {c["judge"]["rubric"]: c["judge"] for c in result["judges"]["folder"].values()}
    # what was left to the protocol is recorded as the protocol has it: VIEScore sends no temperature
    assert (judged["paper"]["temperature"], judged["paper"]["repeats"], judged["viescore"]["temperature"]) == (
        0,
        1,
        None,
    )
    assert judged["viescore"]["max_tokens"] == 1400 and judged["paper"]["prompts"] == make_rubric("paper").version
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_a_budget_stops_with_a_report_that_says_partial_and_a_larger_one_goes_on(
    command: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    # 4,000 tokens in at 100 dollars a million: 0.4 dollars a call, so that 1.7 pay for four
    prices = ("judge.price_in=100", "judge.price_out=0", "judge.concurrency=1")
    words = (f"pictures={tmp_path / 'mine'}", "judge=gpt4o", "judge.repeats=1", *prices)
    with cs.ChatServer(script={"": [cs.answer(usage=(4000, 20))]}, key=KEY) as server:
        with pytest.raises(SystemExit) as stop:
            command(server, *words, "budget=1.7")
        said = capsys.readouterr().err.replace("\n", " ")
        assert stop.value.code == 2 and "budget=1.7 is spent" in said and "larger budget=" in said
        result = read_json(out / "results.json")
        done = result["table"]["rows"][0]["cells"][0]["n"]
        assert result["partial"] and done == 4 and result["arms"]["mine"] == {}
        assert "partial" in (out / "table.md").read_text()
        assert len(server.calls) == 4
        with pytest.raises(SystemExit):  # what was spent before counts: nothing is left of it
            command(server, *words, "budget=1.7")
        assert len(server.calls) == 4
        with pytest.raises(SystemExit):  # 1.6 are spent, 0.9 are left
            command(server, *words, "budget=2.5")
        assert len(server.calls) == 6
        command(server, *words, "budget=10")
        result = read_json(out / "results.json")
        assert not result["partial"] and result["arms"]["mine"]["folder"]["n"] == 8
        assert len(server.calls) == 8
        assert result["cost"]["folder"]["judges"]["gpt4o-paper"]["dollars"] == pytest.approx(3.2)
    assert json.loads((out / "results.json").read_text())["benchmarks"]["folder"]["ids"] == [f"p{i}" for i in range(8)]


def test_a_budget_is_shared_by_shards_and_starts(tmp_path: Path) -> None:
    def note(share: str, *dollars: float) -> None:
        rows = "".join(json.dumps({"items": 1, "dollars": d}) + "\n" for d in dollars)
        (tmp_path / f"usage-{share}.jsonl").write_text(rows)

    assert [budget_left(8.0, tmp_path, Share(k, 2)) for k in (0, 1)] == [4.0, 4.0]
    note("0-of-1", 1.0, 1.0)  # before there were two shards: (8 - 2) / 2 are left for each
    note("0-of-2", 2.5)
    assert [budget_left(8.0, tmp_path, Share(k, 2)) for k in (0, 1)] == [0.5, 3.0]
    assert budget_left(8.0, tmp_path, Share()) == 3.5  # 8 - 2.5 - 2
    assert budget_left(1.0, tmp_path, Share()) == 0.0
