"""What generates completions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from common.parts import Machine, Part, incidental
from common.ranges import number
from conf.parts import build
from experiments.preflight.machine import has_package

if TYPE_CHECKING:
    from agents.backends.base import Backend
    from agents.backends.hf import HFBackend
    from agents.backends.vllm import VLLMBackend
    from agents.backends.vlm import VLM


@dataclass(frozen=True)
class RolloutTools:
    vlm: VLM  # whose completions are drawn


@dataclass
class HFRollouts(Part):
    """Transformers' models in the training process, with decoding loops of this project."""

    name: str = "hf"
    batch_size: int = number(128, 1, 100_000)  # sequences generated together
    # CUDA graphs. hf: auto is true on a GPU and false on a CPU. vllm: a start 35 to 45 s slower, faster steps; auto: for long runs
    # (agents/backends/vllm_graphs.py)
    graphs: Literal["auto", True, False] = incidental("auto")

    def build(self, tools: RolloutTools) -> HFBackend:
        from agents.backends.hf import HFBackend

        return HFBackend(tools.vlm, self.batch_size, self.graphs)


@dataclass
class VLLMRollouts(HFRollouts):
    """vLLM, in the trainer's process or in one of its own."""

    name: str = "vllm"
    # of a prompt and its answer together; a longer one is refused
    max_tokens: int = number(4096, 1, 10_000_000, defines=False)
    cache_gib: float = number(0.25, 0, 1e5, above=True, defines=False)  # memory for keys and values
    sleep: bool = incidental(False)  # hand the GPU's memory to the trainer between rollouts; nothing on a CPU
    process: Literal["inside", "separate"] = incidental(
        "inside"
    )  # separate: one of its own, started again when it dies
    # trained adapters (algo.lora): alone into vLLM's slot, or merged into whole weights at every sync; auto: alone where that works
    adapters: Literal["auto", "merged", "alone"] = incidental("auto")
    # a weight sync in which nothing happens for so long has failed
    sync_limit_s: float = number(300.0, 0, 1e7, above=True, defines=False)
    # process=separate: one that answers later than this counts as dead
    call_limit_s: float = number(1800.0, 0, 1e7, above=True, defines=False)

    def missing(self, machine: Machine) -> Iterator[str]:
        if not machine.has_package("vllm"):
            yield "vLLM, for rollouts=vllm: make extra-vllm (rollouts=hf needs nothing more)"

    def build(self, tools: RolloutTools) -> VLLMBackend:  # type: ignore[override]
        from agents.backends.vllm import VLLMBackend

        return VLLMBackend(
            tools.vlm,
            max_sequences=self.batch_size,
            max_tokens=self.max_tokens,
            cache_gib=self.cache_gib,
            sleep=self.sleep,
            separate=self.process == "separate",
            sync_limit_s=self.sync_limit_s,
            call_limit_s=self.call_limit_s,
            graphs=self.graphs,
            adapters=self.adapters,
        )


@dataclass
class AutoRollouts(VLLMRollouts):
    """vLLM on a CUDA machine where it is installed, else Transformers."""

    name: str = "auto"

    def missing(self, machine: Machine) -> Iterator[str]:
        return iter(())

    def resolve(self, device: str) -> HFRollouts:
        if device == "cuda" and has_package("vllm"):
            return VLLMRollouts(**{**vars(self), "name": "vllm"})
        return HFRollouts("hf", self.batch_size, self.graphs)

    def build(self, tools: RolloutTools) -> Backend:  # type: ignore[override]
        return self.resolve(tools.vlm.model.device.type).build(tools)


def make_backend(part: Any, vlm: VLM) -> Backend:
    return build(part, RolloutTools(vlm))


__all__ = ["AutoRollouts", "HFRollouts", "RolloutTools", "VLLMRollouts", "make_backend"]
