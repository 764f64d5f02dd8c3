"""Scores of explicit single edits: the right editor's numbers in the right rows, and a sheet that shows what was scored."""

from __future__ import annotations

import pytest
from PIL import Image

from common.errors import BadInput
from experiments import single_edits
from experiments.evaluation import single_edits as S
from experiments.reports import single_edits as R


def test_what_was_wanted_scores_ten_and_the_untouched_source_scores_nothing() -> None:
    samples = S.held_out(12)
    assert all(len(sample.gold) == 1 for sample in samples)
    scores = {
        "perfect": S.judge(samples, [s.target for s in samples]),
        "lazy": S.judge(samples, [s.image for s in samples]),
    }
    table = S.by_action(samples, scores)
    assert all(row["perfect"]["overall"].value == pytest.approx(10) for row in table.values())
    assert table["all"]["lazy"]["request_fulfilled"].value < 0.5
    assert (
        table["all"]["perfect"]["overall"].n
        == 12
        == sum(row["lazy"]["overall"].n for action, row in table.items() if action != "all")
    )


def test_the_table_is_markdown_and_the_numbers_stay_with_their_editor() -> None:
    samples = S.held_out(3)
    scores = {"a": [{"overall": 1.0}] * 3, "b": [{"overall": 4.0}] * 3}
    text = R.markdown(S.by_action(samples, scores), ["a", "b"])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert "| all: overall | 3 | 1.00* | 4.00* |" in lines and "\\* all 3 values are alike" in text
    assert all(line.endswith("| 1.00 | 4.00 |") for line in lines[3:])


def test_the_sheet_shows_every_picture_at_its_place() -> None:
    samples = S.held_out(3)
    made = {"red": [Image.new("RGB", (64, 64), "red")] * 3, "blue": [Image.new("RGB", (64, 64), "blue")] * 3}
    sheet = R.sheet(samples, made, [0, 1, 2])
    side, step = 64 * R.ZOOM, 64 * R.ZOOM + R.GAP
    y = R.GAP + R.TEXT + 2 + side // 2
    assert sheet.getpixel((R.GAP + step + side // 2, y)) == (255, 0, 0)
    assert sheet.getpixel((R.GAP + 2 * step + side // 2, y)) == (0, 0, 255)
    assert sheet.height > 2 * side  # two rows for three samples


@pytest.mark.parametrize("word", ["samples=0", "samples=many", "steps=3", "qwen"])
def test_what_cannot_be_read_is_named(word: str) -> None:
    with pytest.raises(BadInput, match="usage"):
        single_edits.main([word])
