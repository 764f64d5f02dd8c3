"""Every benchmark of the catalogue with the rubric that its card names, and with the metrics: whatever a loader puts into an
item, rubrics and metrics must find. The parts are tested on their own elsewhere; here is what lies between them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks import catalogue
from benchmarks.item import Item
from experiments.evaluation.layout import Layout
from experiments.evaluation.listing import claim_benchmark, read_listing
from experiments.evaluation.load import OVERALL
from judges.metrics import Weights, make_metrics
from judges.rubrics import make_rubric
from tests import published
from tests.benchmarks import (
    test_complex_edit,
    test_gedit,
    test_imgedit,
    test_mice_sessions,
    test_risebench,
)
from tests.judges.metrics.tiny_encoders import save_clip, save_dino
from tests.rubric_items import reply_of

pytestmark = pytest.mark.usefixtures("cache")
AFTER = Image.linear_gradient("L").resize((64, 48)).convert("RGB")
METRICS = ("l1", "clip_i", "dino", "l1@source", "dino@source", "clip_t", "clip_dir", "bg_l1")


@dataclass(frozen=True)
class Case:
    """A benchmark on small files. `finds`: which metrics every item has besides those against its source; `kept`: scores of
    its rubric that at least one item has."""

    name: str
    write: Callable[[Path], Any]
    kept: tuple[str, ...]
    finds: frozenset[str] = frozenset()
    options: Mapping[str, Any] = field(default_factory=dict)


def folder_rows(root: Path) -> Path:
    mask = Image.new("L", published.SIZE)
    mask.paste(255, published.REGION)
    mask.save(root / "m.png")
    rows = [
        {"id": f"f{k}", "image": f"{k}.png", "instruction": f"edit {k}", "reference": f"r{k}.png"} for k in range(2)
    ]
    return published.write_requests(root, [row | {"mask": "m.png"} for row in rows])


def imgedit(root: Path) -> Path:
    folder = test_imgedit.folder.__wrapped__(root)  # type: ignore[attr-defined]  # what its fixture does
    rows = {
        str(k): {"id": f"all/{k}.jpg", "prompt": f"edit {k}", "edit_type": kind}
        for k, kind in enumerate(test_imgedit.TYPES)
    }
    for row in rows.values():
        test_imgedit.picture(folder / "singleturn" / row["id"])
    test_imgedit.write(folder / "Basic" / "basic_edit.json", rows)
    return folder


def mice(root: Path) -> str:
    test_mice_sessions.write(root, "cm_test.jsonl", test_mice_sessions.CM)
    return test_mice_sessions.write(root, "cu_test.jsonl", test_mice_sessions.CU)


PAPER = ("request_fulfilled", "image_quality", "content_preserved")
REFERENCE = frozenset({"l1", "clip_i", "dino"})
CASES = [
    Case("psr", published.write_psr, PAPER),
    Case("psr", published.write_psr, PAPER, REFERENCE, {"protocol": "human"}),
    Case("realedit", published.write_realedit, PAPER),
    Case("ultraedit", published.write_ultraedit, PAPER, REFERENCE | {"clip_t", "clip_dir"}),
    Case("magicbrush", published.write_magicbrush, PAPER, REFERENCE | {"bg_l1"}),
    Case("magicbrush", published.write_magicbrush, PAPER, REFERENCE | {"bg_l1"}, {"protocol": "multi"}),
    Case("emu_edit", published.write_emu_edit, PAPER, frozenset({"clip_t"})),  # one item has the same caption twice
    Case("gedit", test_gedit.save, ("sc", "pq")),
    Case("imgedit", imgedit, ("compliance", "naturalness", "integrity")),
    Case("imgedit", imgedit, ("uge",), options={"protocol": "uge"}),
    Case("imgedit", imgedit, PAPER, options={"protocol": "multi"}),
    Case(
        "complex_edit",
        lambda root: test_complex_edit.save(root, test_complex_edit.ROWS),
        ("instruction_following", "identity_preservation", "perceptual_quality"),
    ),
    Case("mice", mice, ("if", "cc", "ga")),
    Case("risebench", test_risebench.save, ("consistency", "reasoning", "plausibility", "accuracy")),
    Case("folder", folder_rows, PAPER, REFERENCE | {"bg_l1"}),
]


def items_of(case: Case, root: Path) -> tuple[catalogue.Benchmark, list[Item]]:
    root.mkdir(parents=True, exist_ok=True)
    bench = catalogue.load(case.name, path=str(case.write(root)), **case.options)
    return bench, [item for i in range(len(bench)) for item in bench.unit(i)]


def test_no_benchmark_is_left_out() -> None:
    assert {case.name for case in CASES} == set(catalogue.NAMES)


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join([c.name, *c.options.values()]))
def test_the_cards_rubric_asks_and_scores_every_item(case: Case, tmp_path: Path) -> None:
    bench, items = items_of(case, tmp_path / "data")
    rubric = make_rubric(bench.card.rubric)
    seen: set[str] = set()
    for item in items:
        before = item.image
        assert before is not None
        for best in (False, True):
            answers = {}
            for question in rubric.questions(replace(item, picture=before), before, AFTER):
                said = reply_of(question, lambda low, high: high if best else low)  # noqa: B023  # called at once
                answers[question.name] = question.read(json.dumps(said))
            scores = rubric.score(answers, item)
            assert set(scores) <= set(rubric.scores) and all(0 <= scores[n] <= rubric.scales[n] for n in scores)
            assert not best or scores[OVERALL] == pytest.approx(10)  # the best of every scale is ten
            seen |= set(scores)
    assert set(case.kept) <= seen
    place = Layout(tmp_path / "out", case.name)  # the list that reports are made from says the same as the loader
    listing = claim_benchmark(place, bench, {"place": case.name})
    assert read_listing(place).items == listing.items and [i.id for i in listing.items] == [i.id for i in items]
    assert read_listing(place).card == bench.card
    assert len({i.id for i in items}) == len(items)


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join([c.name, *c.options.values()]))
def test_metrics_find_captions_references_and_masks(case: Case, tmp_path: Path) -> None:
    _, items = items_of(case, tmp_path / "data")
    weights = Weights(str(save_clip(tmp_path / "clip")), str(save_dino(tmp_path / "dino")))
    rows = make_metrics(METRICS, "cpu", weights).measure_batch(items, [AFTER] * len(items))
    has = {n for n in METRICS if all(row[n] is not None for row in rows)}
    assert has == case.finds | {"l1@source", "dino@source"}
    some = {n for n in METRICS if any(row[n] is not None for row in rows)}
    assert some - has == ({"clip_dir"} if case.name == "emu_edit" else set())
    assert all(math.isfinite(v) for row in rows for v in row.values() if v is not None)
