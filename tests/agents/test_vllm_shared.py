"""Engines of rollouts are few, are found again, and end with who owns them. A counting stand-in for vLLM's engine holds
copies of real weights, so that they can be told apart."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agents.backends import vllm_shared
from agents.backends.base import Completion, Sampling, SyncReport, fingerprint
from agents.backends.vllm import VLLMBackend
from agents.backends.vllm_graphs import captures_graphs
from agents.backends.vllm_settings import EngineSettings
from agents.backends.vllm_shared import end_engines, engine_of, expected, owned_engines
from agents.backends.vlm import VLM, load_vlm, save_vlm
from common.errors import RunFailed
from tests.agents.test_hf_backend import requests

LIMITS: dict[str, Any] = dict(max_sequences=8, max_tokens=128, cache_gib=1 / 16)


class CountingEngine:
    """Holds copies of weights; its answer is their sum. As the allocator of a GPU does, it refuses a second one that can sleep."""

    started: list[CountingEngine] = []

    def __init__(self, settings: EngineSettings) -> None:
        if settings.sleep and any(e.settings.sleep and not e.closed for e in self.started):
            raise AssertionError("CuMem allocator can only be used for one instance per process.")
        self.settings, self.ready, self.usable, self.closed, self.syncs = settings, False, True, False, 0
        self.held: dict[str, Tensor] = {}
        self.started.append(self)

    def sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        assert not self.closed
        self.held = {name: value.detach().clone() for name, value in named_parameters}
        self.ready, self.syncs = True, self.syncs + 1
        return fingerprint(self.held.items())

    def generate(self, prompts: Any, n: int, sampling: Sampling) -> list[list[Completion]]:
        assert self.ready and not self.closed
        total = float(sum(value.double().sum() for value in self.held.values()))
        return [[Completion((0,), (total,), "", "stop")] * n for _ in prompts]

    def weights(self) -> dict[str, Tensor]:
        return dict(self.held)

    def close(self) -> None:
        self.closed, self.usable, self.ready = True, False, False


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[CountingEngine]]:
    monkeypatch.setattr(vllm_shared, "VLLMEngine", CountingEngine)
    monkeypatch.setattr(vllm_shared, "_engines", {})
    monkeypatch.setattr(CountingEngine, "started", [])
    yield CountingEngine.started


def moved(path: Path, by: float) -> VLM:
    vlm = load_vlm(path)
    with torch.no_grad():
        for p in vlm.model.parameters():
            p.add_(by)
    return vlm


def total(vlm: VLM) -> float:
    return float(sum(p.detach().double().sum() for p in vlm.model.parameters()))


def answer(backend: VLLMBackend) -> float:
    return backend.generate(requests(1), 1, Sampling(4))[0][0].logprobs[0]


def test_every_phase_finds_the_one_engine_though_older_backends_are_still_held(
    engines: list[CountingEngine], tiny_vlm_path: Path
) -> None:
    """Before RL, GRPO, after it and the arms, as a run makes them; sleep=true would fail at a second engine."""
    held = []
    with owned_engines():
        for phase in range(4):
            vlm = moved(tiny_vlm_path, 0.01 * phase)
            backend = VLLMBackend(vlm, **LIMITS, sleep=True)
            assert answer(backend) == pytest.approx(total(vlm))
            held.append((backend, vlm))
        for backend, vlm in held:
            assert answer(backend) == pytest.approx(total(vlm))
        assert len(engines) == 1 and not engines[0].closed
    assert engines[0].closed


@pytest.mark.parametrize("how", [RunFailed, KeyboardInterrupt])
def test_engines_end_with_their_owner_however_that_ends(
    engines: list[CountingEngine], tiny_vlm_path: Path, how: type[BaseException]
) -> None:
    with pytest.raises(how), owned_engines():
        backend = VLLMBackend(load_vlm(tiny_vlm_path), **LIMITS)
        with owned_engines():  # a stage within a run does not own them
            VLLMBackend(load_vlm(tiny_vlm_path), **LIMITS)
        assert not engines[0].closed
        raise how("stopped")
    assert len(engines) == 1 and engines[0].closed
    assert answer(backend) == pytest.approx(total(backend.vlm))  # one that is used again starts another
    assert len(engines) == 2
    end_engines()


def test_an_engine_does_not_end_because_a_backend_is_gone(engines: list[CountingEngine], tiny_vlm_path: Path) -> None:
    with owned_engines():
        backend = VLLMBackend(load_vlm(tiny_vlm_path), **LIMITS)
        del backend
        gc.collect()
        VLLMBackend(load_vlm(tiny_vlm_path), **LIMITS)
        assert len(engines) == 1 and not engines[0].closed


def test_weights_of_a_training_that_ended_with_the_engine_are_never_replaced_by_others(
    engines: list[CountingEngine], tiny_vlm_path: Path
) -> None:
    """The trainer's own may have moved on since the last sync, or be sharded."""
    backend, trained = VLLMBackend(load_vlm(tiny_vlm_path), **LIMITS), moved(tiny_vlm_path, 0.1)
    backend.sync(trained.model.named_parameters())
    assert answer(backend) == pytest.approx(total(trained))
    end_engines()
    with pytest.raises(RunFailed, match="sync them again"):
        answer(backend)
    backend.sync(trained.model.named_parameters())
    assert answer(backend) == pytest.approx(total(trained)) and len(engines) == 2
    end_engines()


def test_engines_of_other_limits_or_in_other_places_are_others(
    engines: list[CountingEngine], tiny_vlm_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart: list[CountingEngine] = []
    monkeypatch.setattr(vllm_shared, "RemoteEngine", lambda s, limit: apart.append(CountingEngine(s)) or apart[-1])
    vlm = load_vlm(tiny_vlm_path)
    with owned_engines():
        here = [VLLMBackend(vlm, **LIMITS | change).engine for change in ({}, {"max_tokens": 64}, {})]
        there = [VLLMBackend(vlm, **LIMITS, separate=True).engine for _ in range(2)]
    assert here[0] is here[2] is not here[1] and there[0] is there[1] is apart[0]
    assert all(engine.closed for engine in engines)


def test_graphs_are_captured_where_a_run_is_long_enough_to_pay_for_the_start() -> None:
    assert not captures_graphs(
        "auto", layers=4, decoding_steps=300 * 96, device="cuda"
    )  # the tiny main job: 29 s of 40
    assert captures_graphs("auto", layers=28, decoding_steps=200 * 512, device="cuda")  # the paper's
    assert captures_graphs(True, 1, 0, "cuda") and not captures_graphs(False, 80, 10**9, "cuda")
    assert not captures_graphs(True, 28, 10**9, "cpu")


def test_the_outermost_owner_says_how_long_the_run_is(
    engines: list[CountingEngine], settings: Callable[..., EngineSettings]
) -> None:
    """Every phase gets the same engine, so that the first one's choice of graphs must be the whole run's."""
    assert expected().decoding_steps == 0
    with owned_engines(1000), owned_engines(5):
        assert expected().decoding_steps == 1000
        assert engine_of(settings(graphs=True)) is engine_of(settings(graphs=False))
    assert expected().decoding_steps == 0 and len(engines) == 1


def test_the_model_that_a_training_saved_takes_the_engine_of_its_start(
    engines: list[CountingEngine], tiny_vlm: VLM, tmp_path: Path
) -> None:
    """Its config.json is not the same text: transformers adds the type of the weights and its own version."""
    save_vlm(tiny_vlm, tmp_path / "saved")
    assert (tmp_path / "saved/config.json").read_text() != (tiny_vlm.path / "config.json").read_text()
    with owned_engines():
        first, second = VLLMBackend(tiny_vlm, **LIMITS), VLLMBackend(load_vlm(tmp_path / "saved"), **LIMITS)
        assert first.engine is second.engine
        config = json.loads((tmp_path / "saved/config.json").read_text())
        config["text_config"]["rope_parameters"]["rope_theta"] = 5e5
        (tmp_path / "saved/config.json").write_text(json.dumps(config))
        assert VLLMBackend(load_vlm(tmp_path / "saved"), **LIMITS).engine is not first.engine


@pytest.fixture
def settings(tiny_vlm_path: Path) -> Callable[..., EngineSettings]:
    from agents.backends.vllm_settings import settings_of

    vlm = load_vlm(tiny_vlm_path)
    return lambda **changes: settings_of(vlm, **{**LIMITS, "max_tokens": 128} | changes)
