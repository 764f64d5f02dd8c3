"""Requests that bring their labels along: MICE-Bench's sessions and Complex-Edit's atomic sequences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks import catalogue
from benchmarks.atomic import read_sequence
from benchmarks.base import EditSample
from benchmarks.errors import BadInput
from benchmarks.item import Item
from benchmarks.labels import Candidate, part_of_request
from benchmarks.mice import MiceText, without_rule
from benchmarks.options import Options
from benchmarks.requests import Read
from benchmarks.sampling import sample_ids

MICE_SOURCE, MICE_LICENCE = "github.com/yuxiaooye/Edit-R2, dataset/", "not stated"
COMPLEX_EDIT_SPLITS = ("test_real", "test_syn")


def read_mice(options: Options) -> Read:
    """Turns of MICE-Bench's training sessions with the gold of `formatted_instruction`, each with its history.

    Sessions of published test files are left out, whatever they hash to; sessions that `benchmark=mice_text` tests on
    stay in this set's test part. options.samples: turns. Raises MissingFile, BadData, BadInput.
    """
    data = MiceText(options.path, "all")
    published = {s.id for s in published_test(options.path)}
    turns = [s for s in data if s.id not in published]
    turns = [turns[i] for i in sorted(sample_ids(len(turns), options.samples, options.seed))]
    left_out = Counter(dict(data.report["unmapped"]))
    if published:
        left_out["published test sessions"] = len(published)
    made = tuple(
        Candidate(
            f"mice-{s.id}",
            s.request,
            "mice",
            MICE_LICENCE,
            s.history,
            s.kind,
            edits=s.gold,
            own_id=s.id,
            said=said(s),
        )
        for s in turns
    )
    total = sum(data.report["turns"].values())
    where = str(Path(data.folder))
    return Read(made, {"where": where, "published": MICE_SOURCE, "rows": total, "taken": len(made)}, left_out)


def published_test(path: str | None) -> list[EditSample]:
    """The turns of files named "test" that stand beside others, as benchmarks/mice.py has it."""
    try:
        test = MiceText(path, "test")
    except BadInput:  # BadData is none: no turn in that part
        raise
    return [s for s in test if part_of_request(s.request, s.history) != "test"]


def said(sample: EditSample) -> tuple[str, ...]:
    """What a turn is compared by: the whole prompt and the request alone, without the lasting rule's fixed wording."""
    turns = [without_rule(t) for t in (*sample.history, sample.request)]
    return tuple(dict.fromkeys((" ".join(turns), turns[-1])))


def read_complex_edit(options: Options) -> Read:
    """Complex-Edit's compound instructions with their atomic sequence as gold, where it can be read without guessing
    (benchmarks/atomic.py); `edits` is None for the others, with the reason counted.

    Both published splits are test splits: who trains on them cannot evaluate on them. options: split (empty: both),
    complexity, samples of each split, seed. Raises MissingFile, BadData, BadInput.
    """
    made: list[Candidate] = []
    unread: Counter[str] = Counter()
    rows = 0
    for split in [options.split] if options.split else COMPLEX_EDIT_SPLITS:
        bench = catalogue.load(
            "complex_edit",
            path=options.path,
            hub=options.hub,
            revision=options.revision,
            split=split,
            samples=options.samples,
            seed=options.seed,
            complexity=options.complexity,
        )
        rows += len(bench)
        for item in (i for u in range(len(bench)) for i in bench.unit(u)):
            edits, why = read_sequence(tuple(item.facts.get("sequence", ())))
            if why:
                unread[why] += 1
            made.append(_complex(item, edits, bench.card.licence))
    facts = {"where": options.path or options.hub or "UCSC-VLAA/Complex-Edit", "rows": rows, "taken": len(made)}
    facts |= {"revision": options.revision, "sequences_not_read": dict(sorted(unread.items()))}
    return Read(tuple(made), facts)


def _complex(item: Item, edits: tuple | None, licence: str) -> Candidate:
    return Candidate(
        f"complex_edit-{item.id}",
        item.request,
        "complex_edit",
        licence,
        kind="complex_edit",
        edits=edits,
        own_id=item.id,
    )


def items(bench: catalogue.Benchmark) -> Iterator[Item]:
    """Every item of every unit."""
    return (item for u in range(len(bench)) for item in bench.unit(u))


__all__ = ["published_test", "read_complex_edit", "read_mice", "said"]
