"""Who teaches a reward model: programs in the sandbox, models elsewhere, and people by the pairs that they ordered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any

from common.errors import BadData, BadInput
from common.parts import Machine
from experiments.build.judges import cache_of, make_client

if TYPE_CHECKING:
    from benchmarks.base import EditSample
    from benchmarks.preferences import PreferenceSet
    from conf.schema import RunConfig
    from experiments.training_data.candidates import Candidate
    from experiments.training_data.cold_start import Teacher
    from judges.question import Client
    from judges.reasoning.points import Point
    from judges.reasoning.trace import Trace
    from judges.reasoning.written import WrittenAnswers, WrittenTraces
    from judges.rubrics.rrm import Points
    from rl.gcpo import EditPair


@dataclass(frozen=True)
class WrittenTeacher:
    """`experiments.training_data.cold_start.Teacher` by models."""

    write_points: Points
    write_traces: WrittenTraces
    write_answers: WrittenAnswers

    def points(self, sample: EditSample) -> Sequence[Point]:
        return self.write_points(sample)

    def traces(self, candidate: Candidate, points: Sequence[Point]) -> Sequence[str]:
        return self.write_traces(candidate.sample, candidate.opens())

    def answers(self, candidate: Candidate, points: Sequence[Point], traces: Sequence[Trace]) -> Sequence[int]:
        return self.write_answers(candidate.sample, candidate.opens(), points, traces)


def by_program(config: RunConfig) -> bool:
    """Whether the sandbox's programs teach. Raises BadInput where only some of the models are named, or none for other data."""
    data = config.rrm.data
    named = [bool(data.points_by), bool(data.traces_by), bool(data.verified_by)]
    if any(named) != all(named):
        raise BadInput(
            "rrm.data.points_by, traces_by and verified_by belong together: name a judge for each, or for none"
        )
    if not any(named) and config.benchmark.name != "sandbox":
        raise BadInput(
            f"benchmark={config.benchmark.name} has no programs that write evaluation points; name models by rrm.data.points_by, "
            "traces_by and verified_by (choices of judge=)"
        )
    return not any(named)


def points_of(config: RunConfig) -> Points:
    """Evaluation points of samples, each sample's made once."""
    from judges.reasoning.sandbox import sandbox_points
    from judges.reasoning.written import WrittenPoints

    if by_program(config):
        return sandbox_points
    written, known = WrittenPoints(client_named(config, config.rrm.data.points_by)), dict[tuple[str, str], Any]()

    def points(sample: EditSample) -> Sequence[Point]:
        key = (sample.id, sample.request)
        if key not in known:
            known[key] = written(sample)
        return known[key]  # type: ignore[no-any-return]

    return points


def make_teacher(config: RunConfig) -> Teacher:
    from experiments.tiny.simulated import Writers
    from experiments.tiny.teacher import SandboxTeacher
    from judges.reasoning.written import WrittenAnswers, WrittenTraces
    from judges.rubrics.rrm import RRMRubric

    data = config.rrm.data
    if by_program(config):
        return SandboxTeacher(Writers(data.writer_errors, data.writer_score_std), data.traces, config.seed)
    points = points_of(config)
    rubric = RRMRubric(points, config.rrm.prompt, max_tokens=config.rrm.max_new_tokens)
    clients = [client_named(config, name) for name in data.traces_by]
    return WrittenTeacher(
        points,
        WrittenTraces(clients, rubric, data.traces),
        WrittenAnswers(client_named(config, data.verified_by)),
    )


def client_named(config: RunConfig, name: str) -> Client:
    judge = choice(config, "judge", name)
    return make_client(judge, config.engine, cache_of(judge, config.paths.outputs))


def choice(config: RunConfig, group: str, name: str) -> Any:
    """<group>=<name> at the run's scale and in its folders; the run's own where it has this name. Raises BadInput for a name that
    is none."""
    own = getattr(config, group)
    return own if name == own.name else _composed(group, name, config.scale.name, *vars(config.paths).items())


@cache
def _composed(group: str, name: str, scale: str, *folders: tuple[str, str]) -> Any:
    from experiments.runs.composing import compose, typed

    words = [f"paths.{key}={quoted(value)}" for key, value in folders]
    return getattr(typed(compose("run", [f"{group}={name}", f"scale={scale}", *words])), group)


def quoted(text: str) -> str:
    """A text as one value of a Hydra override, whatever is in it."""
    return "'" + text.replace("'", "\\'") + "'"


def missing_teachers(config: RunConfig, machine: Machine) -> Iterator[str]:
    """What the named models and editors lack here."""
    data = config.rrm.data
    if not by_program(config):
        for name in dict.fromkeys([data.points_by, *data.traces_by, data.verified_by]):
            yield from choice(config, "judge", name).missing(machine)
    for name in data.editors:
        yield from choice(config, "editor", name).missing(machine)


def human_pairs(config: RunConfig) -> tuple[list[EditPair], list[EditPair]]:
    """(to train on, held out) of the set `rrm.data.preferences`, in an order by the run's seed; what people tied is left out.
    Raises what reading the set raises, BadData where nothing is left to train on."""
    from benchmarks.preferences import load

    data = config.rrm.data
    pairs = pairs_of(load(data.preferences, path=data.preferences_path or None))
    shuffled = Random(f"pairs/{config.seed}").sample(pairs, len(pairs))
    held_out = min(data.held_out, len(shuffled) // 2)
    if len(shuffled) - held_out < 1:
        raise BadData(
            f"rrm.data.preferences={data.preferences} has {len(pairs)} comparisons without a tie; GCPO needs two or more"
        )
    return shuffled[: len(shuffled) - held_out], shuffled[len(shuffled) - held_out :]


def pairs_of(data: PreferenceSet) -> list[EditPair]:
    """The comparisons that have a winner and both pictures, the preferred edit first."""
    from benchmarks.preferences.base import A, B
    from rl.gcpo import EditPair

    pairs = []
    for group in data.groups:
        for comparison in group.comparisons:
            a, b = group.candidates[comparison.a], group.candidates[comparison.b]
            if comparison.human in (A, B) and a.picture is not None and b.picture is not None:
                first, second = (a, b) if comparison.human == A else (b, a)
                assert first.picture is not None and second.picture is not None
                pairs.append(EditPair(group.item, first.picture, second.picture))
    return pairs


__all__ = [
    "WrittenTeacher",
    "by_program",
    "choice",
    "human_pairs",
    "make_teacher",
    "missing_teachers",
    "pairs_of",
    "points_of",
]
