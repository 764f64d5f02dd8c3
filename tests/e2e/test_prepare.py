"""The training set over the real protocol, killed by SIGKILL on the way; then a run that trains on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.labels import MANIFEST, RECORDS, read_records
from tests.e2e.processes import command, last_of_each
from tests.e2e.test_run import arguments, the_run
from tests.judges.chat_server import ChatServer, answer, busy, cut_off, prose, refuse
from tests.labeller import label_of, request_of

PREPARE = "experiments.prepare"
ODD = {  # request -> how the service behaves
    "take odd-busy out": [busy(0), answer()],
    "take odd-prose out": [prose()],
    "take odd-cut out": [cut_off('{"actions": ["Del'), answer()],
    "take odd-words out": [answer("I would rather not say."), answer("Still not.")],
    "take odd-filter out": [refuse("finish")],
}


def requests(folder: Path, n: int = 30) -> Path:
    folder.mkdir()
    Image.new("RGB", (8, 8), "red").save(folder / "a.png")
    rows = [{"id": f"r{i:02}", "instruction": f"take thing {i} out", "image": "a.png"} for i in range(n)]
    rows += [{"id": f"s{i}", "instruction": said} for i, said in enumerate(ODD)]
    (folder / "requests.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    return folder / "requests.jsonl"


def words(data: Path, server: ChatServer, *more: str) -> list[str]:
    judge = [
        "judge.name=test",
        "judge._target_=experiments.build.judges.ChatJudge",
        "judge.model=m-1",
        f"judge.base_url={server.url}",
    ]
    prices = ["judge.price_in=1", "judge.price_out=2", "judge.concurrency=4"]
    return [
        "out=set",
        "sources=[requests]",
        f"requests.path={data}",
        "near=0.99",
        "avoid=[none]",
        "pictures=send",
        *judge,
        *prices,
        *more,
    ]


def service() -> ChatServer:
    return ChatServer(script=ODD, reply=lambda call: label_of(request_of(call.text)))


@pytest.mark.parametrize("kill_at", [5, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 7))])
def test_killed_and_started_again_it_is_the_same_set(kill_at: int, tmp_path: Path) -> None:
    data = requests(tmp_path / "data")
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    with service() as server:
        ended = command(PREPARE, words(data, server), tmp_path / "whole")
        assert ended.code == 0, ended.text
        once = len(server.calls)
    with service() as server:
        assert command(PREPARE, words(data, server), tmp_path / "killed", kill_at=kill_at).code == -9
        assert not (tmp_path / "killed" / "set" / RECORDS).exists()
        ended = command(PREPARE, words(data, server), tmp_path / "killed")
        assert ended.code == 0, ended.text
        # what was answered is kept by the cache even where the kill came before our own note of it; only calls that were
        # on their way, at most one for each connection, may have been made twice
        assert once <= len(server.calls) <= once + 4
        asked = len(server.calls)
        assert command(PREPARE, words(data, server), tmp_path / "killed").code == 0
        assert len(server.calls) == asked  # a finished set asks nothing
        assert all(call.pictures for call in server.calls if "take thing" in call.text)
    one, other = (tmp_path / name / "set" for name in ("whole", "killed"))
    assert (one / RECORDS).read_text() == (other / RECORDS).read_text()
    manifest = json.loads((other / MANIFEST).read_text())
    assert manifest["records"] == 30 + 3
    assert manifest["left_out"] == {"requests: refused by the model": 1, "requests: unreadable reply": 1}
    assert manifest["parts"] == json.loads((one / MANIFEST).read_text())["parts"]


def test_budget_dry_run_and_mistakes_from_the_command_line(tmp_path: Path) -> None:
    data = requests(tmp_path / "data")
    with service() as server:
        ended = command(PREPARE, words(data, server, "dry_run=true"), tmp_path)
        assert ended.code == 0 and "labels: 35 requests" in ended.text and "about $" in ended.text
        assert not server.calls and not (tmp_path / "set").exists()
        # a call has 100 + 20 tokens: 140 millionths of a dollar
        ended = command(PREPARE, words(data, server, "budget=0.003"), tmp_path)
        assert ended.code == 2 and "Traceback" not in ended.text and "goes on from here" in ended.text
        assert 0 < len(server.calls) < 35 and not (tmp_path / "set" / RECORDS).exists()
        ended = command(PREPARE, words(data, server, "budget=0.003"), tmp_path)
        assert ended.code == 2 and len(server.calls) * 0.00014 <= 0.003  # the first start's spending counts
        ended = command(PREPARE, words(data, server, "budget=1"), tmp_path)
        assert ended.code == 0, ended.text
        ended = command(PREPARE, last_of_each([*words(data, server), "sources=[request]"]), tmp_path)
        assert ended.code == 2 and "no 'request'" in ended.text and "Traceback" not in ended.text


@pytest.mark.slow
def test_a_run_trains_on_it(tiny_vlm_path: Path, tmp_path: Path) -> None:
    data = requests(tmp_path / "data")
    with service() as server:
        ended = command(PREPARE, words(data, server), tmp_path)
        assert ended.code == 0, ended.text
    small = ["benchmark=prepared", f"benchmark.path={tmp_path / 'set'}", "algo.steps=1", "scale.test_samples=2"]
    small += ["allow_tiny=true"]  # its pictures are no scenes
    ended = command("experiments.run", arguments(tiny_vlm_path, *small), tmp_path)
    assert ended.code == 0, ended.text
    run = the_run(tmp_path)
    result = json.loads((run / "results.json").read_text())
    assert result["arms"] == {"editor": {}, "agents": {}, "agents_rl": {}}  # decompositions alone are scored
    rows = [json.loads(line) for line in (run / "prepared/decompositions/after/0-of-1.jsonl").read_text().splitlines()]
    made = {r.id: r for r in read_records(tmp_path / "set")}
    assert rows and all(made[r["id"]].part == "test" for r in rows)
    shown = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert shown
    score = [
        f"run={run}",
        "benchmark=prepared",
        f"benchmark.path={tmp_path / 'set'}",
        "part=test",
        "samples=2",
        "out=scores",
        "allow_tiny=true",
    ]
    ended = command("experiments.evaluate", score, tmp_path)
    assert ended.code == 0, ended.text
    scores = json.loads((tmp_path / "scores" / "results.json").read_text())
    assert scores["n"] == 2 and set(scores["decomposition"]) >= {"before", "after"} and scores["arms"] == {}
