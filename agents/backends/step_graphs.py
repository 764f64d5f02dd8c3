"""CUDA graphs of decoding steps: recorded once per bucket, replayed for every token.

A graph reads and writes the addresses that it was recorded with. Weights that are changed in place (an optimiser's step, a weight
sync) are seen by the next replay; where a parameter has become another tensor, all graphs are dropped and recorded again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch

from agents.backends.vlm import VLM
from common.progress import say

WARM_UPS = 2  # runs before a capture: libraries choose kernels and allocate workspaces in them


class StepGraphs:
    """Graphs by key. `cuda` is `torch.cuda`, or what stands in for it in a test."""

    def __init__(self, cuda: Any = torch.cuda) -> None:
        self.cuda = cuda
        self.failed = False
        self._graphs: dict[Hashable, Any] = {}
        self._pool: Any = None
        self._side: Any = None  # one stream for all captures: libraries keep a workspace for each
        self._weights: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self._graphs)

    def run(self, key: Hashable, work: Callable[[], None], capture: bool = True) -> None:
        """Do `work`, by its graph where there is one or `capture` asks for one. `work` must do the same whenever it is repeated,
        in buffers that stay where they are. Where capturing fails, this and all later ones are run by Python, and one
        line says why."""
        graph = self._graphs.get(key)
        if graph is None and capture and not self.failed:
            graph = self._captured(key, work)
        if graph is None:
            work()
        else:
            graph.replay()

    def check(self, vlm: VLM) -> None:
        """Drop all graphs if a weight that a step reads is not where it was when they were recorded."""
        model: Any = vlm.model
        weights = tuple(p.data_ptr() for part in (model.model.language_model, model.lm_head) for p in part.parameters())
        if weights != self._weights:
            self.drop()
            self._weights = weights

    def drop(self) -> None:
        self._graphs.clear()
        self._pool = None

    def _captured(self, key: Hashable, work: Callable[[], None]) -> Any:
        cuda = self.cuda
        try:
            self._pool = self._pool or cuda.graph_pool_handle()
            side = self._side = self._side or cuda.Stream()
            side.wait_stream(cuda.current_stream())
            with cuda.stream(side):
                for _ in range(WARM_UPS):
                    work()
            cuda.current_stream().wait_stream(side)
            graph = cuda.CUDAGraph()
            # thread_local: another thread may train meanwhile (algo.max_offpolicy_steps), and its allocations are no error
            with cuda.graph(graph, pool=self._pool, stream=side, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:  # also CUDA's own errors and a full memory
            self.failed = True
            self.drop()
            why = (str(error).strip() or type(error).__name__).partition("\n")[0]
            say(
                f"rollouts=hf: no CUDA graph could be captured ({why}); decoding steps are run by Python, which is slower"
            )
            return None
        self._graphs[key] = graph
        return graph


__all__ = ["StepGraphs"]
