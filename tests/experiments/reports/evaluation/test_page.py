"""The page of an evaluation: what is not complete is never a result, and everything shown says what it is."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from experiments.evaluation.gallery import BEST, DISPUTED, WORST, groups
from experiments.evaluation.load import load
from experiments.evaluation.scores import scores
from experiments.reports.evaluation.cells import state
from experiments.reports.evaluation.metrics import drift_part, metric_notes
from experiments.reports.evaluation.page import write_page
from experiments.reports.evaluation.splits import split_part, split_parts
from experiments.reports.evaluation.words import aspect_name
from judges.metrics.names import TABLE, rewards
from judges.metrics.pixels import l1, l2, psnr, ssim
from tests.experiments.evaluation.little import evaluated
from tests.pages import faults


def test_a_second_judge_is_a_column_and_the_average_is_over_both(tmp_path: Path) -> None:
    layout = evaluated(tmp_path, ("grader", "other"), most=0.5)
    result = scores(load(tmp_path))
    page = write_page(tmp_path, result, load(tmp_path), 2).read_text(encoding="utf-8")
    assert 'other (paper) <span class="score">1.0</span>' in page and "&lt;" not in page
    assert [c["judge"] for c in result["table"]["columns"]] == ["grader", "other"]
    assert [r["average"] for r in result["table"]["rows"]] == [1.0, 2.0]
    next(layout.verdicts("other", "agents").glob("*.jsonl")).unlink()
    again = scores(load(tmp_path))
    assert [r["average"] for r in again["table"]["rows"]] == [1.0, None]  # never over other columns than the row above
    assert again["arms"]["agents"]["little"]["judges"] == ["grader"]


def test_the_gallery_shows_best_worst_and_disputed_once_each(tmp_path: Path) -> None:
    layout = evaluated(tmp_path, most=0.5)
    (section,) = load(tmp_path)
    result = groups(section, 1)
    # arms differ by 1.0 on items 0, 1, 3, 4 (the first is shown); item 2 has the editor's 1.0 alone, so the lowest mean
    assert [s.key for s in result[DISPUTED]] == [(0, 0)] and [s.key for s in result[WORST]] == [(2, 0)]
    assert [s.key for s in result[BEST]] == [(1, 0)]
    page = write_page(tmp_path, scores([section]), [section], 1).read_text(encoding="utf-8")
    assert page.count('class="strip"') == 3 and "no picture: refused" in page and "about item-0-0" in page
    assert layout.source((0, 0)).is_file() and not re.search(r'(src|href)="(https?:)?//', page)


def test_too_many_invalid_verdicts_give_no_mean_and_no_difference_anywhere(tmp_path: Path) -> None:
    evaluated(tmp_path, most=0.2)
    result = scores(load(tmp_path))
    assert "little" in result["arms"]["editor"] and result["arms"]["agents"] == {}
    (gap,) = result["judges"]["little"]["grader"]["differences"]
    assert gap["too_many_invalid"] and state(gap) == "too many invalid"
    page = write_page(tmp_path, result, load(tmp_path), 2).read_text(encoding="utf-8")
    assert "– (too many invalid verdicts)" in page and "max_invalid_share allows" in page


def test_wide_tables_scroll_by_themselves_and_sizes_are_in_words(tmp_path: Path) -> None:
    evaluated(tmp_path, most=0.5)
    page = write_page(tmp_path, scores(load(tmp_path)), load(tmp_path), 2).read_text(encoding="utf-8")
    assert faults(page) == [] and "6 items: all of it." in page and "Overall by kind" in page
    before = [page[: m.start()] for m in re.finditer("<table", page)]
    assert before and all(text.endswith('<div class="wide" tabindex="0">') for text in before)


def test_drift_that_could_not_be_told_is_a_sentence_and_no_empty_table() -> None:
    lost = {"n": 3, "measured": 0} | dict.fromkeys(
        ("drifted", "shifted", "zoomed", "turned", "median_px", "largest_px")
    )
    (text,) = drift_part({"editor": lost})
    assert "<table" not in text and "could be told for no edit" in text
    shares = {"drifted": 0.5, "shifted": 0.5, "zoomed": 0.0, "turned": 0.0}
    told = {"n": 3, "measured": 2, "median_px": 1.25, "largest_px": 2.5} | shares
    text = "".join(drift_part({"editor": told, "agents": lost}))
    assert "2 of 3" in text and "50 %" in text and "shifted by more than 1 px" in text


def test_metrics_say_what_they_are_compared_with() -> None:
    said = metric_notes(["l1", "l1@source", "clip_t", "something"])
    assert said.startswith(
        "l1: mean absolute difference (against the target), of 0..1, lower is better: rewards coming near"
    )
    assert "(against the given picture)" in said and "something" not in said
    own, to_source, caption = said.split(". ")
    assert "lower is nearer to the given picture, not better: rewards changing nothing" in to_source
    assert (
        "ranks no editor by itself" in to_source
        and "doing nothing" not in own
        and "nothing of what was to be kept" in caption
    )


def test_every_metric_says_what_it_rewards_and_none_that_doing_nothing_wins_is_called_better() -> None:
    """Whatever is best for an unchanged picture is best for doing nothing, and must say so."""
    before = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    edited = before.clone()
    edited[:, 4:12, 4:12] = 0
    for distance in (l1, l2, psnr, ssim):
        still, changed = distance(before, before), distance(edited, before)
        assert (still < changed) == (TABLE[distance.__name__].better == "lower")
    for base, info in TABLE.items():
        for against in ("source", "reference") if info.free else (info.against,):
            said = metric_notes([f"{base}@{against}" if info.free else base])
            assert "is better" not in said or against != "source"
            assert ("nothing" in rewards(base, against)) or against == "reference"


def test_a_star_in_a_table_has_its_note_below_it() -> None:
    noted = {"value": 1.0, "low": 1.0, "high": 1.0, "n": 2, "invalid": 0, "missing": 0, "note": "one item of each kind"}
    (text,) = split_part("Overall by part", {"editor": {"cn": noted}}, "part")
    assert "1.00*" in text and text.count("* one item of each kind") == 1
    same = {"editor": {"by_kind": {"cm": noted}, "by_turn": {}, "subsets": {"cm": noted}, "subsets_micro": {}}}
    (once,) = split_parts(["overall"], same, "micro")  # not the same table twice
    assert "Overall by kind" in once
    assert [aspect_name(n) for n in ("sc", "pq", "image_quality")] == ["SC", "PQ", "image quality"]
