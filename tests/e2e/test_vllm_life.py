"""A whole job with rollouts by vLLM that sleep between calls: one engine serves every phase, is awake whenever it is asked, and is
closed at the end. The real engine on the CPU behind a watch that keeps the rules of a GPU's allocator."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.third_party import NAME
from tests.e2e.test_run import arguments, the_run
from tests.tiny_models import build_tiny_vlm

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs `make extra-vllm`"),
]


class Watched:
    """vLLM's engine, which on a CPU has no memory to hand over: as on a GPU, nothing may be asked of it while it sleeps."""

    alive: list[Watched] = []
    naps = starts = 0

    def __init__(self, engine: Any) -> None:
        assert not self.alive, "CuMem allocator can only be used for one instance per process."
        self._inner, self.asleep = engine, set[str]()
        self.alive.append(self)
        Watched.starts += 1

    def __getattr__(self, name: str) -> Any:
        if name in ("step", "add_request"):
            assert not self.asleep, f"{name} while {self.asleep} sleep"
        if name == "collective_rpc":
            assert "weights" not in self.asleep, "new weights for an engine whose weights sleep"
        return getattr(self._inner, name)

    def sleep(self, level: int) -> None:
        assert level == 1 and not self.asleep
        self.asleep = {"weights", "kv_cache"}
        Watched.naps += 1

    def wake_up(self, tags: list[str]) -> None:
        assert set(tags) <= self.asleep
        self.asleep -= set(tags)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Watched]]:
    from agents.backends import vllm_engine

    start, close, read = vllm_engine.start_engine, vllm_engine.VLLMEngine.close, vllm_engine.read_back

    def closed(engine: vllm_engine.VLLMEngine) -> None:
        Watched.alive[:] = [w for w in Watched.alive if w is not engine._engine]
        close(engine)

    def awake(*arguments: Any) -> Any:
        assert "weights" not in Watched.alive[0].asleep, "weights that sleep cannot be read"
        return read(*arguments)

    monkeypatch.setattr(Watched, "starts", 0)
    monkeypatch.setattr(Watched, "naps", 0)
    monkeypatch.setattr(Watched, "alive", [])
    monkeypatch.setattr(vllm_engine, "start_engine", lambda settings: Watched(start(settings)))
    monkeypatch.setattr(vllm_engine, "can_sleep", lambda engine: True)
    monkeypatch.setattr(vllm_engine, "read_back", awake)
    monkeypatch.setattr(vllm_engine.VLLMEngine, "close", closed)
    yield Watched


def words(model: Path, folder: Path) -> list[str]:
    return arguments(
        model, "rollouts=vllm", "rollouts.sleep=true", "sequencer=vlm", "editor=sandbox", "decomposer.max_new_tokens=12",
        "algo.kl_coef=0.01", "scale.pass_at=2", f"paths.outputs={folder}/outputs",
    )  # fmt: skip


@pytest.mark.parametrize("engine", ["torch", "deepspeed"])
def test_one_engine_that_sleeps_serves_a_whole_job_and_ends_with_it(
    watched: type[Watched], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Before RL, its steps, after it, and the arms, whose sequencer asks the model from before RL in turns with the decomposer."""
    from experiments.run import main
    from experiments.runs import cli

    monkeypatch.chdir(tmp_path)
    model = build_tiny_vlm(tmp_path / "model", hidden=128)
    main(cli.typed(cli.compose("run", [*words(model, tmp_path), f"engine={engine}"])))
    assert (the_run(tmp_path) / "results.json").is_file()
    assert watched.starts == 1 and not watched.alive, "one engine, closed at the end"
    assert watched.naps > 10, "it slept after every call"


@pytest.mark.parametrize("rollouts", ["vllm", "hf"])
def test_the_terminal_shows_our_lines_alone(tmp_path: Path, rollouts: str) -> None:
    """What libraries say is in the run's log."""
    model = build_tiny_vlm(tmp_path / "model", hidden=128)
    given = [w for w in words(model, tmp_path) if not w.startswith("rollouts")]
    given += [f"rollouts={rollouts}", "engine=deepspeed"] if rollouts == "vllm" else [f"rollouts={rollouts}"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", *given], capture_output=True, text=True, cwd=tmp_path, timeout=1800,
        env={**__import__("os").environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""
    foreign = [line for line in done.stdout.splitlines() if re.search(FOREIGN, line)]
    assert not foreign, foreign
    log = (the_run(tmp_path) / NAME).read_text() if rollouts == "vllm" else ""
    assert not log or "NUMA" in log or "vllm" in log.lower() or "DeepSpeed" in log


FOREIGN = (
    r"(?i)warning|\[rank|INFO|it/s|\|[█ ]+\||deepspeed|vllm\b(?!=)|NUMA|gloo|c10d|gcc|Loading weights|site-packages"
)
