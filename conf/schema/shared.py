"""What several commands have: sizes, execution, folders."""

from __future__ import annotations

from dataclasses import dataclass

from omegaconf import MISSING

from common.parts import incidental
from common.ranges import number, seed_number


@dataclass
class Needs:
    """What a machine must have for this scale; checked before anything starts. 0 means no demand."""

    gpus: int = number(0, 0, 4096)
    gpu_memory_gib: float = number(0.0, 0, 1e6)  # per GPU
    memory_gib: float = number(0.0, 0, 1e6)
    disk_gib: float = number(0.0, 0, 1e9)  # free, where outputs/ lies


@dataclass
class ScaleConfig:
    """Sizes and data; never code paths."""

    name: str = MISSING
    image_size: int = number(64, 32, 4096)  # side of a sandbox picture, pixels
    # samples never trained on: decomposition before/after, and the three arms
    test_samples: int = number(200, 1, 1_000_000)
    test_seed: int = seed_number()  # which part of the test split; the same for every run, so that runs can be compared
    # samples evaluated and saved at a time; part of a run's identity (it fixes batch composition)
    chunk: int = number(25, 1, 100_000)
    strips: int = number(12, 0, 10_000, defines=False)  # before/after strips in the report
    # of the editor alone on a sample; null: as many as the team made there; 0: off
    editor_calls: int | None = number(None, 0, 1000)
    needs: Needs = incidental(Needs)


@dataclass
class ExecutionConfig:
    name: str = MISSING  # single | multi


@dataclass
class UnlikeSandbox:
    """From when on a picture or a text is unlike the sandbox, which is all that the tiny models know. Measured on its test split:
    scenes are drawn again without an error, 48 results of the tiny editor with 1 to 20 grey levels (46 of them with less than
    15), six photographs of scikit-image with 22 to 48. Of the words of 600 requests at most a third is unknown (a quarter in
    99 % of them), of sentences in German, French, Spanish, Russian and Chinese 37 to 100 %."""

    picture: float = number(20.0, 0, 255)  # grey levels a pixel by which a picture may be off when it is drawn again
    words: float = number(0.35, 0, 1)  # share of a text's words that the decomposer's tokenizer does not know


@dataclass
class PathsConfig:
    outputs: str = "outputs"
    assets: str = "assets"


__all__ = ["ExecutionConfig", "Needs", "PathsConfig", "ScaleConfig", "UnlikeSandbox"]
