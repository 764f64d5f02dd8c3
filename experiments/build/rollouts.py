"""What generates completions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from common.errors import BadInput
from common.parts import Machine, Part, incidental
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
    """Transformers' own generate, in the training process."""

    name: str = "hf"
    batch_size: int = 128  # sequences generated together

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise BadInput(f"rollouts.batch_size={self.batch_size} cannot be used; give 1 or more")

    def build(self, tools: RolloutTools) -> HFBackend:
        from agents.backends.hf import HFBackend

        return HFBackend(tools.vlm, self.batch_size)


@dataclass
class VLLMRollouts(HFRollouts):
    """vLLM, in the trainer's process or in one of its own."""

    name: str = "vllm"
    max_tokens: int = incidental(4096)  # of a prompt and its answer together; a longer one is refused
    cache_gib: float = incidental(0.25)  # memory for keys and values
    sleep: bool = incidental(False)  # hand the GPU's memory to the trainer between rollouts; nothing on a CPU
    process: Literal["inside", "separate"] = incidental(
        "inside"
    )  # separate: one of its own, started again when it dies
    sync_limit_s: float = incidental(300.0)  # a weight sync in which nothing happens for so long has failed
    call_limit_s: float = incidental(1800.0)  # process=separate: one that answers later than this counts as dead

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
        return HFRollouts("hf", self.batch_size)

    def build(self, tools: RolloutTools) -> Backend:  # type: ignore[override]
        return self.resolve(tools.vlm.model.device.type).build(tools)


def make_backend(part: Any, vlm: VLM) -> Backend:
    return build(part, RolloutTools(vlm))


__all__ = ["AutoRollouts", "HFRollouts", "RolloutTools", "VLLMRollouts", "make_backend"]
