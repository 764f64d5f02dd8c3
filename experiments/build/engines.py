"""What trains a policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from common.errors import BadInput
from common.parts import Machine, Part, incidental
from common.ranges import number
from conf.parts import build
from experiments.build.device import device_of

if TYPE_CHECKING:
    from rl.config import OptimizerConfig
    from rl.engine.base import Engine
    from rl.policies.base import Policy
    from rl.schedule import Schedule

B = TypeVar("B")


@dataclass(frozen=True)
class EngineTools:
    policy: Callable[[], Any]  # makes the policy that is trained; a sharded engine calls it within its own context
    optimizer: OptimizerConfig
    schedule: Schedule  # of the learning rate


@dataclass
class TorchEngine(Part):
    """Plain torch on one device."""

    name: str = "torch"
    device: Literal["auto", "cpu", "cuda"] = incidental("auto")  # auto: the GPU where there is one
    threads: int = number(1, 1, 1024)  # of torch in each process, fixed: another number gives other last bits
    # products of matrices in the update; weights, sums and moments are always float32. auto: bfloat16 where the processor
    # multiplies it in hardware (AMX), which is faster, else float32
    matmul: Literal["auto", "float32", "bfloat16"] = "auto"

    distributed = False
    whole_weights = True  # one process holds every weight as a whole

    @property
    def products(self) -> str:
        """What matmul=auto stands for on this machine."""
        from rl.engine.precision import has_amx

        if self.matmul != "auto":
            return self.matmul
        return "bfloat16" if device_of(self) == "cpu" and has_amx() else "float32"

    def check(self, launcher: Any, dtype: str) -> None:
        """BadInput where launcher or dtype do not go with this engine."""
        if launcher.processes * launcher.nodes > 1 or launcher.several:
            raise BadInput(f"engine={self.name} is one process; launcher={launcher.name} needs engine=deepspeed")

    def build(self, tools: EngineTools) -> Engine[Any]:
        from rl.engine.torch import TorchEngine as Torch

        return Torch(tools.policy(), tools.optimizer, tools.schedule, self.products)


@dataclass
class DeepSpeedEngine(TorchEngine):
    """ZeRO over several processes, or in one. Results are equal up to rounding, whatever is sharded."""

    name: str = "deepspeed"
    # ZeRO: 0 nothing is sharded, 1 moments and fp32 weights, 2 gradients too, 3 all weights too
    stage: Literal[0, 1, 2, 3] = number(2, 0, 3, defines=False)
    offload_optimizer: bool = incidental(False)  # moments and fp32 weights in main memory
    # stage 3: weights that are whole at a time when rollouts get them
    gather_mib: int = number(256, 1, 2**20, defines=False)
    # a process that waits longer for another one fails instead of hanging
    timeout_s: float = number(1800.0, 0, 1e7, above=True, defines=False)

    distributed = True

    def __post_init__(self) -> None:
        if self.offload_optimizer and self.stage == 0:
            raise BadInput("engine.offload_optimizer needs engine.stage 1, 2 or 3: stage 0 shards nothing")

    @property
    def whole_weights(self) -> bool:  # type: ignore[override]
        return self.stage != 3

    def check(self, launcher: Any, dtype: str) -> None:
        if self.matmul == "bfloat16":
            raise BadInput(
                f"engine.matmul={self.matmul} is for engine=torch; with engine=deepspeed set decomposer.dtype=bfloat16"
            )
        if dtype == "float16" or (dtype == "bfloat16" and self.stage == 0):
            raise BadInput(
                f"decomposer.dtype={dtype}: engine=deepspeed trains float32, or bfloat16 at engine.stage 1, 2 or 3"
            )

    def missing(self, machine: Machine) -> Iterator[str]:
        if not machine.has_package("deepspeed"):
            yield "package deepspeed, for engine=deepspeed: make extra-deepspeed"

    def build(self, tools: EngineTools) -> Engine[Any]:
        from rl.engine.deepspeed import DeepSpeedEngine as DeepSpeed

        return DeepSpeed(
            tools.policy,
            tools.optimizer,
            tools.schedule,
            self.stage,
            self.offload_optimizer,
            self.gather_mib << 20,
            self.timeout_s,
        )


def make_engine(
    engine: Any, policy: Callable[[], Policy[B]], optimizer: OptimizerConfig, schedule: Schedule
) -> Engine[B]:
    """`policy` reads the start weights, anew for every frozen copy of a sharded engine."""
    return build(engine, EngineTools(policy, optimizer, schedule))


def products_of(engine: Any) -> AbstractContextManager[Any]:
    """The precision of matrix products of an engine's settings, for supervised training, which needs no engine."""
    from rl.engine.precision import bf16_products

    return bf16_products("cpu") if engine.products == "bfloat16" else nullcontext()


def check_engine(engine: Any, launcher: Any, algo: Any, dtype: str = "float32") -> None:
    """Refuse settings of engine and launcher that contradict each other, before anything is loaded."""
    launcher.check()
    engine.check(launcher, dtype)
    if launcher.processes * launcher.nodes > algo.prompts_per_step:
        raise BadInput(
            f"{launcher.processes} processes on {launcher.nodes} machines cannot share "
            f"algo.prompts_per_step={algo.prompts_per_step}"
        )


__all__ = ["DeepSpeedEngine", "EngineTools", "TorchEngine", "check_engine", "make_engine", "products_of"]
