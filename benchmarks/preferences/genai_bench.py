"""`genai_bench`: TIGER-Lab/GenAI-Bench, configuration image_edition (arXiv 2406.04485): votes of an arena's visitors."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.item import Card, Item
from benchmarks.options import BenchmarkOptions
from benchmarks.preferences.base import (
    FOUR_WAY,
    TIE_BAD,
    TIE_GOOD,
    A,
    B,
    EditCandidate,
    PreferenceGroup,
    PreferencePair,
    PreferenceSet,
)
from benchmarks.sampling import describe_sampling, take
from benchmarks.schema import PICTURE, TEXT, Column, optional
from benchmarks.tables import open_table
from benchmarks.values import shown
from common.errors import BadData

CARD = Card(
    name="genai_bench",
    title="GenAI-Bench, image editing",
    source="TIGER-Lab/GenAI-Bench",
    paper="arXiv 2406.04485",
    licence="CC BY 4.0",
    split="test_v1",
    size="919 votes (test_v1)",
    sampling="all votes",
    get=(
        "https://huggingface.co/datasets/TIGER-Lab/GenAI-Bench; a copy of its folder image_edition/ goes in as path (split "
        "test_v1)"
    ),
    notes=(
        "Four labels: left, right, both good, both bad (by chance 25.9 %). A tie without saying which is accepted for both.",
        "Each vote is one visitor's.",
    ),
)
VOTES = {"leftvote": A, "rightvote": B, "tievote": TIE_GOOD, "bothbad_vote": TIE_BAD}
COLUMNS: dict[str, Column] = {
    "instruct_prompt": TEXT,
    "source_prompt": optional(TEXT),
    "target_prompt": optional(TEXT),
    "source_image": PICTURE,
    "left_output_image": PICTURE,
    "right_output_image": PICTURE,
    "vote_type": TEXT,
    "left_model": optional(TEXT),
    "right_model": optional(TEXT),
}


def load(options: BenchmarkOptions) -> PreferenceSet:
    """All votes in the order of the rows. Options: path, hub, revision, split, config, samples (votes), seed.

    Raises MissingFile, BadData naming the row that is not as published.
    """
    if not options.path and not options.config:
        options = replace(options, config="image_edition")
    table = open_table(CARD, options, COLUMNS)
    texts = {name: table.column(name) for name in COLUMNS if COLUMNS[name].kind == TEXT.kind}
    groups = []
    for i, vote in enumerate(texts["vote_type"]):
        if vote not in VOTES:
            at = f"{CARD.name}: {table.where}, row {table.number(i)}, column 'vote_type'"
            raise BadData(f"{at}: expected one of {', '.join(VOTES)}, found {shown(vote)}")
        request, caption = texts["instruct_prompt"][i], texts["source_prompt"][i] or ""
        captions = {k: texts[k][i] for k in ("source_prompt", "target_prompt") if texts[k][i]}
        name = f"vote-{table.number(i):04d}"
        item = Item(id=name, request=request, gold=(), source=table.needed(i, "source_image"), facts=captions)
        sides = tuple(
            EditCandidate(f"{name}/{side}", table.needed(i, f"{side}_output_image"), texts[f"{side}_model"][i] or "")
            for side in ("left", "right")
        )
        groups.append(
            PreferenceGroup(name, item, sides, (PreferencePair(0, 1, VOTES[vote]),), cluster=f"{request}\n{caption}")
        )
    chosen = take(groups, options.samples, options.seed)
    sampling = describe_sampling(options.samples, len(groups), options.seed, "votes")
    return PreferenceSet(replace(CARD, sampling=sampling), tuple(chosen), FOUR_WAY)


__all__ = ["CARD", "VOTES", "load"]
