"""Held-out pairs by the scores of a reward model, and by those that its traces say."""

import pytest

from experiments.evaluation.pairs import PairRow, accuracies, by_said
from experiments.reports.run.reward_model import print_pairs, tables

SFT = [
    PairRow("sft", "a", 7.2, 6.9, (7, 7)),
    PairRow("sft", "b", 3.0, 4.0, (3, 4)),
    PairRow("sft", "c", 5.0, 4.0, (5, 4)),
]
GCPO = [
    PairRow("gcpo", "a", 7.5, 6.0, (8, 6)),
    PairRow("gcpo", "b", 3.0, 4.0, (None, 4)),
    PairRow("gcpo", "c", 6.0, 4.0, (6, 4)),
]


def test_both_scores_are_told_apart() -> None:
    part = accuracies([*SFT, *GCPO])
    assert part["pair_accuracy"] == pytest.approx({"sft": 2 / 3, "gcpo": 2 / 3})
    assert part["said"]["pair_accuracy"] == pytest.approx({"sft": 1 / 3, "gcpo": 2 / 3})
    assert part["tied"]["sft"] == 0 and part["said"]["tied"] == {"sft": 1, "gcpo": 0}
    assert part["unreadable"]["gcpo"] == 0 and part["said"]["unreadable"] == {"sft": 0, "gcpo": 1}
    assert part["pair_gain"]["gcpo-sft"]["value"] == 0
    assert part["said"]["pair_gain"]["gcpo-sft"]["value"] == pytest.approx(1 / 3)


def test_rows_with_one_score_have_one_table() -> None:
    assert "said" not in accuracies([PairRow("sft", "a", 7.0, 6.0)])


def test_a_row_survives_its_file() -> None:
    (row,) = [PairRow(**r.to_dict()) for r in SFT[:1]]
    assert row == SFT[0]


def test_the_terminal_shows_both(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs({"rrm": accuracies([*SFT, *GCPO])})
    shown = capsys.readouterr().out
    first, second = shown.split("by the score that the trace says")
    assert "by the expected score" in first and "66.7" in first
    assert "33.3" in second and "+33.3" in second
    print_pairs({"rrm": accuracies([PairRow("sft", "a", 7.0, 6.0)])})
    assert "expected" not in capsys.readouterr().out


def test_the_page_has_a_table_for_each() -> None:
    said = {"sft": by_said(SFT), "gcpo": by_said(GCPO)}
    page = "".join(tables(said))  # type: ignore[arg-type]
    assert "33.3" in page and "think and verify, GCPO − think and verify (SFT)" in page
