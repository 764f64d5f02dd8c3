"""Rows are only continued on the pictures that they were made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.item import Card, Item, Unit
from benchmarks.pictures import PictureFile
from common.errors import BadInput
from experiments.evaluation.layout import Layout
from experiments.evaluation.listing import claim_benchmark


class One:
    card = Card("mine", "Mine", "", "", "", "test", "1", "", "")

    def __init__(self, picture: Path) -> None:
        self.picture = picture

    def __len__(self) -> int:
        return 1

    def unit(self, i: int) -> Unit:
        return (Item("a", "make it blue", (), source=PictureFile(self.picture, "requests.csv:2")),)


def test_another_picture_under_the_same_name_is_refused_where_rows_are(tmp_path: Path) -> None:
    layout, picture = Layout(tmp_path / "out", "mine"), tmp_path / "a.png"
    picture.write_bytes(b"one")
    claim_benchmark(layout, One(picture), {})
    picture.write_bytes(b"two")
    claim_benchmark(layout, One(picture), {})  # no row yet: nothing to mix
    rows = layout.folder / "edits" / "editor" / "0-of-1.jsonl"
    rows.parent.mkdir(parents=True)
    rows.write_text("{}\n")
    claim_benchmark(layout, One(picture), {"content": ["x"]})
    picture.write_bytes(b"six")
    with pytest.raises(BadInput, match="other pictures of mine"):
        claim_benchmark(layout, One(picture), {})
    assert claim_benchmark(layout, One(tmp_path / "gone.png"), {}).items[0].id == "a"  # said where it is opened
