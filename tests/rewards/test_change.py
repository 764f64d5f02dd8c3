"""A proxy that measures change alone: known shares, and why it can be gamed."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.base import EditSample
from benchmarks.sandbox.generate import SandboxBenchmark
from rewards.change import SAME, change, changed_share

GREY = Image.new("RGB", (8, 8), (100, 100, 100))


def altered(rows: int, by: int) -> Image.Image:
    pixels = np.asarray(GREY).copy()
    pixels[:rows, :, 1] += by
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("rows", "share"), [(0, 0.0), (2, 0.25), (8, 1.0)])
def test_the_share_of_changed_pixels(rows: int, share: float) -> None:
    assert changed_share(altered(rows, SAME + 1), GREY) == share
    assert changed_share(altered(rows, SAME), GREY) == 0.0  # levels that a VAE does not give back are no change
    assert changed_share(altered(rows, SAME + 1), GREY.resize((16, 16))) == share


def test_doing_nothing_earns_nothing_and_another_picture_more_than_the_right_one() -> None:
    bench = SandboxBenchmark("test", 5)
    samples = [bench.sample(i) for i in range(12)]
    noise = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (64, 64, 3), np.uint8)) for i in range(12)]
    idle, right, wrecked = (
        change(samples, p) for p in ([s.image for s in samples], [s.target for s in samples], noise)
    )
    assert idle == [0.0] * 12
    for r, w in zip(right, wrecked, strict=True):
        assert r is not None and w is not None and 0 < r <= 1 and w > 0.95
    assert np.mean(right) < np.mean(wrecked)  # type: ignore[arg-type]


def test_a_sample_without_a_picture_has_no_reward() -> None:
    assert change([EditSample("a", "add a hat", ())], [GREY]) == [None]
