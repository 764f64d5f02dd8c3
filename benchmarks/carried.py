"""Training requests with published labels: MICE-Bench's sessions and Complex-Edit's atomic sequences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks import catalogue
from benchmarks.atomic import read_sequence
from benchmarks.base import Edit, EditSample
from benchmarks.item import Item
from benchmarks.labels import TrainingRequest, session_key
from benchmarks.mice import MiceText
from benchmarks.mice_records import published_test, read_records, without_rule
from benchmarks.options import BenchmarkOptions
from benchmarks.requests import Read
from benchmarks.sampling import sample_ids
from benchmarks.sources import fingerprint
from benchmarks.tables import TablePicture
from common.errors import MissingFile

MICE_SOURCE, MICE_LICENCE = "github.com/yuxiaooye/Edit-R2, dataset/", "not stated"
COMPLEX_EDIT_SPLITS = ("test_real", "test_syn")


def read_mice(options: BenchmarkOptions) -> Read:
    """Turns of MICE-Bench's training sessions with the gold of `formatted_instruction`, each with its history.

    Sessions of files named "test" that stand beside others are left out, whatever they hash to, and their texts kept
    away from; sessions that `benchmark=mice_text` tests on stay in this set's test part. options.samples: turns.
    Raises MissingFile, BadData, BadInput.
    """
    data = MiceText(options.path, "all")
    published = published_test(read_records(data.folder))
    test = [s for s in data if session_key(s.request, s.history) in published]
    turns = [s for s in data if session_key(s.request, s.history) not in published]
    turns = [turns[i] for i in sorted(sample_ids(len(turns), options.samples, options.seed))]
    left_out = Counter(dict(data.report["unmapped"]))
    if test:
        left_out["turn of a published test session"] = len(test)
    made = tuple(
        TrainingRequest(
            f"mice-{s.id}",
            s.request,
            "mice",
            MICE_LICENCE,
            s.history,
            s.kind,
            edits=s.gold,
            own_id=s.id,
            compared_texts=compared_texts(s),
        )
        for s in turns
    )
    facts = {"where": str(data.folder), "published": MICE_SOURCE, "seed": options.seed}
    facts |= {"rows": sum(data.report["turns"].values()), "taken": len(made)}
    return Read(made, facts, left_out, evaluated=tuple(sorted({compared_texts(s)[0] for s in test})))


def compared_texts(sample: EditSample) -> tuple[str, ...]:
    """What a turn is compared by: the whole prompt and the request alone, without the lasting rule's fixed wording."""
    turns = [without_rule(t) for t in (*sample.history, sample.request)]
    return tuple(dict.fromkeys((" ".join(turns), turns[-1])))


def read_complex_edit(options: BenchmarkOptions) -> Read:
    """Complex-Edit's compound instructions with their atomic sequence as gold, where it can be read without guessing
    (benchmarks/atomic.py); `edits` is None for the others, with the reason counted.

    Both published splits are test splits: who trains on them cannot evaluate on them. options: split (empty: both),
    complexity, samples of each split, seed. Raises MissingFile, BadData, BadInput.
    """
    made: list[TrainingRequest] = []
    unread: Counter[str] = Counter()
    items: list[Item] = []
    absent: list[MissingFile] = []
    splits = [options.split] if options.split else list(COMPLEX_EDIT_SPLITS)
    for split in splits:
        try:
            bench = catalogue.load("complex_edit", **vars(replace(options, split=split, text="")))
        except MissingFile as error:  # a copy may hold one split alone
            absent.append(error)
            continue
        for item in (i for u in range(len(bench)) for i in bench.unit(u)):
            edits, why = read_sequence(tuple(item.facts.get("sequence", ())))
            if why:
                unread[why] += 1
            made.append(_complex(item, edits, bench.card.licence, len(items)))
            items.append(item)
    if len(absent) == len(splits):
        raise absent[0]
    facts = {"where": options.path or options.hub or catalogue.card("complex_edit").source, "rows": len(made)}
    facts |= {"revision": options.revision, "sequences_not_read": dict(sorted(unread.items()))}
    facts |= {"missing": [str(e) for e in absent], "taken": len(made)}

    def pictures(rows: Sequence[int]) -> Iterator[bytes]:
        for row in rows:
            opens = items[row].source
            assert isinstance(opens, TablePicture)  # every item of this benchmark has a picture in its table
            yield opens.encoded()

    tables = {
        i.source.of.source.where: i.source.of.source.identity for i in items if isinstance(i.source, TablePicture)
    }
    return Read(tuple(made), facts, pictures=pictures, identity=fingerprint(sorted(tables.items())))


def _complex(item: Item, edits: tuple[Edit, ...] | None, licence: str, row: int) -> TrainingRequest:
    return TrainingRequest(
        f"complex_edit-{item.id}",
        item.request,
        "complex_edit",
        licence,
        kind="complex_edit",
        edits=edits,
        row=row,
        shows=f"complex_edit-{item.id.rpartition('/c')[0]}",
        own_id=item.id,
    )


__all__ = ["compared_texts", "read_complex_edit", "read_mice"]
