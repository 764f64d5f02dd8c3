"""rollouts=vllm and rollouts=auto: what is chosen where, and what is said where vLLM is missing."""

import sys
from pathlib import Path

import pytest

from agents.backends.decode import SharedRows
from agents.backends.hf import HFBackend
from agents.backends.static_rows import StaticRows
from agents.backends.vllm import VLLMBackend
from agents.backends.vlm import load_vlm
from common.errors import BadInput, MissingFile
from experiments.build.rollouts import AutoRollouts, HFRollouts, VLLMRollouts, make_backend
from experiments.preflight import machine
from experiments.preflight.machine import missing_of
from experiments.preflight.run import preflight
from experiments.runs import cli
from experiments.runs.identity import identity


def without_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    for name in [m for m in sys.modules if m.partition(".")[0] == "vllm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "vllm", None)  # what an import finds where it is not installed


@pytest.mark.parametrize(
    ("device", "installed", "chosen"),
    [("cuda", True, "vllm"), ("cuda", False, "hf"), ("cpu", True, "hf"), ("cpu", False, "hf")],
)
def test_auto_takes_vllm_on_a_gpu_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, device: str, installed: bool, chosen: str
) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: object() if installed else None)
    assert AutoRollouts().resolve(device).name == chosen
    assert VLLMRollouts().resolve(device).name == "vllm"


def test_a_missing_vllm_is_said_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tiny_vlm_path: Path) -> None:
    without_vllm(monkeypatch)
    (line,) = missing_of(VLLMRollouts())
    assert "make extra-vllm" in line and not missing_of(AutoRollouts())
    with pytest.raises(MissingFile, match="make extra-vllm"):
        preflight(cli.typed(cli.compose("run", ["rollouts=vllm"])))
    with pytest.raises(MissingFile, match="make extra-vllm"):
        VLLMBackend(load_vlm(tiny_vlm_path))


def test_a_backend_is_made_from_the_configuration(tiny_vlm_path: Path) -> None:
    vlm = load_vlm(tiny_vlm_path)
    backend = make_backend(AutoRollouts(batch_size=7), vlm)  # on a CPU
    assert isinstance(backend, HFBackend) and backend.max_sequences == 7
    assert isinstance(backend.loop, SharedRows)
    assert isinstance(make_backend(HFRollouts(graphs=True), vlm).loop, StaticRows)  # type: ignore[union-attr]
    assert AutoRollouts(graphs=False).resolve("cpu").graphs is False
    chosen = cli.typed(cli.compose("run", ["rollouts=hf", "rollouts.graphs=false"]))
    assert chosen.rollouts.graphs is False
    with pytest.raises(BadInput, match="graphs"):
        cli.typed(cli.compose("run", ["rollouts=hf", "rollouts.graphs=perhaps"]))
    with pytest.raises(BadInput, match="choose inside, separate"):
        cli.typed(cli.compose("run", ["rollouts=vllm", "rollouts.process=elsewhere"]))
    with pytest.raises(BadInput, match="must be"):
        make_backend(VLLMRollouts(cache_gib=0.0), vlm)
    with pytest.raises(BadInput, match=r"rollouts\.batch_size"):
        cli.typed(cli.compose("run", ["rollouts=vllm", "rollouts.batch_size=0"]))


def test_a_run_is_defined_by_what_auto_chose_and_not_by_where_the_engine_runs() -> None:
    def of(*overrides: str) -> dict:
        return identity(cli.typed(cli.compose("run", ["engine.device=cpu", *overrides])))

    assert of("rollouts=auto") == of("rollouts=hf") != of("rollouts=vllm")
    assert of("rollouts=vllm") == of("rollouts=vllm", "rollouts.process=separate", "rollouts.cache_gib=1")
