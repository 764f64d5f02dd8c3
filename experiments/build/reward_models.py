"""The reasoning reward model (arXiv 2604.27505) that a run trains: where it starts, and how it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from common.parts import CHECKPOINT, Content, Machine, Part, incidental
from common.ranges import number
from experiments.build.decomposers import unknown_family

if TYPE_CHECKING:
    from agents.backends.vlm import VLM


@dataclass
class RewardModel(Part):
    """A vision-language model that reasons about two pictures. `load` gives the model that is trained."""

    name: str
    base: str = incidental()  # folder of the model that the cold start begins with
    checkpoint: str = incidental("")  # of a reward model that exists: it is used as it is, and its training is left out
    source: str = incidental("")  # how to get the base, said when it is missing
    prompt: str = "rrm"  # a file of judges/prompts, without .txt
    form: Literal["both", "think", "verify", "score"] = "both"  # what its traces consist of
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    max_new_tokens: int = number(2048, 1, 1_000_000)  # of one trace

    @property
    def start(self) -> str:
        return self.checkpoint or self.base

    def missing(self, machine: Machine) -> Iterator[str]:
        folder = Path(self.start)
        lacks = [name for name in ("config.json", "*.safetensors") if not any(folder.glob(name))]
        if lacks:
            how = f": {self.source}" if self.source and not self.checkpoint else ""
            yield f"weights of the reward model {self.name}: no {' and '.join(lacks)} in {folder}{how}"
        if "config.json" not in lacks:
            yield from unknown_family(folder)

    def contents(self) -> Iterator[Content]:
        from judges.prompt import PROMPTS

        yield Content(self.start, CHECKPOINT)
        suffix = "" if self.form in ("both", "verify") else f"_{self.form}"
        yield Content(str(PROMPTS / f"{self.prompt}{suffix}.txt"))

    def load(self, device: str, checkpoint: str | Path | None = None) -> VLM:
        """The model, from its start or from another folder of the same kind."""
        from agents.backends.vlm import load_vlm

        return load_vlm(checkpoint or self.start, self.dtype, device)


__all__ = ["RewardModel"]
