"""`python -m experiments.prepare out=<folder> sources=[psr,mice,…] avoid=[…]`: the decomposer's training set.

Requests are gathered, those too near to evaluation items removed, the rest labelled (by the data, or by a model), and
`records.jsonl` written with a `manifest.json` that says where everything came from and what was left out and why. What it
will cost is said before it starts; `dry_run=true` says only that. The same command again goes on, and asks nothing twice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conf.schema import PrepareConfig, SourceConfig
from experiments.runs.cli import command

if TYPE_CHECKING:
    from benchmarks.avoid import Avoided, Dropped
    from benchmarks.labels import Candidate, Labelled
    from benchmarks.requests import Read
    from judges.question import Client, Sampling

SOURCES = ("psr", "requests", "mice", "complex_edit")
LABELLED = ("psr", "requests")  # sources that bring no labels
PICTURES = ("none", "keep", "send")
NO_AVOID = "none"  # the only entry of avoid where nothing is kept apart
FREE_TEXT = ("out",)
ASKED = "prepare.json"  # what the folder was begun with
FORMAT = 1  # of records.jsonl and manifest.json
NO_PICTURE = "its picture is not there"
NO_LABELLER = "its atomic sequence cannot be read, and no judge was given"


def main(config: PrepareConfig) -> None:
    from common.files import locked

    check(config)
    out = Path(config.out)
    if not config.verbose:
        import datasets

        datasets.disable_progress_bars()
    client = labeller(config) if config.judge.name else None
    if config.dry_run:
        Work(config, out, client).run()
        return
    with locked(out):
        Work(config, out, client).run()


def check(config: PrepareConfig) -> None:
    """Refuse what cannot work before anything is read. Raises BadInput, MissingFile."""
    from common.errors import BadInput, MissingFile
    from experiments.preflight.run import missing_keys

    if not config.sources:
        raise BadInput(f"sources=[…] names where requests come from: some of {', '.join(SOURCES)}")
    for name in config.sources:
        if name not in SOURCES:
            raise BadInput(f"sources: there is no {name!r}; choose from {', '.join(SOURCES)}")
        if name in LABELLED and not config.judge.name:
            raise BadInput(f"the requests of {name} carry no labels: choose a model that labels them, e.g. judge=gpt4o")
    check_avoid(config)
    if config.pictures not in PICTURES:
        raise BadInput(f"pictures={config.pictures} is unknown; choose {', '.join(PICTURES[:-1])} or {PICTURES[-1]}")
    if not 0 < config.near <= 1:
        raise BadInput(f"near={config.near} is no similarity; give more than 0 and at most 1")
    if config.judge.name and not config.dry_run:
        from conf.schema import TrackerConfig

        if missing := list(missing_keys(config.judge, TrackerConfig(name="jsonl"))):
            raise MissingFile(f"requests cannot be labelled; missing: {'; '.join(missing)}")


def check_avoid(config: PrepareConfig) -> None:
    """BadInput where requests of people would be gathered without a word on what is evaluated: nothing could then be kept
    apart, and public sets overlap (PSR-328 is of PSR's own subreddit)."""
    from benchmarks import catalogue
    from common.errors import BadInput

    if list(config.avoid) == [NO_AVOID] or not (people := [s for s in config.sources if s in LABELLED]):
        return
    way_out = f"avoid=[{NO_AVOID}] goes without, and then no number on these sets means anything"
    if not config.avoid:
        raise BadInput(
            f"sources={people}: name what is evaluated, so that it is not trained on: avoid=[psr,realedit,…] (a benchmark, "
            f"<benchmark>:<path>, or a file of requests); {way_out}"
        )
    names = [entry.partition(":")[0] for entry in config.avoid]
    if "psr" in people and "psr" not in names and all(n in catalogue.NAMES for n in names):
        raise BadInput(f"sources=[psr] without psr among avoid: PSR-328 may be in the training set; {way_out}")


def labeller(config: PrepareConfig) -> Client:
    """The model of a judge, asked without its rubric. What earlier starts paid for this set counts towards the budget."""
    from experiments.build.judges import make_client
    from experiments.training_data.labelling import Labels

    cache = Path(config.judge.cache or Path(config.paths.outputs) / "cache" / "judge")
    left = config.budget
    if left is not None:
        left = max(0.0, left - Labels(Path(config.out), sampling(config), write=False).usage().dollars)
    return make_client(config.judge, config.engine, cache, left)


def sampling(config: PrepareConfig) -> Sampling:
    """The labeller's own settings, with what the judge's configuration names in their place."""
    from experiments.build.judges import sampling_of
    from judges.labelling import SAMPLING

    return sampling_of(config.judge, SAMPLING)


@dataclass
class Work:
    """One set in its folder."""

    config: PrepareConfig
    out: Path
    client: Client | None
    left_out: Counter[str] = field(default_factory=Counter)
    left_out_items: list[dict[str, str]] = field(default_factory=list)

    def run(self) -> None:
        from common.files import write_json
        from common.progress import console, say

        dry = self.config.dry_run
        self.check_folder()
        reads = {name: read_source(name, getattr(self.config, name)) for name in self.config.sources}
        for name, read in reads.items():
            say(f"{name}: {len(read.candidates)} requests from {read.facts['where']}")
            self.left_out.update({f"{name}: {why}": n for why, n in read.left_out.items()})
        avoided = self.avoided(reads)
        kept, dropped = self.apart([c for read in reads.values() for c in read.candidates], avoided)
        if not dry:
            write_json(self.out / ASKED, self.asked())  # only now: a source that was mistyped claims no folder
            kept = self.pictures(kept, reads)
        records = self.labelled(kept)
        if records is None:  # a dry run
            console.print("dry_run=true: nothing was asked and nothing written")
            return
        self.write(records, reads, avoided, dropped)

    def check_folder(self) -> None:
        """BadInput where the folder holds another set."""
        from common.errors import BadInput
        from common.files import read_json

        if (self.out / ASKED).is_file():
            known, asked = read_json(self.out / ASKED), self.asked()
            other = sorted(k for k in {*known, *asked} if known.get(k) != asked.get(k))
            if other:
                raise BadInput(f"{self.out} holds another set (other {', '.join(other)}); choose another out=<folder>")

    def asked(self) -> dict[str, Any]:
        """What decides the records, budget and speed left aside."""
        from judges.labelling import prompt_version

        c, judge = self.config, self.config.judge
        sources = {name: plain(getattr(c, name)) for name in sorted(c.sources)}
        labels = {"model": judge.model, "base_url": judge.base_url, "sampling": vars(sampling(c))}
        labels |= {"prompt": prompt_version()}
        return {
            "sources": sources,
            "avoid": sorted(c.avoid),
            "near": c.near,
            "pictures": c.pictures,
            "labels": labels if judge.name else None,
        }

    def avoided(self, reads: Mapping[str, Read]) -> list[Avoided]:
        """The evaluation sets named, and those that came along with a source."""
        from benchmarks.avoid import Avoided, load_avoided
        from common.progress import say

        entries = sorted(set(self.config.avoid) - {NO_AVOID})
        made = [load_avoided(entry, evaluated_samples()) for entry in entries]
        made += [Avoided(f"{n}, published test", r.evaluated, frozenset()) for n, r in reads.items() if r.evaluated]
        for one in made:
            say(f"avoid {one.name}: {len(one.texts)} texts, {len(one.ids)} ids")
            for lack in one.missing:
                say(f"  not all of {one.name} is here: {lack}")
        return made

    def apart(self, candidates: list[Candidate], avoided: list[Avoided]) -> tuple[list[Candidate], list[Dropped]]:
        """Without evaluation items and what is too near to one; sorted by id, which must be unique."""
        from benchmarks.avoid import drop, drop_near_held_out
        from common.progress import say

        candidates = sorted(candidates, key=lambda c: c.id)
        kept, evaluation = drop(candidates, avoided, self.config.near)
        kept, own = drop_near_held_out(kept, self.config.near)
        self.left_out.update(
            f"{d.of}: the same {d.by}" if d.similarity == 1 else f"{d.of}: too near" for d in evaluation
        )
        self.left_out.update(f"{d.of}: too near or the same" for d in own)
        say(f"removed: {len(evaluation)} too near to evaluation items, {len(own)} to the set's own held-out parts")
        return kept, [*evaluation, *own]

    def pictures(self, candidates: list[Candidate], reads: Mapping[str, Read]) -> list[Candidate]:
        """Candidates with the paths of their pictures; those that a data set holds itself are copied into the folder."""
        from experiments.training_data.pictures import copy_pictures

        if self.config.pictures == "none":
            return [replace(c, picture=None, row=None) for c in candidates]
        for name, read in reads.items():
            mine = [c for c in candidates if c.source == name and c.row is not None]
            if mine and read.pictures is not None:
                paths = copy_pictures(mine, read.pictures, self.out)
                candidates = [replace(c, picture=paths.get(c.id, c.picture)) for c in candidates]
        there = {c.id: (path := self.picture(c)) is None or path.is_file() for c in candidates}
        for c in candidates:
            if not there[c.id]:
                self.leave_out(c, NO_PICTURE, str(c.picture))
        return [c for c in candidates if there[c.id]]

    def labelled(self, candidates: list[Candidate]) -> list[Labelled] | None:
        """The records; None for a dry run. Prints what labels will cost before the first is asked for."""
        from benchmarks.labels import BY_DATA, Labelled
        from common.progress import say
        from experiments.training_data.labelling import Labels, tasks_of
        from judges.labelling import prompt_version
        from judges.spending import Prices

        bare = [c for c in candidates if c.edits is None]
        found: dict[str, Any] = {}
        if self.client is None:
            for c in bare:
                self.leave_out(c, NO_LABELLER)
            if self.config.dry_run:
                say("labels: no request to a model")
        else:
            judge, send = self.config.judge, self.config.pictures == "send" and not self.config.dry_run
            tasks = tasks_of(bare, self.client.model, sampling(self.config), self.picture if send else lambda c: None)
            labels = Labels(self.out, sampling(self.config), write=not self.config.dry_run)
            prices = Prices(judge.price_in, judge.price_out)
            say(labels.estimate(list(tasks.values()), prices, self.config.pictures == "send").said())
            if not self.config.dry_run:
                lost = labels.fill(list(tasks.values()), self.client, judge.max_invalid_share)
                found = {c.id: labels.get(tasks[c.id].key) or lost[tasks[c.id].key] for c in bare}
                self.usage = labels.usage()
        if self.config.dry_run:
            return None
        told = {"by": "model", "model": self.client.model, "prompt": prompt_version()} if self.client else {}
        records = []
        for c in candidates:
            edits, by = (c.edits, BY_DATA) if c.edits is not None else (None, told)
            if edits is None and c.id in found:
                edits = found[c.id].edits
                if edits is None:
                    self.leave_out(c, found[c.id].reason, found[c.id].detail)
            if edits is not None:
                records.append(Labelled(c.id, c.request, edits, c.source, c.licence, by, c.history, c.kind, c.picture))
        return records

    def picture(self, candidate: Candidate) -> Path | None:
        return None if candidate.picture is None else self.out / candidate.picture

    def leave_out(self, candidate: Candidate, reason: str, detail: str = "") -> None:
        self.left_out[f"{candidate.source}: {reason}"] += 1
        row = {"id": candidate.id, "request": candidate.request, "reason": reason}
        self.left_out_items.append(row | ({"detail": detail} if detail else {}))

    def write(
        self, records: list[Labelled], reads: Mapping[str, Read], avoided: list[Avoided], dropped: list[Dropped]
    ) -> None:
        from benchmarks.labels import MANIFEST, PARTS, RECORDS
        from common.errors import BadData
        from common.files import write_json, write_text
        from common.progress import console

        if not records:
            why = "; ".join(f"{n} × {reason}" for reason, n in self.left_out.most_common(5))
            raise BadData(f"no request is left to train on ({why or 'the sources are empty'})")
        text = "".join(r.to_json() + "\n" for r in records)
        parts = Counter(r.part for r in records)
        manifest = {
            "format": FORMAT,
            "records": len(records),
            "parts": {p: parts[p] for p in PARTS},
            "by_source": counted(r.source for r in records),
            "by_label": counted(str(r.labels["by"]) for r in records),
            "actions": counted(e.action for r in records for e in r.gold),
            "with_picture": sum(r.picture is not None for r in records),
            "sources": {name: read.facts | {"licences": licences(records, name)} for name, read in reads.items()},
            "asked": self.asked(),
            "left_out": dict(sorted(self.left_out.items())),
            "left_out_items": self.left_out_items,
            "avoided": [
                {"name": a.name, "texts": len(a.texts), "ids": len(a.ids), "missing": list(a.missing)} for a in avoided
            ],
            "too_near": [asdict(d) for d in dropped],
            "sha256": {RECORDS: hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()},
            "cost": self.cost(),
        }
        write_text(self.out / RECORDS, text)
        write_json(self.out / MANIFEST, manifest)
        console.print(
            f"{len(records)} records ({', '.join(f'{p} {parts[p]}' for p in PARTS)}), {sum(self.left_out.values())} left out "
            f"(why: {MANIFEST}); cost ${self.cost()['dollars']:.2f}"
        )
        console.print(
            f"written: [bold]{self.out / RECORDS}[/], {MANIFEST}; to train: benchmark=prepared benchmark.path=…"
        )

    def cost(self) -> dict[str, Any]:
        """Of the labels of this folder, in all its processes; what a cache answered was paid for elsewhere."""
        from judges.question import Usage

        return vars(getattr(self, "usage", Usage())) | {}


def read_source(name: str, config: SourceConfig) -> Read:
    """The requests of one source."""
    from benchmarks.carried import read_complex_edit, read_mice
    from benchmarks.options import Options
    from benchmarks.requests import PSR, REQUESTS, read_requests

    known = {f.name for f in fields(Options)}
    options = Options(**{k: v for k, v in asdict(config).items() if k in known and k != "complexity"})
    options = replace(options, complexity=tuple(config.complexity))
    match name:
        case "psr":
            return read_requests(PSR, options, config.licence)
        case "requests":
            return read_requests(REQUESTS, options, config.licence)
        case "mice":
            return read_mice(options)
    return read_complex_edit(options)


def evaluated_samples() -> dict[str, dict[str, Any]]:
    """Options of benchmarks without a test split of their own: what is evaluated there is the sample that the
    configuration draws (conf/benchmark/)."""
    from omegaconf import OmegaConf

    from experiments.runs.cli import CONF

    path = CONF / "benchmark" / "ultraedit.yaml"
    if not path.is_file():
        return {}
    chosen: Any = OmegaConf.to_container(OmegaConf.load(path))
    return {"ultraedit": {k: chosen[k] for k in ("samples", "seed") if k in chosen}}


def plain(config: SourceConfig) -> dict[str, Any]:
    """What was set of a source."""
    default = asdict(SourceConfig())
    return {k: v for k, v in asdict(config).items() if v != default[k]}


def counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))


def licences(records: Iterable[Labelled], source: str) -> list[str]:
    return sorted({r.licence for r in records if r.source == source})


if __name__ == "__main__":
    command("prepare", main, FREE_TEXT)
