"""The decomposer's model, and the decomposer made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from common.errors import ImageEditError
from common.parts import CHECKPOINT, Content, Machine, Part, incidental
from common.ranges import MANY, number
from conf.parts import build
from experiments.build.device import device_of

if TYPE_CHECKING:
    from agents.backends.base import Backend, ModelRequest
    from agents.backends.vlm import VLM
    from agents.decomposer import Decomposer
    from benchmarks.base import EditSample


@dataclass(frozen=True)
class DecomposerTools:
    backend: Backend  # the decomposer's own model


@dataclass
class VLMDecomposer(Part):
    """A vision-language model with a prompt. `load` gives the model that is trained, `to_request` the prompts of samples."""

    role: ClassVar[str] = "decomposer"  # what messages call it

    name: str
    checkpoint: str = incidental()  # folder with config.json, *.safetensors, tokenizer, image processor
    prompt: str = incidental("decompose")  # a file of agents/prompts without .txt, or a path; its text defines the run
    source: str = incidental("")  # how to get the checkpoint, said when it is missing
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"  # of the weights
    max_new_tokens: int = number(96, 1, 1_000_000)  # of one decomposition
    temperature: float = number(0.0, 0, 100)  # when evaluating; 0 is greedy
    max_request_chars: int = number(1000, 1, MANY)  # a longer request is cut, with a note
    # a larger picture is made smaller before the decomposer sees it (the editor gets it as it is); null: the checkpoint's own limit
    max_pixels: int | None = number(None, 784, 2**40)
    # of the language model; null: as many as the checkpoint has (agents/backends/depth.py)
    layers: int | None = number(None, 2, 1000)
    parameters: float = number(0.0, 0, 1e13, defines=False)  # how many, for the memory check; 0: not checked
    thought: Literal["places", "brief"] = "places"  # what supervised answers reason (experiments/tiny/thoughts.py)
    recipe: Literal["", "direct", "grammar"] = incidental("")  # of a tiny one: how experiments.pretrain makes it
    # what the supervised start before RL shows: training samples of the benchmark, or the examples of the recipe
    examples: Literal["benchmark", "recipe"] = "benchmark"
    sandbox_only: bool = incidental(False)  # trained on the sandbox alone: other texts are refused (allow_tiny=true)

    def missing(self, machine: Machine) -> Iterator[str]:
        folder = Path(self.checkpoint)
        lacks = [name for name in ("config.json", "*.safetensors") if not any(folder.glob(name))]
        if lacks:
            how = f": {self.source}" if self.source else ""
            yield f"weights of the {self.role} {self.name}: no {' and '.join(lacks)} in {folder}{how}"
        if "config.json" not in lacks:
            yield from unknown_family(folder)

    def contents(self) -> Iterator[Content]:
        from agents.prompt_files import prompt_file

        yield Content(self.checkpoint, CHECKPOINT)
        yield Content(prompt_file(self.prompt))

    def load(self, device: str, checkpoint: str | Path | None = None) -> VLM:
        """The model, from its own checkpoint or from another folder of the same kind."""
        from agents.backends.depth import with_layers
        from agents.backends.vlm import load_vlm

        vlm = load_vlm(checkpoint or self.checkpoint, self.dtype, device)
        vlm = vlm if self.layers is None else with_layers(vlm, self.layers)
        return vlm if self.max_pixels is None else vlm.bounded(self.max_pixels)

    def to_request(self) -> Callable[[EditSample], ModelRequest]:
        """What makes a sample the model's input, in training and inference alike."""
        from agents.decomposer import build_request
        from agents.prompt_files import load_prompt

        template = load_prompt(self.prompt)
        return lambda sample: build_request(template, sample, self.max_request_chars)

    def build(self, tools: DecomposerTools) -> Decomposer:
        from agents.backends.base import Sampling
        from agents.decomposer import Decomposer
        from agents.prompt_files import load_prompt

        sampling = Sampling(self.max_new_tokens, self.temperature)
        return Decomposer(tools.backend, load_prompt(self.prompt), sampling, self.max_request_chars)


def unknown_family(folder: Path) -> Iterator[str]:
    """A sentence where a checkpoint is of no family that this project runs; nothing is loaded."""
    from agents.backends.families import family_of

    try:
        family_of(folder)
    except ImageEditError as error:
        yield str(error)


def make_vlm(part: Any, engine: Any, checkpoint: str | Path | None = None) -> VLM:
    return part.load(device_of(engine), checkpoint)


def make_decomposer(part: Any, backend: Backend) -> Decomposer:
    return build(part, DecomposerTools(backend))


__all__ = ["DecomposerTools", "VLMDecomposer", "make_decomposer", "make_vlm", "unknown_family"]
