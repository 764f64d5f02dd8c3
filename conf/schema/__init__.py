"""Every key of every configuration, typed, with what it means. The yaml files only choose values.

Every command has its root, listed in ROOTS. The options of a group with `_target_` (editor, judge, reward, …) are the
fields of the class that its yaml names, which are documented there (experiments/build/). An unknown key or a value of the
wrong type is refused when the configuration is composed. Nothing heavy is imported here: `--help` must be quick.
"""

from __future__ import annotations

from functools import cache

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from common.places import assets_folder
from conf.parts import loose, part_groups
from conf.schema.data import AgreementConfig, PrepareConfig, SourceConfig
from conf.schema.demo import DemoConfig
from conf.schema.pretrain import (
    AutoencoderConfig,
    ColdStartConfig,
    DirectStartConfig,
    FlowMatchingConfig,
    PretrainConfig,
    SeeingConfig,
    StartConfig,
    VisionWarmupConfig,
)
from conf.schema.run import MAIN_JOB, RunConfig
from conf.schema.serve import ServeConfig
from conf.schema.shared import ExecutionConfig, Needs, PathsConfig, ScaleConfig
from conf.schema.use import EditConfig, EvaluateConfig, PlanConfig, SessionConfig, TeamUse

BY_CLASS = "by_class"  # the choice of a group whose class is named on the command line
NESTED = {
    f"judge.{part}": f"judge/{part}" for part in ("rubric", "vlm", "detector", "features")
}  # groups within a part

ROOTS: dict[str, type] = {
    "run": RunConfig,
    "evaluate": EvaluateConfig,
    "edit": EditConfig,
    "session": SessionConfig,
    "plan": PlanConfig,
    "pretrain": PretrainConfig,
    "agreement": AgreementConfig,
    "prepare": PrepareConfig,
    "serve": ServeConfig,
    "demo": DemoConfig,
}


@cache
def register() -> None:
    """Put the roots into Hydra's store, where conf/<command>.yaml refers to them as `schema_<command>`."""
    OmegaConf.register_new_resolver("assets", assets_folder, replace=True)
    store = ConfigStore.instance()
    for name, root in ROOTS.items():
        store.store(name=f"schema_{name}", node=loose(root))
    for group in {g for root in ROOTS.values() for g in part_groups(root)} | set(NESTED.values()):
        store.store(group=group, name=BY_CLASS, node={})


__all__ = [
    "AgreementConfig",
    "AutoencoderConfig",
    "BY_CLASS",
    "ColdStartConfig",
    "DemoConfig",
    "DirectStartConfig",
    "EditConfig",
    "EvaluateConfig",
    "ExecutionConfig",
    "FlowMatchingConfig",
    "NESTED",
    "Needs",
    "PathsConfig",
    "PlanConfig",
    "PrepareConfig",
    "PretrainConfig",
    "StartConfig",
    "ROOTS",
    "MAIN_JOB",
    "RunConfig",
    "SeeingConfig",
    "ScaleConfig",
    "SessionConfig",
    "ServeConfig",
    "SourceConfig",
    "TeamUse",
    "VisionWarmupConfig",
    "register",
]
