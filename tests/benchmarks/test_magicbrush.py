"""MagicBrush: single turns and sessions, and the region a mask picture stands for."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from benchmarks.catalogue import load
from benchmarks.magicbrush import FINAL, region
from common.errors import BadData, BadInput
from tests import published

pytestmark = pytest.mark.usefixtures("cache")


def test_in_the_single_protocol_every_turn_has_its_own_source(tmp_path: Path, opened: list[str]) -> None:
    result = load("magicbrush", path=str(published.write_magicbrush(tmp_path, turns=(3, 1, 2))))
    units = [result.unit(i) for i in range(len(result))]
    assert opened == [] and [len(u) for u in units] == [1] * 6
    assert [u[0].id for u in units] == [f"magicbrush-{p}-{t}" for p, t in [(1000, 1), (1000, 2), (1000, 3), (1001, 1), (1002, 1), (1002, 2)]]  # fmt: skip # noqa: E501
    assert result.card.mean == "micro" and units[0][0].cluster == units[2][0].cluster != units[3][0].cluster
    third = units[2][0]
    assert (third.request, third.history, third.session, third.turn) == ("turn 3 of 0", (), "", 0)
    assert third.image is not None and published.shown(third.image) == (3, "source")
    assert third.reference is not None and published.shown(third.reference()) == (3, "edited")


@pytest.mark.parametrize("form", ["parquet", "disk"])
def test_in_the_multi_protocol_a_session_starts_from_its_first_picture(form: str, tmp_path: Path) -> None:
    result = load(
        "magicbrush", path=str(published.write_magicbrush(tmp_path, turns=(3, 1, 2), form=form)), protocol="multi"
    )
    units = [result.unit(i) for i in range(len(result))]
    assert [len(u) for u in units] == [3, 1, 2] and result.card.mean == "final"  # scored at the final turn
    session = units[0]
    assert [i.turn for i in session] == [0, 1, 2] and {i.session for i in session} == {"magicbrush-1000"}
    assert session[2].history == ("turn 1 of 0", "turn 2 of 0")
    assert [published.shown(i.image)[0] for i in session if i.image] == [1, 1, 1]
    assert [published.shown(i.reference()) for i in session if i.reference] == [(t, "edited") for t in (1, 2, 3)]
    assert [FINAL in i.subsets for u in units for i in u] == [False, False, True, True, False, True]
    assert len({i.id for u in units for i in u}) == 6


def test_a_sample_is_of_turns_or_of_sessions(tmp_path: Path) -> None:
    path = str(published.write_magicbrush(tmp_path, turns=(3, 1, 2, 2, 1)))
    assert len(load("magicbrush", path=path, samples=4, seed=0)) == 4
    sessions = load("magicbrush", path=path, samples=2, seed=0, protocol="multi")
    assert len(sessions) == 2 and "2 of 5 sessions" in sessions.card.sampling
    with pytest.raises(BadInput, match="protocol=both is unknown"):
        load("magicbrush", path=path, protocol="both")


def test_turns_are_ordered_by_their_index_and_a_double_one_is_said(tmp_path: Path) -> None:
    rows = [
        {
            "img_id": "7",
            "turn_index": t,
            "source_img": published.png(published.picture(t)),
            "mask_img": published.png(published.picture(t, "mask")),
            "instruction": f"turn {t}",
            "target_img": published.png(published.picture(t, "edited")),
        }
        for t in (2, 1)
    ]
    result = load(
        "magicbrush", path=str(published.write(tmp_path / "a", rows, published.MAGICBRUSH, "dev")), protocol="multi"
    )
    assert [i.request for i in result.unit(0)] == ["turn 1", "turn 2"]
    rows[1]["turn_index"] = 2
    with pytest.raises(BadData, match="turn 2 of picture 7 is in row 0 and in row 1"):
        load("magicbrush", path=str(published.write(tmp_path / "b", rows, published.MAGICBRUSH, "dev")))


def test_the_mask_is_the_region_that_was_taken_out(tmp_path: Path) -> None:
    item = load("magicbrush", path=str(published.write_magicbrush(tmp_path, turns=(1,)))).unit(0)[0]
    assert item.mask is not None
    mask = item.mask()
    wanted = Image.new("L", published.SIZE, 0)
    wanted.paste(255, published.REGION)
    assert mask.mode == "L" and mask.tobytes() == wanted.tobytes()


def test_masks_of_other_kinds() -> None:
    source = published.picture(3)
    painted = source.copy()
    painted.paste((255, 255, 255), published.REGION)
    wanted = Image.new("L", published.SIZE, 0)
    wanted.paste(255, published.REGION)
    assert region(painted, lambda: source, "here").tobytes() == wanted.tobytes()  # painted over
    assert region(painted.convert("RGBA"), lambda: source, "here").tobytes() == wanted.tobytes()  # opaque all over
    assert region(wanted, lambda: source, "here").tobytes() == wanted.tobytes()  # a plain mask
    with pytest.raises(BadData, match="here: the mask is"):
        region(painted.resize((5, 5)), lambda: source, "here")
