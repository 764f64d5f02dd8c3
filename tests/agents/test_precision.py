"""float32 stays float32 in the trainer's process and in vLLM's, whatever vLLM's worker sets for itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from agents.backends import remote, vllm_start
from agents.backends.precision import ENVIRONMENT, exact_float32, is_exact
from agents.backends.vllm_settings import EngineSettings

SETTINGS = EngineSettings("model", "float32", "cuda", {}, {}, (), 1, 2, 10)


@pytest.fixture
def rounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """TF32 everywhere, as another library or the user's own environment may have left it."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]
    for name in ENVIRONMENT:
        os.environ.pop(name, None)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_engine_of_float32_starts_and_leaves_the_process_without_tf32(
    rounded: None, monkeypatch: pytest.MonkeyPatch, dtype: str
) -> None:
    seen: dict[str, Any] = {}

    def worker(settings: EngineSettings) -> str:
        seen["exact"] = is_exact()
        seen["environment"] = {name: os.environ.get(name) for name in ENVIRONMENT}
        torch.set_float32_matmul_precision("high")  # as vLLM's does, where the environment says so
        return "engine"

    monkeypatch.setattr(vllm_start, "_start", worker)
    assert vllm_start.start_engine(replace(SETTINGS, dtype=dtype)) == "engine"
    exact = dtype == "float32"
    assert seen["exact"] == exact == is_exact()
    assert (seen["environment"] == ENVIRONMENT) == exact


def test_an_engine_in_a_process_of_its_own_is_told_before_it_loads_cuda(
    rounded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, str]] = []

    def popen(command: list[str], env: dict[str, str], **_: Any) -> SimpleNamespace:
        started.append(env)
        return SimpleNamespace(pid=1, kill=lambda: None, wait=lambda *_: 0)

    monkeypatch.setattr(remote.subprocess, "Popen", popen)
    monkeypatch.setattr(remote.RemoteEngine, "_ask", lambda *_: None)
    monkeypatch.setenv("VLLM_FLOAT32_MATMUL_PRECISION", "high")  # the user's own word counts
    for dtype in ("float32", "bfloat16"):
        remote.RemoteEngine(replace(SETTINGS, dtype=dtype)).close()
    assert started[0]["TRITON_F32_DEFAULT"] == "ieee" and started[0]["NVIDIA_TF32_OVERRIDE"] == "0"
    assert started[0]["VLLM_FLOAT32_MATMUL_PRECISION"] == "high"
    assert "TRITON_F32_DEFAULT" not in started[1]


def test_the_flags_of_torch_are_off_afterwards(rounded: None, tiny_vlm_path: Path) -> None:
    assert not is_exact()
    exact_float32()
    assert is_exact() and not torch.backends.cuda.matmul.allow_tf32
