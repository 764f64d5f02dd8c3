"""Settings of engine and launcher that contradict each other are refused; rows of workers are read whole and once."""

from __future__ import annotations

import importlib.util
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agents.backends.hf import HFBackend
from common.errors import BadInput
from conf.schema import RunConfig
from experiments.build.decomposers import make_vlm
from experiments.build.engines import check_engine, make_engine
from experiments.preflight import machine
from experiments.preflight.machine import missing_of, one_process
from experiments.runs.cli import check, compose, typed
from experiments.runs.identity import config_text, identity, load_config, run_hash
from experiments.runs.launch import new_rows, torchrun
from rl.engine.process_group import leave
from rl.parts import TextTools
from rl.policies.lora import Lora
from rl.policies.text import TextPolicy

needs_deepspeed = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None, reason="needs `make extra-deepspeed`"
)


def config(*words: str) -> RunConfig:
    return typed(compose("run", list(words)))


@pytest.mark.parametrize(
    ("words", "needle"),
    [
        (["engine.stage=2"], "no key 'engine.stage'"),
        (["engine=deepspeed", "engine.stage=4"], "engine.stage=4 cannot be used"),
        (["engine=deepspeed", "engine.stage=0", "engine.offload_optimizer=true"], "shards nothing"),
        (["launcher.processes=2"], "launcher=torchrun"),
        (["launcher=torchrun"], "engine=deepspeed"),
        (["engine=deepspeed", "launcher=torchrun", "launcher.processes=0"], "1 or more"),
        (["engine=deepspeed", "launcher=torchrun", "launcher.processes=17"], "algo.prompts_per_step=16"),
        (["engine=deepspeed", "launcher=torchrun", "launcher.nodes=2"], "host:port"),
        (["engine=deepspeed", "launcher=torchrun", "launcher.rendezvous=here:29500"], "need both"),
        (["engine=deepspeed", "launcher=torchrun", "launcher.nodes=9", "launcher.rendezvous=here:29500"], "9 machines"),
        (["engine=deepspeed", "engine.gather_mib=0"], "gather_mib"),
        (["engine=deepspeed", "engine.stage=0", "decomposer.dtype=bfloat16"], "engine.stage 1, 2 or 3"),
        (["engine=deepspeed", "decomposer.dtype=float16"], "trains float32"),
    ],
)
def test_contradictions_are_named(words: list[str], needle: str) -> None:
    with pytest.raises(BadInput, match=needle):
        c = config(*words)
        check_engine(c.engine, c.launcher, c.algo, c.decomposer.dtype)


def tools(c: RunConfig) -> TextTools:
    """What a job gives to its algorithm, without samples and rewards."""
    nothing: Any = None
    return TextTools(
        load=lambda: make_vlm(c.decomposer, c.engine),
        engine=partial(make_engine, c.engine),
        sharded=not c.engine.whole_weights,
        backend=HFBackend,
        sample=nothing,
        to_request=nothing,
        reward=nothing,
        anchors=None,
        max_new_tokens=8,
        seed=0,
    )


@pytest.mark.parametrize("engine", ["torch", pytest.param("deepspeed", marks=needs_deepspeed)])
def test_the_keys_reach_the_engine(tiny_vlm_path: Path, engine: str) -> None:
    words = ["algo.lora.rank=4", "algo.lora.alpha=8", "algo.gradient_checkpointing=true", "algo.frozen_vision=false"]
    if engine == "deepspeed":
        words += ["engine.stage=1", "engine.offload_optimizer=true", "decomposer.dtype=bfloat16"]
    c = config(f"engine={engine}", "engine.device=cpu", f"decomposer.checkpoint={tiny_vlm_path}", *words)
    try:
        training = c.algo.build(tools(c))
        made, rollouts = training.engine, training.vlm
        policy: TextPolicy = made.policy  # type: ignore[attr-defined]
        assert policy.lora == Lora(4, 8) and not policy.frozen_vision
        assert policy.model.is_gradient_checkpointing
        assert str(policy.model.dtype) == f"torch.{c.decomposer.dtype}"
        assert rollouts is not policy.vlm  # they get merged weights
        report = HFBackend(rollouts).sync(made.named_parameters())
        assert report.names == len(dict(rollouts.model.named_parameters()))
        if engine == "deepspeed":
            assert made.ds.zero_optimization_stage() == 1 and made.ds.zero_cpu_offload()  # type: ignore[attr-defined]
    finally:
        leave()


@pytest.mark.parametrize("stage", range(4))
def test_what_fits_together_passes(stage: int) -> None:
    c = config("engine=deepspeed", f"engine.stage={stage}", "launcher=torchrun", "launcher.processes=8")
    check_engine(c.engine, c.launcher, c.algo)


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="engine.stage"):
        check("run", ["engine=deepspeed", "engine.stages=3"])


def test_commands_of_one_process_refuse_other_engines() -> None:
    with pytest.raises(BadInput, match="engine=torch"):
        one_process(config("engine=deepspeed").engine, "experiments.pretrain")


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    assert any("make extra-deepspeed" in line for line in missing_of(config("engine=deepspeed").engine))
    assert not missing_of(config().engine)


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "gpu_memories", lambda: [1, 1])
    four = config("engine=deepspeed", "launcher=torchrun", "launcher.processes=4").launcher
    assert any("this machine has 2" in line for line in missing_of(four))


def test_stage_and_processes_do_not_define_a_run(tiny_vlm_path: Path) -> None:
    given = f"decomposer.checkpoint={tiny_vlm_path}"
    two = ["engine=deepspeed", "engine.stage=3", "launcher=torchrun", "launcher.processes=4"]
    hashes = {run_hash(identity(config(given, *words))) for words in (["engine=deepspeed"], two)}
    assert len(hashes) == 1 and run_hash(identity(config(given))) not in hashes


def test_workers_read_what_was_composed(tmp_path: Path) -> None:
    c = config("engine=deepspeed", "launcher=torchrun", "launcher.processes=3", "seed=5")
    (tmp_path / "workers.yaml").write_text(config_text(c))
    assert load_config(tmp_path, "workers.yaml") == c
    assert "--nproc-per-node=3" in torchrun(c, tmp_path, "grpo") and torchrun(c, tmp_path, "grpo")[-2:] == [
        str(tmp_path),
        "grpo",
    ]


def test_rows_are_read_whole_and_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = new_rows(path)
    assert next(rows) == []
    path.write_text(json.dumps({"step": 1}) + "\n" + '{"st')
    assert next(rows) == [{"step": 1}] and next(rows) == []
    with path.open("a") as f:
        f.write('ep": 2}\n')
    assert next(rows) == [{"step": 2}]
    path.write_text(json.dumps({"step": 1}) + "\n")  # cut by a training that went back to its checkpoint
    assert next(rows) == [{"step": 1}]
