"""Every metric by its name: what it is compared with, its unit, which way is nearer to that, and what it rewards.

`l1` follows its own convention, named in the table below; `l1@source` and `l1@reference` say it. Conventions:

* MagicBrush (arXiv 2306.10012): against the published target (`reference`), the edited picture resized to its size;
* Emu Edit (arXiv 2311.10089): against the picture that was to be edited (`source`);
* CompBench (arXiv 2505.12200): PSNR, SSIM and LPIPS outside the mask; here against the source.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from common.errors import BadInput

PICTURES = ("reference", "source")


@dataclass(frozen=True)
class MetricInfo:
    """For tables. `better`: which values are nearer to what it is compared with, "higher", "lower" or "zero"; what that is
    worth says `rewards`."""

    family: str  # pixels | background | lpips | clip | dino | drift
    against: str  # reference | source | captions
    better: str
    unit: str
    what: str
    free: bool = True  # whether `@source` and `@reference` may choose another picture to compare with


TABLE: dict[str, MetricInfo] = {
    "l1": MetricInfo("pixels", "reference", "lower", "of 0..1", "mean absolute difference"),
    "l2": MetricInfo("pixels", "reference", "lower", "of 0..1", "mean squared difference"),
    "psnr": MetricInfo("pixels", "reference", "higher", "dB, at most 100", "peak signal-to-noise ratio"),
    "ssim": MetricInfo("pixels", "reference", "higher", "-1..1", "structural similarity"),
    "lpips": MetricInfo("lpips", "reference", "lower", "from 0", "learned perceptual distance"),
    "bg_l1": MetricInfo("background", "source", "lower", "of 0..1", "mean absolute difference outside the mask"),
    "bg_psnr": MetricInfo(
        "background", "source", "higher", "dB, at most 100", "peak signal-to-noise ratio outside the mask"
    ),
    "bg_ssim": MetricInfo("background", "source", "higher", "-1..1", "structural similarity outside the mask"),
    "bg_lpips": MetricInfo("lpips", "source", "lower", "from 0", "learned perceptual distance outside the mask"),
    "clip_i": MetricInfo("clip", "reference", "higher", "-1..1", "cosine of CLIP's image embeddings"),
    "clip_t": MetricInfo("clip", "captions", "higher", "-1..1", "cosine of picture and target caption in CLIP", False),
    "clip_dir": MetricInfo(
        "clip", "captions", "higher", "-1..1", "cosine of the ways that picture and caption went", False
    ),
    "dino": MetricInfo("dino", "reference", "higher", "-1..1", "cosine of DINO's image embeddings"),
    "drift": MetricInfo("drift", "source", "zero", "pixels of the source", "motion of the whole picture", False),
}
NAMES = tuple(TABLE)
ALWAYS = ("drift",)  # measured for every edit as soon as anything is
CHEAP = ("l1", "psnr", "ssim", "l1@source", "psnr@source", "ssim@source")  # no weights, no mask


REWARDS = {  # (base or family, what it is compared with) -> what a good value is a sign of
    "reference": "rewards coming near the published target, which is one right result of several",
    "source": "rewards changing nothing: a picture that was not edited has the best value, so it ranks no editor by itself",
    "background": "rewards leaving alone what lies outside the mask; says nothing of the edit, and doing nothing is best",
    "clip_t": "rewards showing what the target caption says; says nothing of what was to be kept",
    "clip_dir": "rewards changing the picture the way its caption changed; says nothing of what was to be kept",
    "drift": "0 where the whole picture stayed in place, as it does where nothing was done",
}


def rewards(base: str, against: str) -> str:
    """What the metric `base` rewards when it is compared with `against` (source | reference | captions). Every distance to the
    source is best for doing nothing, so none of them may rank editors alone."""
    info = TABLE[base]
    outside = base.startswith("bg_")
    return REWARDS["background" if outside else base if base in REWARDS else info.against if not info.free else against]


@dataclass(frozen=True)
class MetricName:
    """A metric as it was asked for; `key` is what its numbers are reported under."""

    key: str
    base: str
    against: str

    @property
    def info(self) -> MetricInfo:
        return TABLE[self.base]


def parse(names: Iterable[str]) -> tuple[MetricName, ...]:
    """The metrics asked for. Raises BadInput for an unknown name, a wrong `@…`, or one metric asked for twice."""
    parsed: dict[tuple[str, str], MetricName] = {}
    for key in names:
        base, at, against = key.partition("@")
        info = TABLE.get(base)
        if info is None:
            close = difflib.get_close_matches(base, NAMES, 1)
            hint = f"did you mean {close[0]!r}? All: " if close else "choose from "
            raise BadInput(f"there is no metric {base!r}; {hint}{', '.join(NAMES)}")
        if at and (not info.free or against not in PICTURES):
            choice = " or ".join(f"{base}@{p}" for p in PICTURES) if info.free else f"{base} alone"
            raise BadInput(f"metric {key!r} cannot be compared with {against!r}; write {choice}")
        name = MetricName(key, base, against or info.against)
        if (twice := parsed.get((name.base, name.against))) is not None:
            raise BadInput(f"metrics {twice.key!r} and {key!r} are the same; leave one out")
        parsed[name.base, name.against] = name
    return tuple(parsed.values())


__all__ = ["ALWAYS", "CHEAP", "NAMES", "TABLE", "MetricInfo", "MetricName", "parse", "rewards"]
