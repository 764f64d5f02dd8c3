"""Sweeps as a user starts them: jobs in processes, interrupted, killed and started again; shared phases against unshared ones."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from common.files import read_json, write_text
from common.jsonl import read_jsonl
from experiments.evaluation.rows import read_rows
from tests.e2e.processes import command
from tests.e2e.test_run import arguments

ROOT = Path(__file__).parents[2]
LIMIT_S = 900  # a machine may be busy; nothing is measured

# A job of two stages that takes no model: the first is shared by jobs that differ in execution= alone.
STAGES = """
    import time
    from pathlib import Path

    from common.files import write_json
    from experiments.runs.stages import Stage


    class Count(Stage):
        name = "count"
        uses = frozenset()
        leaves = ("count.json",)

        def done(self, run):
            return (run.folder / "count.json").is_file()

        def indifferent(self, values):
            return {"execution": "it is not looked at"}

        def run(self, run):
            run.enter("counting")
            if run.config.seed == 13:
                raise RuntimeError("thirteen is unlucky")
            with Path("calls.txt").open("a") as calls:
                calls.write(f"{run.config.seed}\\n")
            while run.config.seed == 7 and not Path("go").exists():
                time.sleep(0.1)
            write_json(run.folder / "count.json", run.config.seed)


    class Result(Stage):
        name = "result"
        uses = frozenset()

        def done(self, run):
            return (run.folder / "results.json").is_file()

        def run(self, run):
            times = {"time_s": {"train": 0.0, "evaluate": 0.0}}
            write_json(run.folder / "results.json", times | {"arms": {}, "decomposition": {}, "value": run.config.seed})

        def objective(self, run):
            return "value"
"""


@pytest.fixture
def started(tmp_path: Path) -> Any:
    """Starts a sweep in a folder of its own, where `calls.txt` has a line for each time that the first stage worked."""
    write_text(tmp_path / "two_stages.py", textwrap.dedent(STAGES))
    running: list[subprocess.Popen[str]] = []

    def start(*words: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(ROOT), str(tmp_path)])
        given = ["-m", "job=[two_stages.Count,two_stages.Result]", "paths.outputs=outputs", *words]
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.run", *given],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()


def calls(folder: Path) -> list[str]:
    return (folder / "calls.txt").read_text().split() if (folder / "calls.txt").is_file() else []


def states(folder: Path) -> list[str]:
    return sorted(read_json(p)["state"] for p in folder.glob("outputs/main-*/status.json"))


def wait_for(condition: Any) -> None:
    until = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow
def test_a_grid_shares_goes_on_after_a_failure_and_is_not_repeated(started: Any, tmp_path: Path) -> None:
    words = ("seed=1,13", "execution=single,multi", "sweep.max_parallel=2")
    first = started(*words)
    text = first.communicate(timeout=LIMIT_S)[0]
    assert first.returncode != 0 and "2 job(s) of the sweep failed" in text, text
    assert re.search(r"seed=13 execution=single: failed after .*RuntimeError: thirteen is unlucky", text), text
    assert len(re.findall(r"seed=1 execution=\w+: finished in .*, score 1\b", text)) == 2, text
    assert calls(tmp_path) == ["1"]  # the second job with seed 1 took it from the first
    assert states(tmp_path) == ["failed", "failed", "finished", "finished"]
    errors = [p.read_text() for p in tmp_path.glob("outputs/main-*/error.txt")]
    assert len(errors) == 2 and all("RuntimeError: thirteen is unlucky" in e and "Traceback" in e for e in errors)
    again = started(*words)
    text = again.communicate(timeout=LIMIT_S)[0]
    assert again.returncode != 0 and text.count("finished before, score 1") == 2 and calls(tmp_path) == ["1"], text


@pytest.mark.slow
@pytest.mark.parametrize("how", ["ctrl-c", "kill -9"])
def test_a_sweep_that_was_ended_does_what_is_missing_and_nothing_else(started: Any, tmp_path: Path, how: str) -> None:
    words = ("seed=1,7,2",)
    first = started(*words)
    wait_for(lambda: "7" in calls(tmp_path))
    first.send_signal(signal.SIGINT if how == "ctrl-c" else signal.SIGKILL)
    text = first.communicate(timeout=LIMIT_S)[0]
    assert first.returncode == (130 if how == "ctrl-c" else -9), text
    wait_for(lambda: states(tmp_path) == ["finished", "stopped"])  # the job was told, also by nobody
    (tmp_path / "go").touch()
    again = started(*words)
    text = again.communicate(timeout=LIMIT_S)[0]
    assert again.returncode == 0 and "finished before" in text, text
    assert calls(tmp_path) == ["1", "7", "7", "2"] and states(tmp_path) == ["finished"] * 3


@pytest.mark.slow
def test_sixty_words_in_a_real_sweep(started: Any, tmp_path: Path) -> None:
    counts = [f"sessions.actions.{k}={i}.5" for i, k in enumerate(("add", "replace", "recolor", "material", "move"))]
    more = [f"scale.needs.{k}=0.0" for k in ("gpu_memory_gib", "memory_gib", "disk_gib")]
    algo = ["lr", "weight_decay", "max_grad_norm", "clip_low", "clip_high", "kl_coef", "entropy_coef", "tis_cap"]
    algo += ["temperature", "decay_share", "advantage_clip"]
    rest = [f"algo.{k}=0.123456789" for k in algo] + [f"algo.sft.{k}=0.01" for k in ("lr", "weight_decay")]
    rest += [f"benchmark.kinds.{k}=1.25" for k in ("direct", "paraphrased", "indirect", "multi_step")]
    rest += [f"algo.pool.{k}=0.25" for k in ("new_share", "lowest", "highest", "passed")]
    rest += [f"reward.weights.{k}=0.125" for k in ("format", "action", "subject", "goal", "linked", "soft", "exact")]
    rest += [f"algo.{k}=3" for k in ("steps", "prompts_per_step", "group_size", "warmup_steps", "updates_per_batch")]
    rest += [f"algo.{k}=4" for k in ("micro_batch_size", "checkpoint_every", "keep_checkpoints", "kl_log_sequences")]
    rest += [
        f"scale.{k}=5" for k in ("test_samples", "complex_samples", "complex_pictures", "pass_at", "test_seed", "chunk")
    ]
    rest += ["engine.threads=1", "engine.device=cpu", "verbose=false", "scale.strips=1", "algo.sft.batch_size=2"]
    rest += ["unlike.picture=0.5", "unlike.words=0.5", "scale.pass_samples=5", "rollouts.batch_size=9"]
    words = [*counts, *more, *rest]
    assert len(words) >= 60 - 3  # with those that every sweep here has
    sweep = started(*words, "seed=1,2", "judge.max_invalid_share=0.5")
    text = sweep.communicate(timeout=LIMIT_S)[0]
    assert sweep.returncode == 0 and text.count("finished in") == 2, text
    assert all(len(p.name) < 80 for p in tmp_path.rglob("*"))


def everything(folder: Path, execution: str) -> dict[str, Any]:
    """All that a run found out: scores, training, answers, edits, verdicts, pictures."""
    (run,) = (
        p.parent for p in (folder / "outputs").glob("*/config.yaml") if f"name: {execution}\n" in p.read_text()
    )  # fmt: skip
    values = json.loads((run / "results.json").read_text())
    values.pop("time_s")
    rows = {
        str(p.relative_to(run)): [{k: v for k, v in r.items() if k != "seconds"} for r in read_rows(p).values()]
        for p in sorted({q.parent for q in run.glob("sandbox*/**/0-of-1.jsonl")})
    }
    times = ("time/", "memory/", "tokens_per_s")
    steps = [{k: v for k, v in r.items() if not k.startswith(times)} for r in read_jsonl(run / "metrics.jsonl")]
    pictures = {str(p.relative_to(run)): p.read_bytes() for p in sorted(run.glob("sandbox*/**/*.png"))}
    weights = (run / "decomposer" / "model.safetensors").read_bytes()
    return {"scores": values, "rows": rows, "steps": steps, "pictures": pictures, "weights": weights}


@pytest.mark.slow
def test_shared_runs_find_out_what_unshared_ones_do(tiny_vlm_path: Path, tmp_path: Path) -> None:
    words = arguments(tiny_vlm_path, "algo.sft.steps=2", "algo.sft.batch_size=2", "scale.pass_at=2", "editor=sandbox")
    together, apart = tmp_path / "together", tmp_path / "apart"
    for folder, more in ((together, ["share=true"]), (apart, ["share=false"])):
        folder.mkdir()
        for execution in ("single", "multi"):
            ended = command("experiments.run", [*words, f"execution={execution}", *more], folder)
            assert ended.code == 0, ended.text
    assert "grpo: taken from" in (together / "output.log").read_text()
    assert "taken from" not in (apart / "output.log").read_text() and not (apart / "outputs" / "shared").exists()
    for execution in ("single", "multi"):
        one, other = everything(together, execution), everything(apart, execution)
        assert one.keys() == other.keys() and one["rows"] and one["pictures"]
        for part in one:
            assert one[part] == other[part], part
    (note,) = (together / "outputs").glob("*/shared.json")
    assert {"supervised", "grpo", "sandbox-decompositions-before", "sandbox-edits-editor"} <= set(read_json(note))
