"""A training set from its sources to its records: read, keep evaluation items apart, copy pictures, label, write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.avoid import Avoided, Dropped, drop, drop_near_held_out, load_avoided
from benchmarks.goals import fault
from benchmarks.labels import BY_DATA, Labelled, TrainingRequest
from benchmarks.requests import Read
from common.errors import BadInput
from common.files import read_json, write_json
from common.progress import console, say
from conf.schema import PrepareConfig
from experiments.build.judges import cache_of, make_client
from experiments.training_data.checks import NO_AVOID
from experiments.training_data.labelling import Labels, tasks_of
from experiments.training_data.manifest import LeftOut, TrainingSet
from experiments.training_data.pictures import copy_pictures
from experiments.training_data.sources import evaluated_samples, given_options, read_source
from judges.labelling import SAMPLING, Label, prompt_version
from judges.question import Client, JudgeSampling, Usage
from judges.spending import Prices

SETTINGS = "prepare.json"  # what the folder was begun with
NO_PICTURE = "its picture is not there"
NOT_EXECUTABLE = "an edit that cannot be carried out"  # benchmarks/goals.py
NO_LABELLER = "its atomic sequence cannot be read, and no judge was given"


def labeller(config: PrepareConfig) -> Client:
    """The model of a judge, asked without its rubric. What earlier starts paid for this set counts towards the budget."""
    left = config.budget
    if left is not None:
        left = max(0.0, left - Labels(Path(config.out), sampling(config), write=False).usage().dollars)
    return make_client(config.judge, config.engine, cache_of(config.judge, config.paths.outputs), left)


def sampling(config: PrepareConfig) -> JudgeSampling:
    """The labeller's own settings, with what the judge's configuration names in their place."""
    return config.judge.sampling(SAMPLING)


@dataclass
class Preparation:
    """One training set in its folder `out`. Without a client, requests without labels are left out."""

    config: PrepareConfig
    out: Path
    client: Client | None
    left_out: LeftOut = field(default_factory=LeftOut)

    def run(self) -> None:
        """Raises BadInput, BadData, MissingFile, RunFailed; what was labelled until then is kept."""
        self.check_folder()
        reads = {name: read_source(name, getattr(self.config, name)) for name in self.config.sources}
        for name, read in reads.items():
            say(f"{name}: {len(read.candidates)} requests from {read.facts['where']}")
            self.left_out.counts.update({f"{name}: {why}": n for why, n in read.left_out.items()})
        avoided = self.avoided(reads)
        candidates, dropped = self.apart([c for read in reads.values() for c in read.candidates], avoided)
        if self.config.dry_run:
            self.say_cost(candidates)
            console.print("dry_run=true: nothing was asked and nothing written")
            return
        write_json(self.out / SETTINGS, self.settings())  # only now: a source that was mistyped claims no folder
        candidates = self.with_pictures(candidates, reads)
        labels, cost = self.labels([c for c in candidates if c.edits is None])
        records = self.records(candidates, labels)
        TrainingSet(records, self.settings(), reads, avoided, dropped, self.left_out, cost).write(self.out)

    def check_folder(self) -> None:
        """BadInput where the folder holds another set."""
        if (self.out / SETTINGS).is_file():
            existing, settings = read_json(self.out / SETTINGS), self.settings()
            other = sorted(k for k in {*existing, *settings} if existing.get(k) != settings.get(k))
            if other:
                raise BadInput(f"{self.out} holds another set (other {', '.join(other)}); choose another out=<folder>")

    def settings(self) -> dict[str, Any]:
        """What decides the records, budget and speed left aside."""
        c, judge = self.config, self.config.judge
        labels = None
        if judge is not None:
            address = getattr(judge, "base_url", "")
            labels = {
                "model": judge.model,
                "base_url": address,
                "sampling": vars(sampling(c)),
                "prompt": prompt_version(),
            }
        return {
            "sources": {name: given_options(getattr(c, name)) for name in sorted(c.sources)},
            "avoid": sorted(c.avoid),
            "near": c.near,
            "pictures": c.pictures,
            "labels": labels,
        }

    def avoided(self, reads: Mapping[str, Read]) -> list[Avoided]:
        """The evaluation sets named, and those that came along with a source."""
        entries = sorted(set(self.config.avoid) - {NO_AVOID})
        sets = [load_avoided(entry, evaluated_samples()) for entry in entries]
        sets += [Avoided(f"{n}, published test", r.evaluated, frozenset()) for n, r in reads.items() if r.evaluated]
        for one in sets:
            say(f"avoid {one.name}: {len(one.texts)} texts, {len(one.ids)} ids")
            for missing in one.missing:
                say(f"  not all of {one.name} is here: {missing}")
        return sets

    def apart(
        self, candidates: list[TrainingRequest], avoided: list[Avoided]
    ) -> tuple[list[TrainingRequest], list[Dropped]]:
        """Without evaluation items and what is too near to one; sorted by id, which must be unique."""
        candidates = sorted(candidates, key=lambda c: c.id)
        candidates, evaluation = drop(candidates, avoided, self.config.near)
        candidates, own = drop_near_held_out(candidates, self.config.near)
        self.left_out.counts.update(
            f"{d.of}: the same {d.by}" if d.similarity == 1 else f"{d.of}: too near" for d in evaluation
        )
        self.left_out.counts.update(f"{d.of}: too near or the same" for d in own)
        say(f"removed: {len(evaluation)} too near to evaluation items, {len(own)} to the set's own held-out parts")
        return candidates, [*evaluation, *own]

    def with_pictures(self, candidates: list[TrainingRequest], reads: Mapping[str, Read]) -> list[TrainingRequest]:
        """Candidates with the paths of their pictures; those that a data set holds itself are copied into the folder."""
        if self.config.pictures == "none":
            return [replace(c, picture=None, row=None) for c in candidates]
        for name, read in reads.items():
            of_source = [c for c in candidates if c.source == name and c.row is not None]
            if of_source and read.pictures is not None:
                paths = copy_pictures(of_source, read.pictures, self.out, name, read.identity)
                candidates = [replace(c, picture=paths.get(c.id, c.picture)) for c in candidates]
        exists = {c.id: (path := self.picture(c)) is None or path.is_file() for c in candidates}
        for c in candidates:
            if not exists[c.id]:
                self.left_out.add(c, NO_PICTURE, str(c.picture))
        return [c for c in candidates if exists[c.id]]

    def picture(self, candidate: TrainingRequest) -> Path | None:
        return None if candidate.picture is None else self.out / candidate.picture

    def say_cost(self, candidates: list[TrainingRequest]) -> None:
        """What labels will cost, where nothing is asked."""
        unlabelled = [c for c in candidates if c.edits is None]
        if self.client is None:
            say("labels: no request to a model")
            return
        tasks = tasks_of(unlabelled, self.client.model, sampling(self.config), lambda c: None)
        labels = Labels(self.out, sampling(self.config), write=False)
        say(labels.estimate(list(tasks.values()), self.prices, self.config.pictures == "send").text())

    @property
    def prices(self) -> Prices:
        return Prices(*(getattr(self.config.judge, key, 0.0) for key in ("price_in", "price_out")))

    def labels(self, candidates: list[TrainingRequest]) -> tuple[dict[str, Label], Usage]:
        """By the candidate's id, and what all labels of the folder cost in all its processes (what a cache answered was paid
        for elsewhere). Says what they will cost before the first is asked for."""
        if self.client is None:
            for c in candidates:
                self.left_out.add(c, NO_LABELLER)
            return {}, Usage()
        send = self.config.pictures == "send"
        tasks = tasks_of(candidates, self.client.model, sampling(self.config), self.picture if send else lambda c: None)
        labels = Labels(self.out, sampling(self.config))
        say(labels.estimate(list(tasks.values()), self.prices, send).text())
        unanswered = labels.fill(list(tasks.values()), self.client, self.config.judge.max_invalid_share)
        keys = {c.id: tasks[c.id].key for c in candidates}
        return {i: labels.get(key) or unanswered[key] for i, key in keys.items()}, labels.usage()

    def records(self, candidates: list[TrainingRequest], labels: Mapping[str, Label]) -> list[Labelled]:
        """Candidates with the edits of their source or of the labeller; those without, or with edits that cannot be carried
        out, are left out with their reason."""
        by_model = {"by": "model", "model": self.client.model, "prompt": prompt_version()} if self.client else {}
        records = []
        for c in candidates:
            edits, by = (c.edits, BY_DATA) if c.edits is not None else (None, by_model)
            if edits is None and c.id in labels:
                edits = labels[c.id].edits
                if edits is None:
                    self.left_out.add(c, labels[c.id].reason, labels[c.id].detail)
            if edits is None:
                continue
            record = Labelled(c.id, c.request, edits, c.source, c.licence, by, c.history, c.kind, c.picture)
            if why := fault(record.gold):
                self.left_out.add(c, NOT_EXECUTABLE, why)
            else:
                records.append(record)
        return records


__all__ = ["Preparation", "labeller", "sampling"]
