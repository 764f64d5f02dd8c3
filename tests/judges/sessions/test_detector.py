"""GroundingDINO as a detector, on a tiny random model of the real class: pixels, thresholds, names, batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from common.errors import BadData
from judges.sessions.detector import Box, GroundingDino, Look, boxes_of, caption
from tests.judges.sessions.tiny_sight import save_dinov3, save_grounding_dino
from tests.sandbox_scenes import random_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_grounding_dino(tmp_path_factory.mktemp("grounding_dino"))


@pytest.fixture(scope="module")
def detector(folder: Path) -> GroundingDino:
    return GroundingDino(folder, shortest=64, longest=128)


def picture(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    from benchmarks.sandbox.render import render

    return Image.fromarray(render(random_scene(seed), 64)).resize(size)


def test_the_text_has_lower_case_names_between_full_stops() -> None:
    text, names, spans = caption(("A Dog", "", "tree. ", "Mr. Cat"))
    assert text == "a dog . tree . mr cat ." and names == ("a dog", "tree", "mr cat")
    assert [text[start:end] for start, end in spans] == list(names)
    assert caption(("", " . "))[1] == ()


def test_boxes_are_in_pixels_and_bear_the_name_they_fit_best() -> None:
    fits = torch.tensor(
        [[0.9, 0.1, 0.6, 0.0], [0.1, 0.2, 0.3, 0.0], [0.2, 0.1, 0.9, 0.0]]
    )  # the first token is of no name
    corners = torch.tensor([[0.5, 0.5, 0.2, 0.4], [0.5, 0.5, 1.0, 1.0], [0.25, 0.5, 0.5, 1.0]])
    look = Look(Image.new("RGB", (200, 100)), ("a", "b"), 0.35, 0.7)
    first, second = boxes_of(fits, corners, (-1, 0, 1, -1), ("a", "b"), look)
    assert (first.left, first.top, first.right, first.bottom) == pytest.approx((80, 30, 120, 70))
    assert first.score == pytest.approx(0.9) and first.name == ""  # its best name is not above the text's threshold
    assert second.name == "b" and second.centre == (50, 50)


def test_thresholds_only_take_boxes_away(detector: GroundingDino) -> None:
    shown, names = picture(0), ("red star", "dog")
    few, many, none = detector.detect([Look(shown, names, t, 0.0) for t in (0.5, 0.0, 1.0)])
    assert len(many) == 12 and none == () and len(few) <= len(many)
    assert all(box.score > 0.5 for box in few) and set(few) <= set(many)
    assert {box.name for box in many} <= {"red star", "dog"}


def test_a_looks_boxes_do_not_depend_on_what_else_is_looked_at(detector: GroundingDino) -> None:
    looks = [Look(picture(i, size), names, 0.0, 0.0) for i, (size, names) in enumerate(
        [((64, 64), ("dog",)), ((96, 64), ("dog",)), ((64, 64), ("cat",)), ((64, 64), ("dog", "green square")), ((64, 64), ("",))]
    )]  # fmt: skip
    together = detector.detect(looks)
    for look, boxes in zip(looks, together, strict=True):
        (alone,) = detector.detect([look])
        assert len(alone) == len(boxes) == (0 if look.names == ("",) else 12)
        for a, b in zip(alone, boxes, strict=True):
            values = [(x.left, x.top, x.right, x.bottom, x.score) for x in (a, b)]
            assert values[0] == pytest.approx(values[1], abs=1e-3) and a.name == b.name
    assert together[0] != together[2]  # another name finds other boxes


def test_very_long_lists_are_cut_as_published(detector: GroundingDino) -> None:
    (boxes,) = detector.detect([Look(picture(1), tuple(f"blue square {i}" for i in range(200)), 0.0, 0.0)])
    assert all(isinstance(box, Box) for box in boxes)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=str(tmp_path)):
        GroundingDino(save_dinov3(tmp_path / "dino"))
