"""L1, L2, PSNR, SSIM and their background versions: numbers worked by hand, invariants, scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from judges.metrics.base import Case
from judges.metrics.names import parse
from judges.metrics.pictures import background, tensor
from judges.metrics.pixels import PSNR_CAP, PixelMetric, l1, l2, psnr, ssim, ssim_map
from tests.judges.metrics.photographs import NAMES, photograph

ALL = ("l1", "l2", "psnr", "ssim")
FORMULAS = {"l1": l1, "l2": l2, "psnr": psnr, "ssim": ssim}


def noise(seed: int, size: tuple[int, int] = (24, 20)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def value(name: str, case: Case) -> float | None:
    return PixelMetric(parse([name])).measure([case])[0][name].value


def reason(name: str, case: Case) -> str:
    reading = PixelMetric(parse([name])).measure([case])[0][name]
    assert reading.value is None
    return reading.reason


# ---------------------------------------------------------------------------------------------------- known answers
def test_l1_l2_and_psnr_by_hand() -> None:
    """Two pixels: (51, 0, 0) against black and black against black. Differences over 6 values: 0.2 once, else 0.
    L1 = 0.2 / 6 = 0.03333, L2 = 0.04 / 6 = 0.0066667, PSNR = 10 log10(1 / 0.0066667) = 10 log10(150) = 21.7609 dB."""
    edited, target = Image.new("RGB", (2, 1)), Image.new("RGB", (2, 1))
    edited.putpixel((0, 0), (51, 0, 0))
    case = Case(edited, reference=target)
    assert value("l1", case) == pytest.approx(0.2 / 6)
    assert value("l2", case) == pytest.approx(0.04 / 6)
    assert value("psnr", case) == pytest.approx(21.7609, abs=1e-4)


def test_ssim_of_two_plain_pictures_by_hand() -> None:
    """Without variance only the first factor is left: (2 a b + C1) / (a^2 + b^2 + C1) with C1 = 0.01^2.
    a = 51/255 = 0.2, b = 102/255 = 0.4: (0.16 + 0.0001) / (0.04 + 0.16 + 0.0001) = 0.1601 / 0.2001 = 0.80010."""
    case = Case(Image.new("RGB", (16, 16), (51,) * 3), reference=Image.new("RGB", (16, 16), (102,) * 3))
    assert value("ssim", case) == pytest.approx(0.1601 / 0.2001, abs=1e-4)


def test_background_by_hand() -> None:
    """2 x 1 pixels, the right one masked. Outside the mask only the left counts: |0.2| on one of its three channels."""
    edited, source, mask = Image.new("RGB", (2, 1)), Image.new("RGB", (2, 1)), Image.new("L", (2, 1))
    edited.putpixel((0, 0), (51, 0, 0))
    edited.putpixel((1, 0), (255, 255, 255))
    mask.putpixel((1, 0), 255)
    case = Case(edited, source=source, mask=mask)
    assert value("bg_l1", case) == pytest.approx(0.2 / 3)
    assert value("bg_psnr", case) == pytest.approx(10 * math.log10(3 / 0.04))  # 18.7506 dB


def test_an_edited_picture_of_another_size_is_brought_to_the_targets_by_pils_bicubic() -> None:
    edited, target = photograph("coffee"), photograph("chelsea")
    same = edited.resize(target.size, Image.Resampling.BICUBIC)
    expected = np.abs(np.asarray(same, float) - np.asarray(target, float)).mean() / 255
    assert value("l1", Case(edited, reference=target)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("against", ["source", "reference"])
def test_the_name_says_what_is_compared_with(against: str) -> None:
    case = Case(Image.new("RGB", (4, 4)), **{against: Image.new("RGB", (4, 4), (255,) * 3)})
    other = "reference" if against == "source" else "source"
    assert value(f"l1@{against}", case) == 1
    assert reason(f"l1@{other}", case) == f"the item has no {other} picture"


# ------------------------------------------------------------------------------------------------------- invariants
@pytest.mark.parametrize("name", NAMES)
def test_identical_photographs(name: str) -> None:
    picture = photograph(name)
    row = PixelMetric(parse(ALL)).measure([Case(picture, reference=picture.copy())])[0]
    assert {k: r.value for k, r in row.items()} == {
        "l1": 0,
        "l2": 0,
        "psnr": PSNR_CAP,
        "ssim": pytest.approx(1, abs=1e-5),
    }


def test_the_smallest_difference_of_an_ordinary_picture_is_below_the_cap() -> None:
    """One grey level in one value of 256 x 256 x 3: 48.13 + 10 log10(196608) = 101.07 dB, over the cap; one level in 2 of
    a 100 x 100 picture: 48.13 + 10 log10(15000) = 89.89 dB, under it."""
    black, large = Image.new("RGB", (100, 100)), Image.new("RGB", (256, 256))
    few, one = black.copy(), large.copy()
    few.putpixel((0, 0), (1, 1, 0))
    one.putpixel((0, 0), (1, 0, 0))
    assert value("psnr", Case(few, reference=black)) == pytest.approx(89.892, abs=1e-3)
    assert value("psnr", Case(one, reference=large)) == PSNR_CAP


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_symmetry_and_ranges(first: int, second: int) -> None:
    a, b = tensor(noise(first)), tensor(noise(second))
    for formula in FORMULAS.values():
        assert formula(a, b) == pytest.approx(formula(b, a), abs=1e-6)
    assert 0 <= l2(a, b) <= l1(a, b) <= 1
    assert 0 < psnr(a, b) <= PSNR_CAP
    assert -1 <= ssim(a, b) <= 1 + 1e-6  # rounding


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 23), st.integers(1, 19))
def test_nothing_inside_the_mask_counts(seed: int, x: int, y: int) -> None:
    """Two results that agree outside the mask and differ anywhere inside have the same numbers, to the last bit."""
    source, result, inside = noise(seed), noise(seed + 1), noise(seed + 2)
    mask = Image.new("L", source.size)
    mask.paste(255, (0, 0, x, y))
    changed = result.copy()
    changed.paste(inside.crop((0, 0, x, y)), (0, 0))
    names = ("bg_l1", "bg_psnr", "bg_ssim")
    metric = PixelMetric(parse(names))
    before, after = metric.measure([Case(p, source=source, mask=mask) for p in (result, changed)])
    assert before == after
    assert all(before[n].value is not None for n in names)


@pytest.mark.parametrize("formula", ALL)
def test_an_empty_mask_is_no_mask(formula: str) -> None:
    case = Case(noise(0), source=noise(1), mask=Image.new("L", (24, 20)))
    if formula != "l2":  # which has no version of its own
        assert value(f"bg_{formula}", case) == pytest.approx(value(f"{formula}@source", case), abs=1e-12)
    where = background(Image.new("L", (24, 20)), (24, 20))
    assert bool(where.all())


def test_a_kept_background_is_perfect_whatever_was_edited() -> None:
    source = photograph("chelsea")
    edited, mask = source.copy(), Image.new("L", source.size)
    box = (100, 50, 220, 180)
    edited.paste((255, 0, 0), box)
    mask.paste(255, box)
    names = ("bg_l1", "bg_psnr", "bg_ssim")
    row = PixelMetric(parse(names)).measure([Case(edited, source=source, mask=mask)])[0]
    assert [row[n].value for n in names] == [0, PSNR_CAP, pytest.approx(1, abs=1e-5)]


def test_what_does_not_apply_is_none_with_a_reason() -> None:
    a = noise(0)
    assert reason("bg_l1", Case(a, source=a)) == "the item has no mask"
    assert reason("bg_l1", Case(a, source=a, mask=Image.new("L", a.size, 255))) == "the mask leaves no background"
    assert "window of 11" in reason("ssim", Case(noise(0, (10, 30)), reference=noise(1, (10, 30))))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_pictures_of_every_mode(mode: str) -> None:
    picture = photograph("chelsea").convert(mode)
    assert value("l1", Case(picture, reference=picture.convert("RGB"))) == 0


# ----------------------------------------------------------------------------------------------------- scikit-image
@pytest.mark.parametrize("name", NAMES)
def test_psnr_and_ssim_agree_with_scikit_image(name: str) -> None:
    """PSNR differs in the sixth decimal, because torchmetrics takes the logarithm of 10 in single precision. SSIM's maps
    agree wherever the window lies inside the picture; at the border torchmetrics mirrors without and scipy with the
    outermost pixel. scikit-image then leaves the border out of the mean and torchmetrics does not: on these photographs
    of 150 x 120 pixels that is less than 0.01."""
    picture = photograph(name).crop((100, 80, 250, 200))
    rng = np.random.default_rng(0)
    noisy = np.asarray(picture) + rng.normal(0, 12, (120, 150, 3))
    edited = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    a, b = (np.asarray(p) / 255 for p in (edited, picture))
    case = Case(edited, reference=picture)
    assert value("psnr", case) == pytest.approx(peak_signal_noise_ratio(b, a, data_range=1), abs=1e-5)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    mean, full = structural_similarity(a, b, channel_axis=2, full=True, **options)
    result = ssim_map(tensor(edited), tensor(picture)).numpy()
    assert np.abs(result - full.mean(2))[5:-5, 5:-5].max() < 1e-9
    assert result[5:-5, 5:-5].mean() == pytest.approx(mean, abs=1e-9)
    assert value("ssim", case) == pytest.approx(result.mean(), abs=1e-4)
    assert value("ssim", case) == pytest.approx(mean, abs=1e-2)


def test_the_masked_mean_is_that_of_the_map() -> None:
    """Far from the mask the filled and the unfilled map are the same, so a mask in one half leaves the other's mean."""
    a, b = tensor(noise(0, (80, 40))), tensor(noise(1, (80, 40)))
    where = torch.zeros(40, 80, dtype=torch.bool)
    where[:, :30] = True
    filled = torch.cat([a[:, :, :30], b[:, :, 30:]], 2)
    assert ssim(a, b, where) == pytest.approx(float(ssim_map(filled, b)[:, :30].mean()), abs=1e-4)
    near_nothing = ssim_map(a, b)[:, :25]  # 5 pixels from the mask's border no window reaches it
    assert torch.allclose(ssim_map(filled, b)[:, :25], near_nothing, atol=1e-12)
