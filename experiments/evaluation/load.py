"""Everything that lies in the folder of an evaluation or of a run, read back: by benchmark, judge and arm.

This is the one way to read rows. `load(folder)` gives a Section for each benchmark:

    section.listing.items                       what was asked, in order; an item's `key` is (unit, turn)
    section.decompositions["after"][key]        "gold", "text", "error", "scores"
    section.drawn["before"][key]                "texts", "exact": several answers to one item
    section.edits["agents_rl"][key]             "text", "sub_requests", "calls", "failure", …
    section.columns[0].rows["agents_rl"][key]   "scores", "valid", "reason": a judge's verdict
    section.metrics["agents_rl"][key]           {metric: value}

An edit that left no picture has an invalid verdict. Two arms are derived from the variants of the editor alone
(`equal_calls`): they have verdicts and no edits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.files import read_json
from common.jsonl import read_jsonl
from experiments.evaluation.claims import has_rows
from experiments.evaluation.equal_calls import best_by_judge, by_chance
from experiments.evaluation.layout import CLAIM, EDITS, LIMITS, METRICS, VERDICTS, Key, Layout
from experiments.evaluation.ledger import usage_of
from experiments.evaluation.listing import Listed, Listing, read_listing
from experiments.evaluation.names import EXTRA_ARMS, WHEN, arm_order
from experiments.evaluation.rows import Row, fine, fingerprint, key_of, read_rows

OVERALL = "overall"
RESULTS = "results.json"
ABOUT = (
    "scale",
    "editor",
    "editor_settings",
    "reward",
    "algo",
    "execution",
    "seed",
    "benchmark",
    "run",
    "gallery",
    "time_s",
)
Rows = Mapping[Key, Row]
DERIVED = dict(zip(EXTRA_ARMS, (by_chance, best_by_judge), strict=True))


@dataclass(frozen=True)
class Column:
    """One judge on one benchmark: the rows of every arm, of derived arms too."""

    label: str
    claim: Mapping[str, Any]  # what defines the judge
    rows: Mapping[str, Rows]
    usage: Mapping[str, float]
    variants: Mapping[str, Mapping[Key, Sequence[Row]]] = field(
        default_factory=dict
    )  # by label of the arms: each item's

    @property
    def title(self) -> str:
        rubric = self.claim.get("rubric")
        return f"{self.claim.get('name', self.label)}" + (f" ({rubric})" if rubric else "")

    def aspects(self) -> list[str]:
        """Overall first, then the judge's scores in its own order. Some protocols leave scores out where they do not apply to
        an item, so that no single row has all of them; the fullest one says the order."""
        kinds = {tuple(row["scores"]): None for rows in self.rows.values() for row in rows.values()}
        names = dict.fromkeys(n for kind in sorted(kinds, key=len, reverse=True) for n in kind)
        return [OVERALL, *(n for n in names if n != OVERALL)] if names else [OVERALL]


@dataclass(frozen=True)
class Section:
    """One benchmark of an evaluation. `arms` are those with pictures."""

    layout: Layout
    listing: Listing
    arms: tuple[str, ...]
    claims: Mapping[str, Mapping[str, Any]]  # of each arm
    edits: Mapping[str, Rows]
    columns: tuple[Column, ...]
    metrics: Mapping[str, Rows]
    decompositions: Mapping[str, Rows] = field(default_factory=dict)
    drawn: Mapping[str, Rows] = field(default_factory=dict)  # several answers to every item, "exact" of each
    pass_at: int = 0  # k of pass@k over them

    @property
    def name(self) -> str:
        return self.layout.benchmark

    @property
    def total(self) -> int:
        return len(self.listing.items)

    @property
    def edited_items(self) -> tuple[Listed, ...]:
        """The items whose pictures are edited and judged: all, or those of the first units, where the arms' claims say so."""
        units = [c["units"] for c in self.claims.values() if "units" in c]
        return tuple(i for i in self.listing.items if not units or i.key[0] < min(units))

    def approximate(self, arm: str) -> tuple[str, ...]:
        """What makes an arm's pictures approximate; a derived arm is made of others with its label."""
        label = arm.rpartition("/")[0]
        of = [arm] if arm in self.claims else [a for a in self.claims if a.rpartition("/")[0] == label]
        return tuple(dict.fromkeys(w for a in of for w in self.claims[a].get("editor", {}).get("approximate", ())))

    @property
    def scored_arms(self) -> tuple[str, ...]:
        """The arms of the tables: with the derived ones."""
        derived = {arm for c in self.columns for arm in c.rows}
        return tuple(sorted({*self.arms, *derived}, key=arm_order))


def load(out: Path) -> list[Section]:
    """The sections of a folder, in the order of the benchmarks' folders. Raises BadData naming a file that is damaged."""
    return [load_section(path.parent) for path in sorted(out.glob(f"*/{CLAIM}"))]


def load_section(folder: Path) -> Section:
    """One benchmark's folder."""
    layout = Layout(folder.parent, read_json(folder / CLAIM)["config"]["place"])
    claims = {c["arm"]: c for p in folder.glob(f"{EDITS}/*/{CLAIM}") if has_rows(p.parent) and (c := read_json(p))}
    edits = {arm: read_rows(layout.edits(arm)) for arm in sorted(claims, key=arm_order)}
    arms = tuple(arm for arm in edits if "variant" not in claims[arm])
    columns = [
        load_column(layout, path.parent, edits, claims)
        for path in sorted(folder.glob(f"{VERDICTS}/*/{CLAIM}"))
        if has_rows(path.parent)
    ]
    metrics = {arm: read_metrics(layout.metrics(arm)) for arm in arms if (folder / METRICS).is_dir()}
    texts = {when: rows for when in WHEN if (rows := read_rows(layout.decompositions(when)))}
    drawn = {when: rows for when in WHEN if (rows := read_rows(layout.drawn(when)))}
    pass_at = max([read_json(layout.drawn(when) / LIMITS)["pass_at"] for when in drawn], default=0)
    own = {arm: edits[arm] for arm in arms}
    return Section(layout, read_listing(layout), arms, claims, own, tuple(columns), metrics, texts, drawn, pass_at)


def load_column(
    layout: Layout, judge: Path, edits: Mapping[str, Rows], claims: Mapping[str, Mapping[str, Any]]
) -> Column:
    claimed = read_json(judge / CLAIM) | read_json(judge / LIMITS)
    judged = {arm: judged_rows(edits[arm], read_rows(layout.verdicts(claimed["label"], arm))) for arm in edits}
    rows = {arm: judged[arm] for arm in edits if "variant" not in claims[arm]}
    variants: dict[str, dict[Key, list[Row]]] = {}
    for arm in sorted((a for a in edits if "variant" in claims[a]), key=lambda a: claims[a]["variant"]):
        label = arm.rpartition("/")[0]
        for key in edits[arm]:  # an item without a verdict on one of its variants is missing
            variants.setdefault(label, {}).setdefault(key, []).append(judged[arm].get(key, {}))
    for label, items in variants.items():
        whole = {key: several for key, several in sorted(items.items()) if all(several)}
        variants[label] = whole
        for name, derive in DERIVED.items():
            arm = f"{label}/{name}" if label else name
            rows[arm] = {key: {"id": several[0]["id"], **derive(several)} for key, several in whole.items()}
    return Column(claimed["label"], claimed, rows, usage_of(judge), variants)


def judged_rows(edits: Rows, verdicts: Rows) -> dict[Key, Row]:
    """Verdicts on the pictures that are there, and an invalid one where an edit failed."""
    rows: dict[Key, Row] = {}
    for key, edit in edits.items():
        if not fine(edit):
            reason = f"no picture: {edit['failure']}"
            rows[key] = {"id": edit["id"], "scores": {}, "valid": False, "reason": reason, "edited": False}
        elif key in verdicts:
            rows[key] = verdicts[key]
    return rows


def read_metrics(folder: Path) -> dict[Key, Row]:
    """{key: {metric: value}}, joined over the runs that measured more of them."""
    rows: dict[Key, Row] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for row in read_jsonl(path):
            rows.setdefault(key_of(row), {}).update(row["values"])
    return rows


def made_from(out: Path) -> str:
    """A digest that changes with every row that a report would show."""
    folders = sorted(p.parent for p in out.glob(f"*/{CLAIM}"))
    return hashlib.sha256(fingerprint(folders).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def is_evaluation(out: Path) -> bool:
    """Whether results.json in this folder is that of `python -m experiments.evaluate`."""
    return (out / RESULTS).is_file() and "table" in read_json(out / RESULTS)


__all__ = ["ABOUT", "OVERALL", "RESULTS", "Column", "Section", "is_evaluation", "judged_rows", "load"]
__all__ += ["load_section", "made_from", "read_metrics"]
