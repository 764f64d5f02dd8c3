"""`editscore`: EditScore/EditReward-Bench (arXiv 2509.23909). TIGER-Lab/EditReward-Bench is another set with the same name.

A row is one comparison on one dimension; the first of its two edits is the preferred one, by construction. The same edits
come back for other dimensions, under the same keys.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from benchmarks.item import Card, Item
from benchmarks.options import BenchmarkOptions
from benchmarks.preferences.base import STRICT, A, EditCandidate, PreferenceGroup, PreferencePair, PreferenceSet
from benchmarks.sampling import describe_sampling, take
from benchmarks.schema import ANY, PICTURE, TEXT, Column
from benchmarks.tables import Table, open_table
from benchmarks.values import shown
from common.errors import BadData

CARD = Card(
    name="editscore",
    title="EditReward-Bench of EditScore",
    source="EditScore/EditReward-Bench",
    paper="arXiv 2509.23909",
    licence="Apache-2.0",
    split="train",
    size="comparisons of 11 editors' results over 13 task types and three dimensions",
    sampling="all comparisons",
    get="https://huggingface.co/datasets/EditScore/EditReward-Bench; a copy of its data/ folder goes in as path",
    mean="macro",
    notes=(
        "Right is a strictly higher score of the preferred edit; the mean over task types is unweighted.",
        "The preferred edit always comes first: a judge that looks at sides must be shown both orders.",
        "The authors' script brings each edit to the source's size before judging; here the rubric's encoding decides.",
    ),
)
DIMENSIONS = ("prompt_following", "consistency", "overall")
COLUMNS: dict[str, Column] = {
    "key": ANY,
    "instruction": TEXT,
    "input_image": PICTURE,
    "output_images": ANY,
    "task_type": TEXT,
    "dimension": TEXT,
}


@dataclass(frozen=True)
class Output:
    """One of the two pictures of a row (an `Opens`)."""

    table: Table
    row: int
    place: int

    def __call__(self) -> Image.Image:
        return self.table.listed_picture(self.row, "output_images", self.place, 2)


def load(options: BenchmarkOptions) -> PreferenceSet:
    """All comparisons in the order of the rows. Options: path, hub, revision, samples (comparisons), seed.

    Raises MissingFile, BadData naming the row that is not as published.
    """
    table = open_table(CARD, options, COLUMNS)
    keys, instructions = table.column("key"), table.column("instruction")
    tasks, dimensions = table.column("task_type"), table.column("dimension")
    groups = []
    for i, key in enumerate(keys):
        at = f"{CARD.name}: {table.where}, row {table.number(i)}"
        if (
            not isinstance(key, list)
            or len(key) != 2
            or not all(isinstance(k, str) and k for k in key)
            or key[0] == key[1]
        ):
            raise BadData(f"{at}, column 'key': expected the ids of two edits, found {shown(key)}")
        if dimensions[i] not in DIMENSIONS:
            raise BadData(
                f"{at}, column 'dimension': expected one of {', '.join(DIMENSIONS)}, found {shown(dimensions[i])}"
            )
        item = Item(
            id=f"{key[0]}-{key[1]}-{dimensions[i]}",
            request=instructions[i],
            gold=(),
            kind=tasks[i],
            source=table.needed(i, "input_image"),
        )
        candidates = tuple(EditCandidate(k, Output(table, i, place)) for place, k in enumerate(key))
        cluster = f"{tasks[i]}: {instructions[i]}"
        groups.append(
            PreferenceGroup(item.id, item, candidates, (PreferencePair(0, 1, A),), tasks[i], dimensions[i], cluster)
        )
    chosen = take(groups, options.samples, options.seed)
    sampling = describe_sampling(options.samples, len(groups), options.seed, "comparisons")
    return PreferenceSet(replace(CARD, sampling=sampling), tuple(chosen), STRICT)


__all__ = ["CARD", "DIMENSIONS", "load"]
