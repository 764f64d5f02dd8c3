"""Who judges whole sessions: MICE-Bench's protocol with its three models, each a part of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from common.contents import digest
from common.errors import BadInput, ImageEditError, MissingFile
from common.parts import CHECKPOINT, Content, Machine, Part
from common.ranges import number
from conf.parts import build, part_field
from experiments.build.judges import JudgeTools, make_client_of
from judges.sessions.mice_turn import FACTS

if TYPE_CHECKING:
    from judges.sessions.mice import MiceJudge


@dataclass(frozen=True)
class Sight:
    """A model that looks at pictures: how it is loaded, and what decides what it sees."""

    load: Callable[[], Any]
    identity: str


@dataclass
class SightPart(Part):
    """A model of transformers in a folder, or by its Hub id in the local Hub cache; nothing is fetched."""

    name: str
    model: str = ""  # its folder, or its id in the Hub's cache
    batch_size: int = number(8, 1, 10_000, defines=False)  # pictures in one forward

    model_type: ClassVar[str]  # of its config.json
    tokenizer: ClassVar[bool] = False  # it reads names
    local_model = True

    def missing(self, machine: Machine) -> Iterator[str]:
        try:
            self.checkpoint()
        except ImageEditError as error:
            yield str(error)

    def contents(self) -> Iterator[Content]:
        yield Content(self.model, CHECKPOINT)

    def checkpoint(self) -> Path:
        """The folder. Raises MissingFile with how to get it, BadInput where another kind of model lies there."""
        from editors.checkpoint import find_folder
        from judges.metrics.weights import MODEL_FILES, TOKENIZER_FILES

        what, how = f"the model {self.name} of the judge of sessions", "download the model again"
        try:
            folder = find_folder(self.model)
        except MissingFile as error:
            raise MissingFile(f"{what} is missing: {error}") from None
        for kind, files in (
            ("settings", ("config.json",)),
            ("weights", MODEL_FILES),
            ("tokenizer", (*TOKENIZER_FILES, "vocab.txt")),
        ):
            if (kind != "tokenizer" or self.tokenizer) and not any((folder / file).is_file() for file in files):
                raise MissingFile(f"{what} has no {kind}: there is none of {', '.join(files)} in {folder}; {how}")
        try:
            found = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
        except (OSError, ValueError, AttributeError) as error:
            raise MissingFile(f"{what}: {folder / 'config.json'} cannot be read ({error}); {how}") from error
        if found != self.model_type:
            raise BadInput(f"{what}: {folder} holds a {found} and no {self.model_type}")
        return folder


@dataclass
class GroundingDinoPart(SightPart):
    """GroundingDINO (arXiv 2303.05499)."""

    shortest: int = number(800, 16, 10_000)  # pixels of the shorter side that it sees ...
    longest: int = number(1333, 16, 20_000)  # ... as far as the longer one stays below this

    model_type = "grounding-dino"
    tokenizer = True

    def build(self, tools: JudgeTools) -> Sight:
        from judges.sessions.detector import GroundingDino

        folder, device = self.checkpoint(), tools.device()
        identity = f"{self.name} {digest(folder, CHECKPOINT)} {self.shortest} {self.longest} {device}"
        return Sight(partial(GroundingDino, folder, device, self.batch_size, self.shortest, self.longest), identity)


@dataclass
class DinoV3Part(SightPart):
    """A DINOv3 ViT (arXiv 2508.10104)."""

    side: int = number(256, 16, 10_000)  # pixels of the square that it sees

    model_type = "dinov3_vit"

    def build(self, tools: JudgeTools) -> Sight:
        from judges.sessions.features import DinoV3

        folder, device = self.checkpoint(), tools.device()
        identity = f"{self.name} {digest(folder, CHECKPOINT)} {self.side} {device}"
        return Sight(partial(DinoV3, folder, device, self.batch_size, self.side), identity)


@dataclass
class MiceSessionJudge(Part):
    """MICE-Bench's published protocol (arXiv 2606.05950): see judges/sessions/mice.py."""

    name: str = "mice"
    votes: int = number(4, 1, 1000)  # replies to every question, averaged
    cc: Literal["correct", "as_published"] = "correct"  # how the tokens of CC are laid out
    vlm: Any = part_field()  # who answers questions: any part of judge= that asks a model
    detector: Any = part_field()
    features: Any = part_field()
    sessions_at_once: int = number(4, 1, 10_000, defines=False)  # judged together and kept at a time
    # of verdicts; above it the run fails instead of reporting a biased mean
    max_invalid_share: float = number(0.02, 0, 1, defines=False)

    sessions = True
    needed_facts = FACTS
    local_model = True

    def __post_init__(self) -> None:
        for key in ("repeats", "rubric"):
            if getattr(self.vlm, key, None) is not None:
                raise BadInput(
                    f"judge.vlm.{key} has no use here: the questions are those of judge=mice, asked judge.votes times"
                )

    @property
    def cache(self) -> str:
        """The folder of the model's replies, in which everything else is kept too; "" for the usual one."""
        return getattr(self.vlm, "cache", "")

    def missing(self, machine: Machine) -> Iterator[str]:
        for key in ("vlm", "detector", "features"):
            part = getattr(self, key)
            if part is None:
                yield f"judge.{key}=<name>: judge={self.name} needs one"
            else:
                yield from part.missing(machine)

    def contents(self) -> Iterator[Content]:
        from judges.prompt import PROMPTS
        from judges.sessions.mice import PROMPTS as OWN

        for prompt in OWN:
            yield Content(str(PROMPTS / f"{prompt}.txt"))

    def share(self, processes: int) -> Any:
        return replace(self, vlm=self.vlm.share(processes))

    def build(self, tools: JudgeTools) -> MiceJudge:
        from judges.cache import ReplyCache
        from judges.question import JudgeSampling
        from judges.sessions.kept import Kept, KeptDetector
        from judges.sessions.mice import MiceJudge
        from judges.sessions.votes import Votes

        kept = Kept(ReplyCache(tools.cache))
        detector, features = build(self.detector, tools), build(self.features, tools)
        sampling = self.vlm.sampling(JudgeSampling(temperature=0.6, max_tokens=1024))
        votes = Votes(make_client_of(self.vlm, tools), sampling, self.votes, tools.retry)
        looked = KeptDetector(detector.load, detector.identity, kept)
        return MiceJudge(looked, features.load, features.identity, votes, self.cc, kept)


__all__ = ["DinoV3Part", "GroundingDinoPart", "MiceSessionJudge", "Sight", "SightPart"]
