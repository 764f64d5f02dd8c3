"""The first stage: turns go on with the arm's own picture; what was made stays; any interruption ends in the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadData, BadInput, MissingFile
from experiments.evaluation.chains import Chain
from experiments.evaluation.editing import blocks_of, edit, missing_turns
from experiments.evaluation.layout import Layout
from experiments.evaluation.listing import claim_benchmark, read_listing
from experiments.evaluation.makers import FolderMaker
from experiments.evaluation.pictures import open_picture
from experiments.evaluation.rows import read_rows
from experiments.evaluation.shares import Share
from tests.experiments.evaluation.little import Brighter, Little, edited, grey, set_up, value


def pictures(layout: Layout, arm: str = "editor") -> dict[str, bytes]:
    folder = layout.picture(arm, (0, 0)).parent
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def rows(layout: Layout, arm: str = "editor") -> dict[tuple[int, int], tuple[str, str]]:
    return {k: (r["id"], r["failure"]) for k, r in read_rows(layout.edits(arm)).items()}


def test_every_turn_starts_from_the_picture_of_the_turn_before(tmp_path: Path) -> None:
    benchmark, maker = Little(2, turns=3), Brighter(by=10)
    layout = set_up(tmp_path, benchmark)
    edited(layout, "editor", benchmark, maker)
    # unit 1 is given grey 1: 1 -> 11 -> 21 -> 31
    assert [value(open_picture(layout.picture("editor", (1, k)))) for k in range(3)] == [11, 21, 31]
    assert [v for id_, v in maker.seen if id_.startswith("item-1")] == [1, 11, 21]
    assert benchmark.opened == 2  # the given picture of each unit, in its first turn alone


def test_after_a_turn_without_a_picture_the_later_ones_fail_and_retry_begins_there(tmp_path: Path) -> None:
    benchmark = Little(2, turns=3)
    layout = set_up(tmp_path, benchmark)
    edited(layout, "editor", benchmark, Brighter(fails=frozenset({"item-0-1"})))
    failures = [r[1] for r in rows(layout).values()]
    assert failures == ["", "refused", "there is no picture of turn 2 to go on with", "", "", ""]
    assert missing_turns(layout, "editor", [3, 3]) == {} and missing_turns(layout, "editor", [3, 3], retry=True) == {
        0: 1
    }
    again = Brighter()
    edit(layout, benchmark, lambda: again, [{Chain("editor", 0): 1}], Share())
    assert again.seen == [("item-0-1", 10), ("item-0-2", 20)]
    assert {r[1] for r in rows(layout).values()} == {""}


@settings(max_examples=15, deadline=None)
@given(stops=st.lists(st.integers(0, 4), max_size=4), shards=st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_any_interruptions_and_any_shards_end_in_the_same_pictures_and_rows(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], shards: list[int]
) -> None:
    benchmark = Little(10, turns=2)
    once = set_up(tmp_path_factory.mktemp("once"), benchmark)
    edited(once, "editor", benchmark, Brighter())
    layout = set_up(tmp_path_factory.mktemp("often"), benchmark)
    for n, stop in zip(shards, [*stops, *[None] * 4], strict=False):
        for i in range(n):
            try:
                edited(layout, "editor", benchmark, Brighter(stop=stop), Share(i, n))
            except KeyboardInterrupt:
                continue
    edited(layout, "editor", benchmark, Brighter())
    assert rows(layout) == rows(once) and pictures(layout) == pictures(once)
    lines = [line for f in layout.edits("editor").glob("*.jsonl") for line in f.read_text().splitlines()]
    assert len(lines) == 20  # none twice


def test_a_picture_that_is_gone_is_made_again_and_nothing_else(tmp_path: Path) -> None:
    benchmark = Little(7)
    layout = set_up(tmp_path, benchmark)
    edited(layout, "editor", benchmark, Brighter())
    before = pictures(layout)
    os.remove(layout.picture("editor", (4, 0)))
    maker = Brighter()
    edited(layout, "editor", benchmark, maker)
    assert [id_ for id_, _ in maker.seen] == ["item-4-0"] and pictures(layout) == before
    done = Brighter()
    edited(layout, "editor", benchmark, done)
    assert done.seen == []


@pytest.mark.parametrize("cut", [2, 40, 90, 250])
def test_a_block_that_was_torn_is_made_again_as_a_whole(tmp_path: Path, cut: int) -> None:
    benchmark = Little(7)
    layout = set_up(tmp_path, benchmark)
    edited(layout, "editor", benchmark, Brighter())
    once, before = rows(layout), pictures(layout)
    path = layout.edits("editor") / "0-of-1.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    left = path.read_text().count("\n")
    missing = missing_turns(layout, "editor", [1] * 7, chunk=3)
    assert missing == dict.fromkeys(range(left // 3 * 3, 7), 0)
    maker = Brighter()
    edit(layout, benchmark, lambda: maker, blocks_of("editor", missing, 7, Share(), 3), Share())
    assert len(maker.seen) == len(missing) and rows(layout) == once and pictures(layout) == before


def test_pictures_made_elsewhere_are_found_by_id_or_number_in_any_format(tmp_path: Path) -> None:
    folder, benchmark = tmp_path / "mine", Little(4)
    folder.mkdir()
    grey(40).save(folder / "item-0-0.png")
    grey(41).save(folder / "item-1-0.webp", lossless=True)
    grey(42).save(folder / "2-0.png")
    layout = set_up(tmp_path / "out", benchmark, ["mine"])
    keys = {i.id: i.key for i in read_listing(layout).items}
    maker = FolderMaker(folder, keys)
    maker.check()
    edited(layout, "mine", benchmark, maker)
    assert [value(open_picture(layout.picture("mine", (u, 0)))) for u in range(3)] == [40, 41, 42]
    assert "no picture of it" in rows(layout, "mine")[3, 0][1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingFile, match=r"item-0-0\.png"):
        FolderMaker(tmp_path / "empty", keys).check()


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(BadData, match=r"a\.png.*delete it"):
        open_picture(tmp_path / "a.png")


def test_other_items_in_the_same_folder_and_equal_ids_are_refused(tmp_path: Path) -> None:
    layout = set_up(tmp_path, Little(4))
    edited(layout, "editor", Little(4), Brighter())
    claim_benchmark(layout, Little(4), {"place": "little"})
    with pytest.raises(BadInput, match=r"other items of little \(other benchmark\.samples\)"):
        claim_benchmark(layout, Little(5), {"place": "little", "samples": 5})

    class Twice(Little):
        def unit(self, i: int):  # type: ignore[no-untyped-def]
            return super().unit(0)

    with pytest.raises(BadData, match="'item-0-0'"):
        claim_benchmark(Layout(tmp_path, "twice"), Twice(2), {"place": "twice"})
