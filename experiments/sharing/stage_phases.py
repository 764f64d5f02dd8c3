"""The phases that are whole stages of a job: a supervised start, a trained decomposer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.build.device import device_of
from experiments.sharing.phase import SharedPhase, without

if TYPE_CHECKING:
    from conf.schema import RunConfig
    from experiments.runs.stages import Stage


def phase_of(stage: Stage, stages: Sequence[Stage], config: RunConfig, values: Mapping[str, Any]) -> SharedPhase | None:
    """The stage as a phase that runs have in common; None where it declares none, where a class inherits the declaration of
    another, or where a stage before it declares nothing and so may change what it finds. `stages` is the whole job, `values` the
    run's identity."""
    if not _declares(stage):
        return None
    reasons = stage.indifferent(values)
    if reasons is None or not stage.leaves:
        return None
    before = stages[: [s.name for s in stages].index(stage.name)]
    if not all(_declares(s) or s.own_sharing for s in before):
        return None
    found = {s.name: phase_of(s, stages, config, values) for s in before if s.name in stage.parents(config)}
    if None in found.values():
        return None
    identity = {
        "stage": path_of(stage),
        "values": without(values, reasons),
        "builds on": {name: phase.identity for name, phase in found.items() if phase is not None},
        "defined by": dict(stage.defined_by(config)),
        **besides(config),
    }
    return SharedPhase(stage.name, identity, stage.leaves, getattr(stage, "journal", ""))


def besides(config: RunConfig) -> dict[str, Any]:
    """What is no part of a run's identity, and can move a result all the same: its last bits, and the examples beside RL that a
    tiny decomposer's recipe makes."""
    return {
        "device": device_of(config.engine),
        "processes": config.launcher.processes * config.launcher.nodes,
        "recipe": getattr(config.decomposer, "recipe", ""),
    }


def path_of(stage: Stage) -> str:
    return f"{type(stage).__module__}.{type(stage).__qualname__}"


def _declares(stage: Stage) -> bool:
    return "indifferent" in vars(type(stage))


__all__ = ["besides", "phase_of"]
