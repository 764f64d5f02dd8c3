"""LPIPS (arXiv 1801.03924), whole and outside the mask, through torchmetrics' module.

Its backbone is torchvision's, with ImageNet weights from torch's hub folder; the linear layers come with torchmetrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from judges.metrics.base import Case, Reading
from judges.metrics.names import MetricName
from judges.metrics.pixels import comparable

SMALLEST = 64  # pixels; the backbones halve a picture five times


def load_lpips(net: str, device: str) -> Any:
    """torchmetrics' network in evaluation mode. `net`: alex (LPIPS' own default) | vgg | squeeze."""
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    return LearnedPerceptualImagePatchSimilarity(net_type=net, normalize=True).net.to(device).eval()  # type: ignore[arg-type]


class LpipsMetric:
    """`lpips` and `bg_lpips`. `net(a, b, normalize=True)` takes float32[1, 3, H, W] in 0..1 and gives one distance, or with
    its attribute `spatial` set a map float32[1, 1, H, W] of them.

    `bg_lpips` is the mean of that map over the background, after what is inside the mask was made equal in both pictures
    (the backbone sees far around a pixel). Scripts that blacken the mask and average over the whole picture get smaller
    numbers, the smaller the larger the mask.
    """

    def __init__(self, names: Sequence[MetricName], net: Any, device: str = "cpu") -> None:
        self.names = tuple(names)
        self.keys = tuple(n.key for n in names)
        masked = any(n.base == "bg_lpips" for n in names)
        self.needs = frozenset({n.against for n in names} | ({"mask"} if masked else set()))
        self.net, self.device = net, device

    def measure(self, cases: Sequence[Case]) -> list[dict[str, Reading]]:
        return [{n.key: self._one(n, case) for n in self.names} for case in cases]

    @torch.no_grad()
    def _one(self, name: MetricName, case: Case) -> Reading:
        pair = comparable(case, name.against, masked=name.base == "bg_lpips")
        if isinstance(pair, Reading):
            return pair
        edited, target, where = pair
        if min(target.shape[1:]) < SMALLEST:
            return Reading.none(f"the picture is smaller than {SMALLEST} pixels, too small for LPIPS' backbone")
        if where is not None:
            edited = torch.where(where, edited, target)
        self.net.spatial = where is not None
        a, b = (p[None].to(self.device, torch.float32) for p in (edited, target))
        distance = self.net(a, b, normalize=True).double().cpu()
        return Reading(float(distance.mean() if where is None else distance[0, 0][where].mean()))


__all__ = ["LpipsMetric", "load_lpips"]
