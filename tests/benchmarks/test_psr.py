"""PSR-328: rows become requests, text before pictures, and whatever is odd is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import psr
from benchmarks.catalogue import load
from common.errors import BadData, BadInput, MissingFile
from tests import published
from tests.benchmarks.conftest import Hub

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("form", ["parquet", "disk"])
def test_rows_are_grouped_to_requests_in_the_order_of_their_first_rows(form: str, tmp_path: Path) -> None:
    result = load("psr", path=str(published.write_psr(tmp_path, posts=4, edits=3, form=form)))
    items = [result.unit(i)[0] for i in range(len(result))]
    assert [len(result.unit(i)) for i in range(len(result))] == [1, 1, 1, 1]
    assert [i.id for i in items] == ["psr-post0", "psr-post1", "psr-post2", "psr-post3"]
    assert items[2].request == "Could somebody please remove thing 2? Thanks in advance!"
    assert [i.kind for i in items] == ["low", "medium", "high", "low"]
    assert [published.shown(i.image) for i in items if i.image] == [(p, "source") for p in range(4)]
    assert all(i.reference is None and i.subsets == ("all",) and i.gold == () for i in items)
    assert "These data hold 4 requests, not 328." in result.card.notes
    with pytest.raises(IndexError, match="has 4 units, asked for number 4"):
        result.unit(4)


def test_the_simplified_text_and_the_human_edit_can_be_chosen(tmp_path: Path) -> None:
    path = str(published.write_psr(tmp_path, posts=3, edits=2))
    result = load("psr", path=path, text="simplified", protocol="human")
    item = result.unit(1)[0]
    assert item.request == "Remove thing 1."
    assert item.reference is not None and published.shown(item.reference()) == (10, "human")  # of post 1's first row
    assert "The text is simplified_instruction." in result.card.notes


def test_units_cost_no_picture_and_no_picture_of_other_rows_is_fetched(
    hub: Hub, tmp_path: Path, opened: list[str]
) -> None:
    hub.sets["PSRDataset/PSR-328"] = published.write_psr(tmp_path / "psr", posts=4, edits=5, shards=2)
    result = load("psr", samples=2, seed=3)
    units = [result.unit(i) for i in range(2)]
    assert opened == []
    assert [c.get("columns") for c in hub.calls] == [None, ["post_id", "instruction", "creativity_index"]]
    assert units[0][0].image is not None
    assert opened == ["open"] and [c["columns"] for c in hub.calls[2:]] == [["source_image"]]
    assert result.card.sampling.startswith("2 of 4 requests")


def test_a_sample_is_repeated_by_its_seed_and_another_by_another(tmp_path: Path) -> None:
    path = str(published.write_psr(tmp_path, posts=30, edits=1))

    def ids(seed: int, n: int = 10) -> list[str]:
        result = load("psr", path=path, samples=n, seed=seed)
        return [result.unit(i)[0].id for i in range(len(result))]

    assert ids(0) == ids(0) and ids(0) != ids(1)
    assert set(ids(0)) <= set(ids(0, 20)) and len(ids(0)) == 10


def test_posts_whose_rows_disagree_are_counted(tmp_path: Path) -> None:
    rows = published.psr_rows(posts=3, edits=2)
    rows[4]["instruction"] = "something else"  # row 4 is post 1's second
    result = load("psr", path=str(published.write(tmp_path, rows, published.PSR, "test")))
    assert result.unit(1)[0].request.endswith("thing 1? Thanks in advance!")
    assert any(n.startswith("1 posts have rows with another text") and "post1" in n for n in result.card.notes)


def test_a_simplified_text_that_is_missing_is_said_by_row(tmp_path: Path) -> None:
    rows = published.psr_rows(posts=3, edits=1)
    rows[2]["simplified_instruction"] = None
    path = str(published.write(tmp_path, rows, published.PSR, "test"))
    with pytest.raises(BadData, match="row 2, column 'simplified_instruction' is empty"):
        load("psr", path=path, text="simplified")
    assert len(load("psr", path=path)) == 3  # the other text is whole


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    path = str(published.write_psr(tmp_path, posts=2, edits=1))
    with pytest.raises(BadInput, match="benchmark.text=short is unknown; choose one of original, simplified"):
        load("psr", path=path, text="short")
    with pytest.raises(MissingFile, match="PSR-328.*switched off here"):
        load("psr")
    rows = [{k: v for k, v in r.items() if k != "source_image"} for r in published.psr_rows(2, 1)]
    features = published.Features({k: f for k, f in published.PSR.items() if k != "source_image"})
    with pytest.raises(BadData, match="no column 'source_image'"):
        load("psr", path=str(published.write(tmp_path / "b", rows, features, "test")))


def test_the_card_says_where_the_numbers_come_from() -> None:
    assert psr.CARD.licence == "CC BY-NC-SA 4.0" and "2505.16181" in psr.CARD.paper
