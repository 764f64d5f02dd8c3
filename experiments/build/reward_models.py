"""The reasoning reward model (arXiv 2604.27505) that a run trains: where it starts, and how it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from common.errors import BadInput
from common.parts import CHECKPOINT, Content, Machine, Part, incidental
from common.ranges import MANY, check_fields, number
from experiments.build.decomposers import unknown_family
from judges.reasoning.trace import Form
from rl.config import GCPOConfig, SFTConfig

if TYPE_CHECKING:
    from agents.backends.vlm import VLM


NO_REWARD_MODEL = "a reward model: choose one with rrm=tiny, or another of conf/rrm (experiment=edit_r1 does)"
# the models that a run trains by supervision, and what their traces consist of; `sft` goes on to GCPO
SUPERVISED = {"holistic": Form.SCORE, "sft_think": Form.THINK, "sft_verify": Form.VERIFY, "sft": Form.BOTH}


@dataclass
class RewardDataConfig:
    """What the reward model learns from. On benchmark=sandbox everything is made by program: edits with faults beside those of the
    editors, points, traces by writers who make mistakes, a verifier (the exact judge), and annotators who are not always of one
    mind. Elsewhere the requests are the benchmark's, models write and verify, and pairs come from people."""

    samples: int = number(700, 1, MANY)  # requests of the cold start
    candidates: int = number(3, 1, 1000)  # edits of each
    traces: int = number(4, 1, 1000)  # of each edit, of which the verifier chooses one
    choice: str = "best"  # best | first (without the verifier, to see what it brings)
    # choices of editor=: who makes the candidates, in turns with edits that have deliberate faults
    editors: list[str] = field(default_factory=lambda: ["qwen", "flux_kontext"])
    writer_errors: float = number(0.3, 0, 1)  # a writer answers a point wrongly with a probability of up to this
    writer_score_std: float = number(1.5, 0, 10)  # error of the final scores, points of 10
    pairs: int = number(
        600, 1, MANY
    )  # requests whose two edits the annotators compare; what they call the same is left out
    annotator_noise: float = number(1.0, 0, 100)  # see experiments/tiny/simulated.py
    same: float = number(0.5, 0, 10)  # edits whose exact scores are nearer than this are the same
    held_out: int = number(300, 1, MANY)  # requests of the test split, whose pairs are ordered by the exact scores
    # choices of judge=: who writes the evaluation points, the traces (in turns), and who verifies; empty: the sandbox's programs
    points_by: str = ""
    traces_by: list[str] = field(default_factory=list)  # choices of judge=, in turns; empty: the sandbox's program
    verified_by: str = ""  # a choice of judge=; empty: the sandbox's program
    # a set of experiments.agreement (tiger, editscore, csv, …) whose pairs people ordered; empty: the sandbox's annotators.
    # The last `held_out` of its comparisons, in an order by seed, are never trained on
    preferences: str = ""
    preferences_path: str = incidental("")  # the folder or file of that set

    def __post_init__(self) -> None:
        check_fields(self, "rrm.data.")
        if self.choice not in ("best", "first"):
            raise BadInput(f"rrm.data.choice={self.choice} is unknown; choose best or first")


@dataclass
class RewardSFTConfig(SFTConfig):
    """The cold start."""

    group: ClassVar[str] = "rrm.sft."
    steps: int = number(250, 1, MANY)


@dataclass
class RewardModel(Part):
    """A vision-language model that reasons about two pictures. `load` gives the model that is trained."""

    name: str
    base: str = incidental()  # folder of the model that the cold start begins with
    checkpoint: str = incidental("")  # of a reward model that exists: it is used as it is, and its training is left out
    source: str = incidental("")  # how to get the base, said when it is missing
    prompt: str = "rrm"  # a file of judges/prompts, without .txt
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"  # of the weights
    # of the language model; null: as many as the base has (agents/backends/depth.py)
    layers: int | None = number(None, 2, 1000)
    max_new_tokens: int = number(2048, 1, 1_000_000)  # of one trace
    # the score of an edit: the one that the trace says, or the one that the model expects at that place (the mean under its
    # probabilities of the digits). GCPO learns from the scores that traces say
    scoring: Literal["generated", "logits"] = "generated"
    # larger pictures are made smaller before the model sees them; null: the checkpoint's own limit
    max_pixels: int | None = number(None, 784, 2**40)
    # trained beside it and compared: holistic (a score at once), sft_think (no points), sft_verify (no reasoning)
    compared: list[str] = field(default_factory=lambda: ["holistic", "sft_think", "sft_verify"])
    data: RewardDataConfig = field(default_factory=RewardDataConfig)
    sft: RewardSFTConfig = field(default_factory=RewardSFTConfig)
    gcpo: GCPOConfig = field(default_factory=GCPOConfig)

    def __post_init__(self) -> None:
        if unknown := [name for name in self.compared if name not in SUPERVISED or name == "sft"]:
            others = [name for name in SUPERVISED if name != "sft"]
            raise BadInput(f"rrm.compared: {unknown[0]!r} is unknown; choose among {', '.join(others)}")

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
        from judges.rubrics.rrm import prompt_of

        yield Content(self.start, CHECKPOINT)
        for name in ("sft", *self.compared):
            yield Content(str(PROMPTS / f"{prompt_of(self.prompt, SUPERVISED[name])}.txt"))

    def named(self) -> Iterator[tuple[str, str]]:
        yield from (("editor", name) for name in self.data.editors)

    def load(self, device: str, checkpoint: str | Path | None = None) -> VLM:
        """The model, from its start or from another folder of the same kind."""
        from agents.backends.depth import with_layers
        from agents.backends.vlm import load_vlm

        vlm = load_vlm(checkpoint or self.start, self.dtype, device)
        vlm = vlm if self.layers is None else with_layers(vlm, self.layers)
        return vlm if self.max_pixels is None else vlm.bounded(self.max_pixels)


__all__ = ["NO_REWARD_MODEL", "SUPERVISED", "RewardDataConfig", "RewardModel", "RewardSFTConfig"]
