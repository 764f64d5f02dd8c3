"""LPIPS through torchmetrics' network: the published linear layers on a random backbone, so that nothing is downloaded."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import editors  # noqa: F401  (lets torchvision be imported beside a CPU torch)
from judges.metrics.base import Case
from judges.metrics.names import parse
from judges.metrics.perceptual import LpipsMetric
from tests.judges.metrics.photographs import photograph

needs_torchvision = pytest.mark.skipif(find_spec("torchvision") is None, reason="needs torchvision")
CAT, CUP = photograph("chelsea").crop((100, 60, 228, 160)), photograph("coffee").crop((200, 60, 328, 160))


@pytest.fixture(scope="module")
def net() -> Any:
    from torchmetrics.functional.image.lpips import _NoTrainLpips

    torch.manual_seed(0)
    return _NoTrainLpips(net="alex", pnet_rand=True)  # the linear layers are the published ones


def value(net: Any, name: str, case: Case) -> float:
    reading = LpipsMetric(parse([name]), net).measure([case])[0][name]
    assert reading.value is not None, reading.reason
    return reading.value


@needs_torchvision
def test_it_is_the_networks_own_distance(net: Any) -> None:
    a, b = (torch.from_numpy(np.array(p)).permute(2, 0, 1)[None] / 255 for p in (CAT, CUP))
    net.spatial = False
    expected = float(net(a, b, normalize=True))
    assert expected > 0
    assert value(net, "lpips", Case(CAT, reference=CUP)) == pytest.approx(expected, rel=1e-5)


@needs_torchvision
def test_identical_pictures_and_symmetry(net: Any) -> None:
    assert value(net, "lpips", Case(CAT, reference=CAT.copy())) == 0
    there, back = (value(net, "lpips@source", Case(a, source=b)) for a, b in ((CAT, CUP), (CUP, CAT)))
    assert there == pytest.approx(back, rel=1e-5)


@needs_torchvision
def test_nothing_inside_the_mask_counts(net: Any) -> None:
    mask = Image.new("L", CAT.size)
    mask.paste(255, (10, 10, 70, 80))
    one, other = CUP.copy(), CUP.copy()
    one.paste((255, 0, 0), (10, 10, 70, 80))
    other.paste((0, 90, 200), (10, 10, 70, 80))
    first, second = (value(net, "bg_lpips", Case(p, source=CAT, mask=mask)) for p in (one, other))
    assert first == second > 0
    kept = CAT.copy()
    kept.paste((255, 0, 0), (10, 10, 70, 80))
    assert value(net, "bg_lpips", Case(kept, source=CAT, mask=mask)) == 0


@needs_torchvision
def test_both_in_one_metric_do_not_disturb_each_other(net: Any) -> None:
    case = Case(CUP, source=CAT, reference=CAT, mask=Image.new("L", CAT.size))
    for names in (("lpips", "bg_lpips"), ("bg_lpips", "lpips")):
        row = LpipsMetric(parse(names), net).measure([case, case])
        assert row[0] == row[1]
        assert row[0]["lpips"].value == pytest.approx(value(net, "lpips", case), rel=1e-6)
        # with nothing masked the map's mean is the distance but for how the layers are enlarged
        assert row[0]["bg_lpips"].value == pytest.approx(row[0]["lpips"].value, rel=0.05)


def test_what_does_not_apply_needs_no_network() -> None:
    metric = LpipsMetric(parse(["lpips", "bg_lpips"]), net=None)
    row = metric.measure([Case(CAT, source=CUP)])[0]
    assert (row["lpips"].value, row["lpips"].reason) == (None, "the item has no reference picture")
    assert (row["bg_lpips"].value, row["bg_lpips"].reason) == (None, "the item has no mask")
    small = Image.new("RGB", (63, 200))
    assert "smaller than 64" in metric.measure([Case(small, reference=small)])[0]["lpips"].reason
