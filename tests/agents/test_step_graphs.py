"""CUDA graphs of decoding steps, with a stand-in for CUDA: what is recorded is replayed on the very tensors of the recording."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from agents.backends.base import Sampling
from agents.backends.hf import HFBackend
from agents.backends.static_rows import StaticRows
from agents.backends.step_graphs import WARM_UPS, StepGraphs
from agents.backends.vlm import VLM
from tests.agents.test_hf_backend import requests
from tests.agents.test_static_rows import close
from tests.tiny_models import both_families


class Recording(TorchDispatchMode):
    """Like a graph: `replay` repeats the recorded operations on the addresses that they had, whatever Python would do now."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said = said
        self.ops: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        self.ops.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        self.said.append("replay")
        for func, args, kwargs, out in self.ops:
            for old, new in zip(tree_leaves(out), tree_leaves(func(*args, **kwargs)), strict=True):
                if (
                    isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr()
                ):  # else a view, or written in place
                    old.copy_(new)


class Stream:
    def __init__(self, name: str, said: list[str]) -> None:
        self.name, self.said = name, said

    def wait_stream(self, other: Stream) -> None:
        self.said.append(f"{self.name} waits for {other.name}")


class StandIn:
    """The names of `torch.cuda` that are used; `said` is what was asked of it, in order."""

    def __init__(self, error: str = "") -> None:
        self.said: list[str] = []
        self.error = error
        self.main = Stream("main", self.said)

    def graph_pool_handle(self) -> str:
        return "pool"

    def Stream(self) -> Stream:  # noqa: N802
        return Stream("side", self.said)

    def current_stream(self) -> Stream:
        return self.main

    def CUDAGraph(self) -> Recording:  # noqa: N802
        return Recording(self.said)

    @contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        self.said.append(f"on {stream.name}")
        yield
        self.said.append("off")

    @contextmanager
    def graph(self, graph: Recording, pool: str, stream: Stream, capture_error_mode: str) -> Iterator[None]:
        if self.error:
            raise RuntimeError(self.error)
        self.said.append(f"capture on {stream.name} into {pool}, {capture_error_mode}")
        with graph:
            yield


def with_graphs(vlm: VLM, cuda: StandIn) -> HFBackend:
    backend = HFBackend(vlm)
    backend.loop = StaticRows(vlm, StepGraphs(cuda))
    return backend


def test_a_step_is_warmed_up_on_a_side_stream_captured_once_and_replayed() -> None:
    cuda, total, amount = StandIn(), torch.zeros(2), torch.ones(2)
    graphs, runs = StepGraphs(cuda), []

    def work() -> None:
        runs.append(1)
        total.copy_(2 * amount)

    graphs.run("a", work)
    assert cuda.said == [
        "side waits for main", "on side", "off", "main waits for side", "capture on side into pool, thread_local", "replay",
    ]  # fmt: skip
    assert len(runs) == WARM_UPS + 1
    amount.fill_(5)
    graphs.run("a", work)
    assert total.tolist() == [10, 10] and cuda.said[6:] == ["replay"] and len(runs) == WARM_UPS + 1
    graphs.run("b", work, capture=False)
    assert len(graphs) == 1 and len(runs) == WARM_UPS + 2


def test_torch_has_what_the_stand_in_stands_for() -> None:
    inspect.signature(torch.cuda.graph).bind(None, pool=None, stream=None, capture_error_mode="thread_local")
    assert all(hasattr(torch.cuda, name) for name in ("graph_pool_handle", "Stream", "current_stream", "stream"))
    assert hasattr(torch.cuda.CUDAGraph, "replay")


@both_families
def test_replayed_steps_draw_the_same_and_see_new_weights(tiny_vlm: VLM) -> None:
    cuda, sampling = StandIn(), Sampling(18, seed=2)
    graphs = with_graphs(tiny_vlm, cuda)

    def check(n: int = 2) -> list[str]:
        """What a call asks of CUDA, whose answers are those without graphs."""
        before = len(cuda.said)
        answers = graphs.generate(requests(4), n, sampling)
        assert close(answers, HFBackend(tiny_vlm).generate(requests(4), n, sampling))
        return cuda.said[before:]

    assert check().count("replay") == 17
    assert check() == ["replay"] * 17
    with torch.no_grad():  # as an optimiser and a weight sync do
        for p in tiny_vlm.model.parameters():
            p.mul_(1.1)
    assert check() == ["replay"] * 17
    layer = tiny_vlm.model.model.language_model.layers[1].mlp.up_proj
    held, layer.weight = layer.weight, torch.nn.Parameter(layer.weight.detach() * -1)
    assert sum(s.startswith("capture") for s in check()) == 1  # the graph still reads `held`
    assert held is not layer.weight
    assert sum(s.startswith("capture") for s in check(n=5)) == 1  # more rows than there is room for
    assert check() != ["replay"] * 17 and check(n=5) == ["replay"] * 17  # a smaller bucket, in the larger buffers


def test_a_capture_that_fails_is_said_once_and_answers_are_the_same(
    tiny_vlm: VLM, capsys: pytest.CaptureFixture[str]
) -> None:
    backend, sampling = with_graphs(tiny_vlm, StandIn("operation not permitted\nmore")), Sampling(17, seed=1)
    for _ in range(2):
        assert close(backend.generate(requests(2), 1, sampling), HFBackend(tiny_vlm).generate(requests(2), 1, sampling))
    said = capsys.readouterr().out
    assert said.count("no CUDA graph could be captured (operation not permitted)") == 1 and "more" not in said


def test_a_large_cache_is_freed_after_the_call_with_its_graphs(tiny_vlm: VLM) -> None:
    cuda, backend = StandIn(), HFBackend(tiny_vlm)
    backend.loop = loop = StaticRows(tiny_vlm, StepGraphs(cuda), keep_bytes=0)
    for calls in (1, 2):
        backend.generate(requests(1), 1, Sampling(16))
        assert sum(s.startswith("capture") for s in cuda.said) == calls and loop.step is None


def test_short_answers_are_not_worth_a_capture(tiny_vlm: VLM) -> None:
    cuda = StandIn()
    with_graphs(tiny_vlm, cuda).generate(requests(1), 1, Sampling(4))
    assert cuda.said == []
