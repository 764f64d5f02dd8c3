"""`benchmark=prepared`: records as samples, in parts, with pictures that are opened when they are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.base import Edit
from benchmarks.labels import BY_DATA, RECORDS, Labelled
from benchmarks.prepared import PreparedBenchmark
from common.errors import BadData, BadInput, MissingFile


def prepared(folder: Path, n: int = 60, **more: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = [
        Labelled(
            f"psr-{i}",
            f"take thing {i} out",
            (Edit("Delete", f"thing {i}"), Edit("Adjust", "image", "brighter")),
            "psr",
            "x",
            BY_DATA,
            **more,  # type: ignore[arg-type]
        )
        for i in range(n)
    ]
    (folder / RECORDS).write_text("".join(r.to_json() + "\n" for r in made))
    return folder


def test_parts_are_disjoint_and_whole(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "set")
    parts = {p: [s.id for s in PreparedBenchmark(folder, p)] for p in ("train", "validation", "test", "all")}
    assert parts["all"] == [f"psr-{i}" for i in range(60)]
    assert sorted(parts["train"] + parts["validation"] + parts["test"]) == sorted(parts["all"])
    assert len(parts["train"]) > 35 and parts["test"]


def test_gold_is_in_the_words_that_are_trained(tmp_path: Path) -> None:
    sample = PreparedBenchmark(prepared(tmp_path / "set", 1, kind="low", history=("before",)), "all")[0]
    assert sample.gold == (Edit("remove", "thing 0"), Edit("adjust", "image", "brighter"))
    assert (sample.kind, sample.history, sample.image) == ("low", ("before",), None)


def test_pictures_are_within_the_folder_or_anywhere(tmp_path: Path) -> None:
    folder = prepared(tmp_path / "set", 1, picture="pictures/a.png")
    data = PreparedBenchmark(folder, "all")  # nothing is opened yet
    with pytest.raises(MissingFile, match="record psr-0.*a.png"):
        _ = data[0].image
    (folder / "pictures").mkdir()
    Image.new("RGBA", (5, 3), (255, 0, 0, 255)).save(folder / "pictures" / "a.png")
    image = data[0].image
    assert image is not None and (image.size, image.mode) == ((5, 3), "RGB")
    far = prepared(tmp_path / "other", 1, picture=str(folder / "pictures" / "a.png"))
    assert PreparedBenchmark(far, "all")[0].image is not None


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    for path in (None, "", tmp_path):
        with pytest.raises(MissingFile, match="experiments.prepare"):
            PreparedBenchmark(path)
    with pytest.raises(BadInput, match="train, validation, test, all"):
        PreparedBenchmark(tmp_path, "dev")
    (tmp_path / RECORDS).write_text("")
    with pytest.raises(BadData, match="no record in split 'train'"):
        PreparedBenchmark(tmp_path)
