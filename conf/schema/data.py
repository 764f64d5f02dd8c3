"""Preference data, and the making of training data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

from common.ranges import MANY, number, seed_number
from conf.parts import part_field
from conf.schema.shared import PathsConfig


@dataclass
class AgreementConfig:
    """`python -m experiments.agreement`: how well a judge agrees with people."""

    # tiger | editscore | genai_bench | imagenhub | mmrb2 | compass | csv | sandbox (written for the purpose)
    data: str = ""
    out: str = MISSING  # verdicts, agreement.json, .md and .html; of compare its own
    compare: list[str] = field(
        default_factory=list
    )  # folders of finished studies of the same data, to put side by side
    path: str | None = None  # folder or file with the data; null: the Hub
    hub: str = ""  # Hub id in place of the set's own
    revision: str | None = None  # commit of the Hub data set
    split: str = ""  # of the set, where it has several; empty: its own default
    subset: str = ""  # configuration of the Hub data set
    scores: str = "judge"  # judge: score every edit | csv: the columns score_a and score_b
    rubric: str = "paper"  # where judge.rubric names none; pairwise: shown both edits, in both orders
    samples: int | None = number(None, 1, MANY)  # at most so many requests, by the seed; null: all
    seed: int = seed_number()  # of the sample, of the halves for epsilon, of intervals
    own: str = ""  # name (or part of it) of the model that judges, marked in the self-preference table
    budget: float | None = number(None, 0, 1e9)  # dollars for the calls of this start; null: no limit
    verbose: bool = False  # show what libraries print
    judge: Any = part_field()
    engine: Any = part_field()
    paths: PathsConfig = field(default_factory=PathsConfig)


@dataclass
class SourceConfig:
    """Where requests for training come from. It is read where its name is in `sources`."""

    path: str | None = None  # folder or file; null: the Hub, or its cache
    hub: str = ""  # Hub id
    revision: str | None = None  # commit of the Hub data set
    split: str = ""  # of the set, where it has several; empty: its own default
    config: str = ""  # configuration of the Hub data set, where it has several
    samples: int | None = number(None, 1, MANY)  # so many of the whole, by the seed; null: all
    seed: int = seed_number()
    text: str = ""  # psr, requests: original | simplified
    complexity: list[int] = number([], 1, 8)  # complex_edit: of 1 to 8; empty: all
    licence: str = ""  # psr, requests: written into every record; empty: what is known


@dataclass
class PrepareConfig:
    """`python -m experiments.prepare`: the decomposer's training set, kept apart from evaluation items."""

    out: str = MISSING  # folder of the set
    sources: list[str] = field(default_factory=list)  # some of psr, requests, mice, complex_edit
    avoid: list[str] = field(default_factory=list)  # evaluation sets: <benchmark>:<path>, <benchmark>, a file; or none
    near: float = number(0.7, 0, 1)  # Jaccard similarity of shingles from which a text is too near (benchmarks/near.py)
    pictures: str = "keep"  # none: text alone | keep: records name their pictures | send: the labeller sees them too
    # dollars for the set's labels, over all starts; what is there by then is kept
    budget: float | None = number(None, 0, 1e9)
    dry_run: bool = False  # only say what it would cost
    verbose: bool = False  # show what libraries print
    psr: SourceConfig = field(default_factory=SourceConfig)  # PSR's training requests
    requests: SourceConfig = field(default_factory=SourceConfig)  # any CSV, JSONL, folder or Hub data set of requests
    mice: SourceConfig = field(default_factory=SourceConfig)  # MICE-Bench's training sessions, which carry labels
    complex_edit: SourceConfig = field(default_factory=SourceConfig)  # then it is no evaluation set any more
    judge: Any = part_field()  # the labeller; its rubric is not used
    engine: Any = part_field()  # where a local labeller runs
    paths: PathsConfig = field(default_factory=PathsConfig)


__all__ = ["AgreementConfig", "PrepareConfig", "SourceConfig"]
