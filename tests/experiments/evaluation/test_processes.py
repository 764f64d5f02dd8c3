"""Several processes of this machine on one evaluation, by the real command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import RunFailed
from common.files import read_json
from conf.schema import EvaluateConfig
from experiments.evaluation import shards
from experiments.evaluation.resolve import chosen_arms, resolve
from experiments.evaluation.rows import read_rows
from experiments.evaluation.spec_file import read_spec, write_spec
from experiments.runs import cli
from experiments.runs.given import given_words

ROOT = Path(__file__).parents[3]
WORDS = (
    "run=none",
    "benchmark=sandbox",
    "editor=sandbox",
    "samples=7",
    "chunk=1",
    "arms=all",
    "decomposer.max_new_tokens=8",
)


def start(out: Path, vlm: Path, *words: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "experiments.evaluate",
        *WORDS,
        f"decomposer.checkpoint={vlm}",
        f"out={out}",
        *words,
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=ROOT, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes)  # type: ignore[call-overload,no-any-return]


@pytest.mark.slow
def test_local_processes_stop_together_and_go_on_in_another_number(tiny_vlm_path: Path, tmp_path: Path) -> None:
    once, out = tmp_path / "once", tmp_path / "out"
    assert start(once, tiny_vlm_path).wait() == 0
    process = start(out, tiny_vlm_path, "launcher=torchrun", "launcher.processes=3")
    while process.poll() is None and not list(out.glob("sandbox/edits/*/*-of-3.jsonl")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert process.returncode == 130 and "the same command goes on" in said.replace("\n", " "), said
    process = start(out, tiny_vlm_path, "launcher=torchrun", "launcher.processes=2")
    said, _ = process.communicate()
    assert process.returncode == 0, said
    for kind in ("edits", "verdicts/sandbox"):
        for arm in ("editor", "agents"):
            whole, parts = (read_rows(o / "sandbox" / kind / arm) for o in (once, out))
            assert [r | {"seconds": 0} for r in parts.values()] == [r | {"seconds": 0} for r in whole.values()]
            lines = sum(f.read_text().count("\n") for f in (out / "sandbox" / kind / arm).glob("*.jsonl"))
            assert lines == 7
    mine, its = (read_json(o / "results.json") for o in (out, once))
    assert mine["table"] == its["table"] and not mine["partial"]


def test_what_was_asked_reaches_a_worker_as_it_was_with_its_part(tmp_path: Path) -> None:
    words = [
        "run=none",
        "arms=editor",
        "benchmark=sandbox",
        "editor=sandbox",
        "launcher=torchrun",
        "launcher.processes=4",
        "shard=1",
        "shards=2",
    ]
    config = cli.typed(cli.compose("evaluate", [*words, f"out={tmp_path}", "label=a"]))
    assert given_words() == []
    spec = resolve(config, words)
    write_spec(spec, tmp_path / "spec.json")
    parts = [read_spec(tmp_path / "spec.json", j) for j in range(4)]
    # blocks 1, 3, 5, ... of two shards, each fourth of them
    assert [(p.share.shard, p.share.shards) for p in parts] == [(1, 8), (3, 8), (5, 8), (7, 8)]
    assert all(replace(p, share=spec.share) == spec for p in parts) and parts[0].named("x") == "a/x"


def test_a_worker_that_dies_is_told_with_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = cli.typed(cli.compose("evaluate", ["run=none", "benchmark=sandbox", f"out={tmp_path}"]))
    spec = resolve(config, ["launcher=torchrun", "launcher.processes=2"])
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho error: no memory left\nexit 2\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(RunFailed, match=r"(?s)exit code 2.*the same command goes on.*no memory left"):
        shards.run_shards(spec, 1)


def test_arms_are_named_one_by_one_in_either_spelling() -> None:
    for said in ("editor,agents", "[agents, editor]", ["agents", "editor"]):
        assert chosen_arms(EvaluateConfig(arms=said), has_run=False) == (("editor", "agents"), False)
    assert chosen_arms(EvaluateConfig(arms="all"), has_run=False) == (("editor", "agents"), True)
    assert chosen_arms(EvaluateConfig(arms="all"), has_run=True) == (("editor", "agents", "agents_rl"), True)
    assert chosen_arms(EvaluateConfig(), has_run=True) == ((), True)
