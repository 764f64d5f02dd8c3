"""The memory of a job's phases: what lies on each GPU while a stage does one thing, and whether it fits.

A stage declares its phases (`Stage.phases`); `python -m experiments.plan` shows them, and the check before a run names those that
are too large. Sizes come from configurations alone. Assumed: bfloat16 training under ZeRO keeps 16 bytes for each trained weight,
which the devices share by its stage; frozen copies are whole on every device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import ImageEditError
from common.gpus import GIB

RESERVE = 1.5 * GIB  # CUDA's context, the libraries' workspaces and what fragmentation wastes: assumed


@dataclass(frozen=True)
class Phase:
    """`held`: bytes on each of the `gpus` by what they are of, in the order in which a table shows them."""

    stage: str
    name: str
    held: Mapping[str, float]
    gpus: int = 1

    @property
    def total(self) -> float:
        return sum(self.held.values()) + RESERVE


MODELS = frozenset({"decomposer", "editor"})  # that stages use where they do not say


def models_of(stages: Iterable[Any]) -> frozenset[str]:
    """The models of a run that these stages use; all of them for no stages."""
    used = [getattr(stage, "uses", MODELS) for stage in stages]
    return frozenset().union(*used) if used else MODELS


def phases_of(stages: Iterable[Any], config: Any) -> list[Phase]:
    """Of all stages, in their order. Raises BadInput and MissingFile for models of which nothing is known."""
    return [phase for stage in stages for phase in getattr(stage, "phases", lambda config: ())(config)]


def too_large(stages: Iterable[Any], config: Any, memories: Iterable[int]) -> Iterator[str]:
    """One line for each phase that the smallest of these GPUs (bytes) has no room for; 0 bytes where there is none. What cannot
    be estimated is said too."""
    smallest = min(memories, default=0)
    there = f"the smallest here has {smallest / GIB:.0f} GiB" if smallest else "there is none here"
    for stage in stages:
        try:
            own = phases_of([stage], config)
        except ImageEditError as error:
            yield f"an estimate of the memory of {stage.name}: {error}"
            continue
        for phase in own:
            if phase.total > smallest:
                parts = ", ".join(f"{name} {held / GIB:.0f}" for name, held in phase.held.items() if held >= GIB / 2)
                each = f"each of {phase.gpus} GPUs" if phase.gpus > 1 else "one GPU"
                yield f"GPU memory for {phase.stage}, {phase.name}: about {phase.total / GIB:.0f} GiB on {each} ({parts}); {there}"


def as_rows(phases: Iterable[Phase], memory: float) -> list[dict[str, Any]]:
    """Plain values for a plan; `memory`: bytes of a GPU."""
    return [
        {
            "stage": p.stage,
            "phase": p.name,
            "gpus": p.gpus,
            "held": dict(p.held),
            "total": p.total,
            "fits": p.total <= memory,
        }
        for p in phases
    ]


__all__ = ["RESERVE", "Phase", "as_rows", "models_of", "phases_of", "too_large"]
