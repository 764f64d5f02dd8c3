"""One process's share of an evaluation: its pictures, then the verdicts on them, then what is measured without a judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.item import Benchmark
from common.errors import BadInput, MissingFile
from common.files import read_json
from common.progress import bar, console
from conf.schema import JudgeConfig, RunConfig
from experiments.build.judges import sampling_of
from experiments.evaluation.editing import FolderMaker, Maker, TeamMaker, check_pictures, edit, missing_turns
from experiments.evaluation.judging import Judging, open_tasks
from experiments.evaluation.layout import (
    CLAIM,
    EDITS,
    LIMITS,
    LOCKS,
    METRICS,
    Key,
    Layout,
    Share,
    claim,
    has_rows,
    held,
    write_changed,
)
from experiments.evaluation.listing import Listing, claim_benchmark
from experiments.evaluation.measuring import Measure, check_metrics, make_measure, measure, unmeasured
from experiments.evaluation.names import ARMS, arm_order
from experiments.evaluation.parts import judge_for, missing_for_judge
from experiments.evaluation.spec import EvaluationSpec, benchmark_identity, open_benchmark
from judges.base import Judge
from judges.question import Usage
from judges.rubrics import make_rubric

ANOTHER = "choose another out=<folder>, or label=<name> to have both in one table"


@dataclass
class Evaluator:
    """What was asked, with the benchmark opened and every part claimed. `judge_of` and `measure_of` load what is heavy."""

    asked: EvaluationSpec
    benchmark: Benchmark
    judge_of: Callable[[str, str, Share], Judge]  # rubric, label, share
    measure_of: Callable[[], Measure] | None
    place: Layout = field(init=False)
    listing: Listing = field(init=False)
    arms: tuple[str, ...] = field(init=False)  # all that this folder has of the benchmark
    _maker: dict[str, Callable[[], Maker]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.place = Layout(self.asked.out, self.asked.benchmark_name)
        check_pictures(self.place, self.benchmark)
        with held(self.asked.out / LOCKS / "claims.lock", wait=True):
            self.listing = claim_benchmark(self.place, self.benchmark, benchmark_identity(self.asked))
            self._claim_arms()
            there = {read_json(p)["arm"] for p in (self.place.folder / EDITS).glob(f"*/{CLAIM}") if has_rows(p.parent)}
            self.arms = tuple(sorted({*there, *self._maker}, key=arm_order))
            if not self.arms:
                raise BadInput(
                    f"there is nothing to judge in {self.place.folder}: name arms=…, or pictures=<folder of edited pictures>"
                )
            self._claim_judge()
            if self.measure_of is not None:
                m = self.asked.config.metrics
                models = {"clip": m.clip, "dino": m.dino, "lpips": m.lpips}
                claim(self.place.folder / METRICS, models, "metrics", "choose another out=<folder>")

    @property
    def lengths(self) -> list[int]:
        """Turns of every unit."""
        found: dict[int, int] = {}
        for unit, turn in self.listing.keys:
            found[unit] = max(found.get(unit, 0), turn + 1)
        return [found[u] for u in range(len(found))]

    def _claim_arms(self) -> None:
        asked, settings = self.asked, None
        for arm in asked.arms:
            settings = settings or arm_settings(asked.used)
            name = asked.named(arm)
            claimed = settings["editor"] if arm == "editor" else {**settings["editor"], **settings["team"]}
            if arm == "agents_rl" and asked.trained is not None:
                claimed = claimed | {"weights": _weights(asked.trained)}
            if arm == "agents":
                claimed = claimed | {"weights": _weights(asked.start)}
            claim(self.place.edits(name), {"arm": name, "chunk": asked.config.chunk, **claimed}, "pictures", ANOTHER)
            self._maker[name] = lambda arm=arm: team_maker(asked, arm)  # type: ignore[misc]
        if asked.pictures is not None:
            from experiments.runs.identity import digest_folder

            name = asked.named(asked.pictures.name)
            maker = FolderMaker(asked.pictures, {i.id: i.key for i in self.listing.items})
            maker.check()
            content = digest_folder(asked.pictures, [f"*{e}" for e in (".png", ".jpg", ".jpeg", ".webp")])
            claim(self.place.edits(name), {"arm": name, "chunk": 1, "content": content}, "pictures", ANOTHER)
            self._maker[name] = lambda: maker

    def _claim_judge(self) -> None:
        if not self.asked.judged:
            return
        judge = self.asked.used.judge
        if judge.kind == "sandbox" and not any(i.gold for i in self.benchmark.unit(0)):
            raise BadInput(
                f"judge={judge.name} compares with exact answers, which benchmark={self.asked.benchmark_name} does not have; "
                "choose another judge, or judge=none for pictures alone"
            )
        if self.rubric:
            make_rubric(self.rubric)  # an unknown one is told before anything is edited
        folder = self.place.judge(self.label)
        claim(
            folder, {"label": self.label, **judge_settings(judge, self.rubric)}, "verdicts", "give judge.name=<another>"
        )
        write_changed(folder / LIMITS, {"max_invalid_share": judge.max_invalid_share})

    @property
    def rubric(self) -> str:
        judge = self.asked.used.judge
        return "" if judge.kind == "sandbox" else judge.rubric or self.benchmark.card.rubric

    @property
    def label(self) -> str:
        """The judge's folder: the same model with two rubrics is two judges."""
        name = self.asked.used.judge.name
        return f"{name}-{self.rubric}" if self.rubric else name

    def missing(self) -> dict[str, dict[int, int]]:
        """Of the arms that were asked for: units and their first turn without a picture."""
        retry, lengths = self.asked.config.retry, self.lengths
        return {arm: missing_turns(self.place, arm, lengths, retry) for arm in self._maker}

    def edit(self, share: Share) -> None:
        missing = self.missing()
        lengths, chunk = self.lengths, self.asked.config.chunk
        for arm, units in missing.items():
            mine = {u: t for u, t in units.items() if share.has(u, chunk)}
            if not mine:
                continue
            todo = sum(lengths[u] - t for u, t in mine.items())
            whole = sum(n for u, n in enumerate(lengths) if share.has(u, chunk))
            began = time.monotonic()
            with bar(f"pictures, {arm}", whole, whole - todo) as b:

                def told(done: int, b: Any = b, first: int = whole - todo, began: float = began) -> None:
                    b.update(first + done, f"{done / max(1e-9, time.monotonic() - began):.2g}/s")

                edit(self.place, arm, self.benchmark, self._maker[arm], mine, share, chunk, told)

    def check(self) -> bool:
        """Whether anything is left to do. Raises MissingFile, in one message, for what that needs and this machine lacks:
        judging what is there needs no editor, and showing what was judged needs nothing."""
        whole, config = Share(), self.asked.config
        arms = [arm for arm, units in self.missing().items() if units]
        tasks = self.asked.judged and open_tasks(self.place, self.label, self.arms, whole, config.chunk, config.retry)
        found = missing_for_arms(self.asked, arms)
        if self.asked.judged and (arms or tasks):
            found += missing_for_judge(self.asked.used.judge)
        if found:
            raise MissingFile("the evaluation cannot start here; missing:\n" + "\n".join(f"  - {f}" for f in found))
        if arms or tasks:
            return True
        names = config.metrics.names
        return any(unmeasured(self.place, arm, names, whole, config.chunk) for arm in self.arms if names)

    def remaining(self, share: Share) -> int:
        """The rows that this share is still to write: edits, verdicts, measurements."""
        config, lengths = self.asked.config, self.lengths
        missing = {
            arm: sum(lengths[u] - t for u, t in units.items() if share.has(u, config.chunk))
            for arm, units in self.missing().items()
        }
        new = sum(missing.values())
        total = new
        if self.asked.judged:
            total += new + len(open_tasks(self.place, self.label, self.arms, share, config.chunk, config.retry))
        if names := config.metrics.names:
            total += new + sum(len(unmeasured(self.place, a, names, share, config.chunk)) for a in self.arms)
        return total

    def judge(self, share: Share) -> bool:
        """False where the budget was spent before the end."""
        if not self.asked.judged:
            return True
        config = self.asked.config
        tasks = open_tasks(self.place, self.label, self.arms, share, config.chunk, config.retry)
        if not tasks:
            return True
        asked = self.judge_of(self.rubric, self.label, share)
        began = time.monotonic()
        with bar(f"verdicts, {self.label}", len(tasks)) as b:
            told = lambda done, usage: b.update(done, spent(done, usage, time.monotonic() - began))  # noqa: E731
            exact = self.asked.used.judge.kind == "sandbox"
            return Judging(self.place, self.label, self.benchmark, asked, share, exact).run(tasks, told)

    def measured(self, found: Mapping[str, Any]) -> bool:
        """Whether the metrics of results.json have all that was asked for, of every picture."""
        section = found.get(self.place.benchmark, {"arms": {}, "drift": {}})
        for arm in self.arms:
            whole = {name for name, cell in section["arms"].get(arm, {}).items() if not cell.get("missing")}
            if not set(self.asked.config.metrics.names) <= whole | ({"drift"} if arm in section["drift"] else set()):
                return False
        return True

    def measure(self, share: Share) -> None:
        if self.measure_of is None:
            return
        names, chunk = self.asked.config.metrics.names, self.asked.config.chunk
        todo: dict[str, list[Key]] = {arm: unmeasured(self.place, arm, names, share, chunk) for arm in self.arms}
        if not any(todo.values()):
            return
        measured = self.measure_of()
        for arm, keys in todo.items():
            if keys:
                with bar(f"metrics, {arm}", len(keys)) as b:
                    measure(self.place, arm, self.benchmark, measured, names, keys, share, b.update)


def missing_for_arms(asked: EvaluationSpec, arms: Sequence[str]) -> list[str]:
    """What editing needs and is not there; pictures made elsewhere need nothing."""
    kinds = {a.rpartition("/")[2] for a in arms} & set(ARMS)
    if not kinds:
        return []
    from experiments.preflight.editor import missing_cache_room, missing_editor, missing_editor_memory
    from experiments.preflight.run import missing_rollouts, missing_weights

    used = asked.used
    found: list[str] = []
    if kinds - {"editor"}:
        found += missing_weights(replace(used.decomposer, checkpoint=str(asked.start)))
        found += missing_rollouts(used.rollouts)
    return [*found, *missing_editor(used.editor), *missing_editor_memory(used), *missing_cache_room(used)]


def spent(done: int, usage: Usage, seconds: float) -> str:
    """Throughput and cost, for the progress bar."""
    parts = [f"{done / max(seconds, 1e-9):.1f}/s"]
    if usage.calls or usage.cached:
        parts.append(f"{usage.calls} calls, {usage.cached} cached")
        parts.append(f"{(usage.input_tokens + usage.output_tokens) / 1000:.0f}k tokens")
    if usage.dollars:
        parts.append(f"${usage.dollars:.2f}")
    return " · ".join(parts)


def team_maker(asked: EvaluationSpec, arm: str) -> TeamMaker:
    from experiments.runs.arms import Arms

    arms = Arms(asked.used, asked.out, [], asked.start, asked.trained or asked.start)
    checkpoint = {"editor": None, "agents": asked.start, "agents_rl": asked.trained}[arm]
    return TeamMaker(arms.team(checkpoint), asked.used.scale.test_seed)


def arm_settings(used: RunConfig) -> dict[str, dict[str, Any]]:
    """What decides an arm's pictures: the parts with the content of their checkpoints; the team's beside the editor's."""
    from experiments.evaluate import editor_digest
    from experiments.runs.identity import identity

    values = identity(used)
    with suppress(MissingFile):  # where the pictures are there already, its checkpoint need not be
        values["editor"]["content"] = editor_digest(used)
    engine = {k: values["engine"][k] for k in ("name", "threads")}
    editor = {"editor": values["editor"], "engine": engine, "seed": used.scale.test_seed}
    values["decomposer"].pop("content", None)  # the weights are claimed, those of the arm
    return {"editor": editor, "team": {g: values[g] for g in ("execution", "sequencer", "decomposer", "rollouts")}}


def _weights(checkpoint: Path) -> str:
    from experiments.runs.identity import digest_folder

    return digest_folder(checkpoint, ("*.safetensors",))


JUDGING = (
    "name",
    "kind",
    "model",
    "repeats",
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "structured",
    "extra",
    "dtype",
)


def judge_settings(judge: JudgeConfig, rubric: str) -> Mapping[str, Any]:
    """What decides a verdict: settings as they are in the end, also where they are the protocol's own, and the hash of its
    prompts. Not how fast or how often a service is asked, nor what it costs."""
    values = asdict(judge)
    found = {k: values[k] for k in JUDGING} | {"rubric": rubric}
    if not rubric:
        return found
    protocol = make_rubric(rubric)
    sampling = sampling_of(judge, protocol.sampling)
    own = {k: getattr(sampling, k) for k in ("temperature", "top_p", "top_k", "max_tokens", "seed")}
    repeats = protocol.repeats if judge.repeats is None else judge.repeats
    return found | own | {"repeats": repeats, "prompts": protocol.version}


def open_evaluator(asked: EvaluationSpec) -> Evaluator:
    """Raises BadInput, BadData, MissingFile for data, parts or claims that do not fit."""
    place = Layout(asked.out, asked.benchmark_name)

    def judge(rubric: str, label: str, share: Share) -> Judge:
        return judge_for(asked, rubric, share, place.judge(label))

    metrics = None
    if asked.config.metrics.names:
        check_metrics(asked.config.metrics)
        metrics = lambda: make_measure(asked.config.metrics)  # noqa: E731
    return Evaluator(asked, open_benchmark(asked.used.benchmark, asked.used), judge, metrics)


def say_shares(stages: Evaluator, share: Share) -> None:
    blocks = -(-len(stages.benchmark) // stages.asked.config.chunk)
    if share.shards > blocks:
        console.print(
            f"{share.shards} shards share {blocks} blocks of chunk={stages.asked.config.chunk} units: some have nothing to do"
        )


__all__ = ["Evaluator", "open_evaluator", "say_shares", "spent"]
