"""L1, L2, PSNR and SSIM of two pictures in 0..1, whole or where nothing was to change.

`edited` and `target` are float64[3, H, W] in 0..1; `where` is bool[H, W], the pixels that count (None: all).
L1 and L2 are MagicBrush's (means over pixels and channels). PSNR and SSIM are torchmetrics'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from judges.metrics.base import Case, Reading
from judges.metrics.names import MetricName
from judges.metrics.pictures import background, tensor

# Two equal pictures have an infinite PSNR, which no mean and no JSON can hold. Leaving them out would take the best results
# out of a mean, so PSNR ends here: a mean squared difference of 1e-10, far below one grey level (1.5e-5 squared).
PSNR_CAP = 100.0
WINDOW = 11  # pixels of SSIM's Gaussian window (sigma 1.5)


def l1(edited: torch.Tensor, target: torch.Tensor, where: torch.Tensor | None = None) -> float:
    """Mean of |a - b|."""
    return float(_chosen((edited - target).abs(), where).mean())


def l2(edited: torch.Tensor, target: torch.Tensor, where: torch.Tensor | None = None) -> float:
    """Mean of (a - b)^2."""
    return float(_chosen((edited - target) ** 2, where).mean())


def psnr(edited: torch.Tensor, target: torch.Tensor, where: torch.Tensor | None = None) -> float:
    """10 log10(1 / l2) in dB, at most PSNR_CAP."""
    value = peak_signal_noise_ratio(_chosen(edited, where), _chosen(target, where), data_range=1.0)
    return min(float(value), PSNR_CAP)


def ssim_map(edited: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """float[H, W], mean over the channels (Wang et al. 2004: 11 x 11 Gaussian window, sigma 1.5, K = 0.01, 0.03).

    Channel by channel, so that a photograph of 12 megapixels fits. Pictures under 6 pixels cannot be padded: RuntimeError.
    """
    maps = []
    for a, b in zip(edited, target, strict=True):
        _, full = structural_similarity_index_measure(
            a[None, None], b[None, None], data_range=1.0, return_full_image=True
        )
        maps.append(full[0, 0])
    return torch.stack(maps).mean(0)


def ssim(edited: torch.Tensor, target: torch.Tensor, where: torch.Tensor | None = None) -> float:
    """Mean of the map, border included (scikit-image leaves 5 pixels of it out), in single precision: twelve times as fast,
    and right to four decimals.

    With `where`, the map's mean over these pixels alone; what lies elsewhere is made equal first, so that windows that
    reach there see no difference in it.
    """
    if where is not None:
        edited = torch.where(where, edited, target)
    similar = ssim_map(edited.float(), target.float()).double()
    return float((similar if where is None else similar[where]).mean())


FORMULAS: Mapping[str, Callable[..., float]] = {"l1": l1, "l2": l2, "psnr": psnr, "ssim": ssim}


class PixelMetric:
    """`l1 l2 psnr ssim` and their `bg_` versions, each against the picture that its name says."""

    def __init__(self, names: Sequence[MetricName]) -> None:
        self.names = tuple(names)
        self.keys = tuple(n.key for n in names)
        masked = any(n.info.family == "background" for n in names)
        self.needs = frozenset({n.against for n in names} | ({"mask"} if masked else set()))

    def measure(self, cases: Sequence[Case]) -> list[dict[str, Reading]]:
        return [{n.key: self._one(n, case) for n in self.names} for case in cases]

    def _one(self, name: MetricName, case: Case) -> Reading:
        pair = comparable(case, name.against, masked=name.info.family == "background")
        if isinstance(pair, Reading):
            return pair
        edited, target, where = pair
        formula = name.base.removeprefix("bg_")
        if formula == "ssim" and min(target.shape[1:]) < WINDOW:
            return Reading.none(f"the picture is smaller than SSIM's window of {WINDOW} pixels")
        return Reading(FORMULAS[formula](edited, target, where))


def comparable(
    case: Case, against: str, masked: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None] | Reading:
    """(edited, target, where) in the target's size, or the reading that says what is missing."""
    picture = case.target(against)
    if picture is None:
        return Reading.none(f"the item has no {against} picture")
    where = None
    if masked:
        if case.mask is None:
            return Reading.none("the item has no mask")
        where = background(case.mask, picture.size)
        if not where.any():
            return Reading.none("the mask leaves no background")
    return tensor(case.edited, picture.size), tensor(picture), where


def _chosen(values: torch.Tensor, where: torch.Tensor | None) -> torch.Tensor:
    return values if where is None else values[:, where]


__all__ = ["PSNR_CAP", "WINDOW", "PixelMetric", "comparable", "l1", "l2", "psnr", "ssim", "ssim_map"]
