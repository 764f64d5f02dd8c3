"""What several commands have: sizes, execution, folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from omegaconf import MISSING

from common.parts import CHECKPOINT, Content, incidental
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
    # side of a sandbox picture, pixels; a caption does not fit into a smaller one
    image_size: int = number(64, 48, 4096)
    # samples never trained on: decomposition before/after, and the three arms
    test_samples: int = number(200, 1, 1_000_000)
    # complex requests (indirect and multi-step, three to five edits) evaluated beside them; null: half as many; 0: off
    complex_samples: int | None = number(None, 0, 1_000_000)
    # at most so many of these have their pictures edited and judged; null: half of them; 0: off
    complex_pictures: int | None = number(None, 0, 1_000_000)
    # k of pass@k: whether one of k answers drawn from the decomposer before RL is exact, in place of its greedy one; 0: off
    pass_at: int = number(8, 0, 10_000)
    pass_samples: int | None = number(None, 1, 100_000)  # answers drawn for it, k or more; null: k
    test_seed: int = seed_number()  # which part of the test split; the same for every run, so that runs can be compared
    # samples evaluated and saved at a time; part of a run's identity (it fixes batch composition)
    chunk: int = number(25, 1, 100_000)
    strips: int = number(12, 0, 10_000, defines=False)  # before/after strips in the report
    # of the editor alone on a sample; null: as many as the team made there; 0: off
    editor_calls: int | None = number(None, 0, 1000)
    needs: Needs = incidental(Needs)

    @property
    def complex_requests(self) -> int:
        """How many complex requests are evaluated."""
        return self.test_samples // 2 if self.complex_samples is None else self.complex_samples

    @property
    def complex_edited(self) -> int:
        """Of how many of them the pictures are made."""
        half = self.complex_requests // 2
        return half if self.complex_pictures is None else min(self.complex_pictures, self.complex_requests)

    @property
    def draws(self) -> int:
        """Answers drawn from the decomposer before RL for every sample."""
        return self.pass_at if self.pass_at == 0 or self.pass_samples is None else self.pass_samples


@dataclass
class SessionActions:
    """Weights of what a turn of a sandbox session asks for."""

    add: float = number(1.0, 0, 1e6)
    replace: float = number(1.0, 0, 1e6)
    recolor: float = number(1.0, 0, 1e6)
    material: float = number(1.0, 0, 1e6)
    move: float = number(1.0, 0, 1e6)
    count: float = number(1.0, 0, 1e6)
    remove: float = number(1.0, 0, 1e6)


@dataclass
class SessionRules:
    """Weights of the kinds of lasting rules that are said in the first turn of a sandbox session."""

    recolor: float = number(1.0, 0, 1e6)
    material: float = number(1.0, 0, 1e6)


@dataclass
class SessionsConfig:
    """The sessions of experiment=edit_r2. `actions` and `rules` are those of training, too."""

    actions: SessionActions = field(default_factory=SessionActions)
    rules: SessionRules = field(default_factory=SessionRules)
    held_out: int = number(100, 1, 1_000_000)  # sessions of each length that every arm plays
    turns: list[int] = number([3, 5], 1, 1000)  # lengths; those of training are algo.turns


@dataclass
class ExecutionConfig:
    name: str = MISSING  # single | multi | loop
    max_calls: int = number(
        6, 1, 1000
    )  # of the editor in a closed loop; after the last one no more answer is asked for
    # of execution=loop in training: taken off the reward (0 to 1) of every answer that is not a stop
    call_cost: float = number(0.02, 0, 1)
    # of execution=loop: a finished run whose decomposer single and multi execution have in the comparison at equal numbers of
    # calls; null: decomposer.checkpoint
    baseline: str | None = incidental(None)

    @property
    def looped(self) -> bool:
        """Whether the agent sees each picture before it goes on."""
        return self.name == "loop"

    def contents(self) -> Iterator[Content]:
        """As `common.parts.Part.contents`: the decomposer of the finished run."""
        if self.baseline is not None:
            yield Content(f"{self.baseline}/decomposer", CHECKPOINT)


@dataclass
class UnlikeSandbox:
    """From when on a picture or a text is unlike the sandbox, which is all that the tiny models know.

    The measure of pictures is explained in experiments/preflight/unlike_sandbox.py. Measured on 40 scenes of all backgrounds,
    lights, tones and zooms in 13 forms each (drawn at 64 to 512 pixels, resized, as JPEG, with noise of 8 grey levels, blurred a
    little): at most 0.30; with noise of 16 or more blur at most 0.65. On 24 photographs of scikit-image at least
    0.46; of 210 cuts, darker, paler, smaller and blurred versions of them all but 3 lie above 0.4, and so do all of 53 gradients,
    plain colours, drawings, screenshots, charts and noises. Of 80 results of the tiny editors on raw requests 22, which are no
    scenes any more, lie above it.
    Of the words of 600 requests at most a third is unknown (a quarter in 99 % of them), of sentences in German, French, Spanish,
    Russian and Chinese 37 to 100 %; of MICE-Bench's requests, which the decomposer has seen, more than 0.35 in 1 %."""

    picture: float = number(
        0.4, 0, 100
    )  # share of a picture's contrast that may be left when it is drawn again as a scene
    words: float = number(0.35, 0, 1)  # share of a text's words that the decomposer's tokenizer does not know


@dataclass
class PathsConfig:
    outputs: str = "outputs"  # the folder of runs and of everything else that is made
    assets: str = "assets"  # the folder of model checkpoints


__all__ = ["ExecutionConfig", "Needs", "PathsConfig", "ScaleConfig", "SessionsConfig", "UnlikeSandbox"]
