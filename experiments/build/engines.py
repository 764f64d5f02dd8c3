"""What trains a policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from common.errors import BadInput
from conf.schema import EngineConfig, LauncherConfig
from rl.config import GRPOConfig, OptimizerConfig
from rl.schedule import Schedule

if TYPE_CHECKING:
    from rl.engine.base import Engine
    from rl.policies.base import Policy

B = TypeVar("B")


def make_engine(
    engine: EngineConfig, policy: Callable[[], Policy[B]], optimizer: OptimizerConfig, schedule: Schedule
) -> Engine[B]:
    """`policy` reads the start weights, anew for every frozen copy of a sharded engine."""
    match engine.name:
        case "torch":
            from rl.engine.torch import TorchEngine

            return TorchEngine(policy(), optimizer, schedule)
        case "deepspeed":
            from rl.engine.deepspeed import DeepSpeedEngine

            return DeepSpeedEngine(
                policy,
                optimizer,
                schedule,
                engine.stage,
                engine.offload_optimizer,
                engine.gather_mib << 20,
                engine.timeout_s,
            )
    raise BadInput(f"engine={engine.name} is unknown; choose torch or deepspeed")


def check_engine(engine: EngineConfig, launcher: LauncherConfig, algo: GRPOConfig, dtype: str = "float32") -> None:
    """Refuse settings of engine and launcher that contradict each other, before anything is loaded."""
    if engine.name == "torch" and (engine.stage or engine.offload_optimizer):
        raise BadInput("engine.stage and engine.offload_optimizer belong to engine=deepspeed")
    if engine.stage not in (0, 1, 2, 3):
        raise BadInput(f"engine.stage={engine.stage}: ZeRO has the stages 0, 1, 2 and 3")
    if engine.offload_optimizer and engine.stage == 0:
        raise BadInput("engine.offload_optimizer needs engine.stage 1, 2 or 3: stage 0 shards nothing")
    if engine.name == "deepspeed" and (dtype == "float16" or (dtype == "bfloat16" and engine.stage == 0)):
        raise BadInput(
            f"decomposer.dtype={dtype}: engine=deepspeed trains float32, or bfloat16 at engine.stage 1, 2 or 3"
        )
    if engine.gather_mib < 1 or not engine.timeout_s > 0:
        raise BadInput(f"engine.gather_mib={engine.gather_mib}, engine.timeout_s={engine.timeout_s} must be positive")
    if launcher.processes < 1 or launcher.restarts < 0:
        raise BadInput(f"launcher.processes={launcher.processes} must be 1 or more, launcher.restarts 0 or more")
    if launcher.name == "local" and launcher.processes > 1:
        raise BadInput("launcher=local is one process; for more use launcher=torchrun")
    if launcher.name != "local" and engine.name != "deepspeed":
        raise BadInput(f"engine={engine.name} is one process; launcher={launcher.name} needs engine=deepspeed")
    host, _, port = launcher.rendezvous.rpartition(":")
    if launcher.nodes < 1 or (launcher.nodes > 1) != bool(host and port.isdigit()):
        raise BadInput(
            f"launcher.nodes={launcher.nodes}, launcher.rendezvous='{launcher.rendezvous}': several machines need both, "
            "the latter as host:port of this one"
        )
    if launcher.nodes > 1 and (launcher.name != "torchrun" or launcher.restarts):
        raise BadInput(
            "several machines need launcher=torchrun and launcher.restarts=0: the same command goes on instead"
        )
    if launcher.processes * launcher.nodes > algo.prompts_per_step:
        raise BadInput(
            f"{launcher.processes} processes on {launcher.nodes} machines cannot share "
            f"algo.prompts_per_step={algo.prompts_per_step}"
        )


__all__ = ["make_engine", "check_engine"]
