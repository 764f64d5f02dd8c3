"""How often edits drifted, counted by hand."""

from __future__ import annotations

import pytest

from judges.metrics import drift_by_arm, summarise_drift

ROWS: list[dict[str, float | None]] = [
    {"drift_px": 0.0, "drift_scale": 1.0, "drift_degrees": 0.0},
    {"drift_px": 1.0, "drift_scale": 1.001, "drift_degrees": 0.1},  # at the limit, not beyond it
    {"drift_px": 3.0, "drift_scale": 1.0, "drift_degrees": 0.0},
    {"drift_px": 0.5, "drift_scale": 0.98, "drift_degrees": -1.0},
    {"drift_px": 4.0, "drift_scale": None, "drift_degrees": None},  # detail in one place only
    {"drift_px": None, "drift_scale": None, "drift_degrees": None},  # a flat picture
    {"l1": 0.3},
]


def test_shares_by_hand() -> None:
    """5 of 7 measured; shifts over 1: 3 and 4, so 2 of 5; zoomed and turned: 1 of the 4 for which it could be told;
    drifted in any way: rows 3, 4 and 5, so 3 of 5. Lengths 0, 0.5, 1, 3, 4: median 1, largest 4."""
    s = summarise_drift(ROWS)
    assert (s.n, s.measured) == (7, 5)
    assert (s.drifted, s.shifted, s.zoomed, s.turned) == (0.6, 0.4, 0.25, 0.25)
    assert (s.median_px, s.largest_px) == (1.0, 4.0)


def test_limits_can_be_moved() -> None:
    s = summarise_drift(ROWS, pixels=0.4, zoom=0.03, degrees=2)
    assert (s.shifted, s.zoomed, s.turned) == (0.8, 0, 0)
    assert s.drifted == s.shifted


@pytest.mark.parametrize("rows", [[], ROWS[5:]])
def test_nothing_measured_is_no_share_of_0(rows: list[dict[str, float | None]]) -> None:
    s = summarise_drift(rows)
    assert (s.n, s.measured) == (len(rows), 0)
    assert s.drifted is s.shifted is s.zoomed is s.turned is s.median_px is s.largest_px is None


def test_every_arm_has_its_own() -> None:
    arms = drift_by_arm({"editor": ROWS, "agents": ROWS[:2]})
    assert arms["editor"] == summarise_drift(ROWS)
    assert arms["agents"].drifted == 0
