"""What several commands have: sizes, execution, folders."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from common.parts import incidental


@dataclass
class Needs:
    """What a machine must have for this scale; checked before anything starts. 0 means no demand."""

    gpus: int = 0
    gpu_memory_gib: float = 0.0  # per GPU
    memory_gib: float = 0.0
    disk_gib: float = 0.0  # free, where outputs/ lies


@dataclass
class ScaleConfig:
    """Sizes and data; never code paths."""

    name: str = MISSING
    image_size: int = 64  # side of a sandbox picture, pixels
    test_samples: int = 200  # samples never trained on: decomposition before/after, and the three arms
    test_seed: int = 0  # which part of the test split; the same for every run, so that runs can be compared
    chunk: int = 25  # samples evaluated and saved at a time; part of a run's identity (it fixes batch composition)
    strips: int = incidental(12)  # before/after strips in the report
    editor_calls: int | None = None  # of the editor alone on a sample; null: as many as the team made there; 0: off
    needs: Needs = incidental(Needs)


@dataclass
class ExecutionConfig:
    name: str = MISSING  # single | multi


@dataclass
class PathsConfig:
    outputs: str = "outputs"
    assets: str = "assets"


__all__ = ["ExecutionConfig", "Needs", "PathsConfig", "ScaleConfig"]
