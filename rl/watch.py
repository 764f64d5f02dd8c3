"""Watching for reward hacking: what the edited pictures look like, how another judge scores them, and the point at which a
training ends because the reward rises while that judge's score falls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from benchmarks.base import EditSample
from common.pictures import to_rgb
from rewards.change import changed_share
from rl.flow_config import WatchConfig
from rl.flow_rollouts import FlowGroup
from rl.loop import Ranks
from rl.reward_values import finite, mean_std

logger = logging.getLogger(__name__)

# samples and edited pictures -> scores in [0, 1], None where the judge gives none
WatchScore: TypeAlias = Callable[[Sequence[EditSample], Sequence[Image.Image]], Sequence[float | None]]


def picture_statistics(picture: Image.Image, source: Image.Image) -> dict[str, float]:
    """What reward hacking shows in first, all in [0, 1] (sharpness to 4):

    saturation: mean of (max - min) / max over the channels. sharpness: mean absolute Laplacian of the luma, by the four
    neighbours. contrast: standard deviation of the luma. clipped: share of channel values that are 0 or 255. unchanged: share of
    pixels within 8 levels of the source's in every channel. difference: mean absolute difference to the source.
    """
    pixels, given = (np.asarray(to_rgb(image), dtype=np.float64) for image in (picture, source.resize(picture.size)))
    top, bottom = pixels.max(2), pixels.min(2)
    luma = pixels @ np.array([0.299, 0.587, 0.114]) / 255
    inner = luma[1:-1, 1:-1]
    laplacian = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * inner
    apart = np.abs(pixels - given)
    return {
        "saturation": float(((top - bottom) / np.maximum(top, 1)).mean()),
        "sharpness": float(np.abs(laplacian).mean()) if laplacian.size else 0.0,
        "contrast": float(luma.std()),
        "clipped": float(((pixels == 0) | (pixels == 255)).mean()),
        "unchanged": 1.0 - changed_share(picture, source),
        "difference": float(apart.mean() / 255),
    }


@dataclass
class Divergence:
    """Whether, from one `window` of scored steps to the next, the mean reward rose by `rise` or more while the mean score fell by
    `fall` or more. Only the last two windows count; a window of 0 never says so."""

    window: int
    rise: float
    fall: float
    rewards: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, reward: float, score: float) -> None:
        """Take in a scored step, and forget those that no comparison needs any more."""
        kept = 2 * self.window
        self.rewards = [*self.rewards, reward][-kept:] if kept else []
        self.scores = [*self.scores, score][-kept:] if kept else []

    @property
    def reason(self) -> str:
        """What happened; "" while nothing did."""
        k = self.window
        if k == 0 or len(self.rewards) < 2 * k:
            return ""
        (r0, r1), (s0, s1) = ((sum(v[-2 * k : -k]) / k, sum(v[-k:]) / k) for v in (self.rewards, self.scores))
        if r1 - r0 < self.rise or s0 - s1 < self.fall:
            return ""
        return (
            f"within {2 * k} scored steps the reward rose from {r0:.3f} to {r1:.3f} while the watching judge's score fell from "
            f"{s0:.3f} to {s1:.3f}: the pictures please the reward alone. The checkpoint is saved; to train on, set "
            "algo.watch.window=0"
        )


class Watch:
    """The watch of one training. `score`: the judge that trains nothing; None: pictures are only measured."""

    def __init__(self, config: WatchConfig, score: WatchScore | None = None) -> None:
        self.config, self.score = config, score
        self.divergence = Divergence(config.window, config.reward_rise, config.score_fall)

    def observe(self, step: int, groups: Sequence[FlowGroup], ranks: Ranks) -> dict[str, float]:
        """Metrics of a step's edits over all ranks: watch/<statistic>/mean, and of the judged ones watch/score and watch/reward.
        Every rank must call it with its own groups."""
        measured = [picture_statistics(r.picture, g.unit.image) for g in groups for (r,) in g.rollouts]
        judged = self._judge(groups, ranks) if self.score is not None and step % self.config.every == 0 else []
        parts = ranks.all_gather((measured, judged))
        rows = [row for part in parts for row in part[0]]
        pairs = [pair for part in parts for pair in part[1] if None not in pair]
        metrics = {f"watch/{name}/mean": sum(r[name] for r in rows) / len(rows) for name in (rows[0] if rows else ())}
        if pairs:
            rewards, scores = zip(*pairs, strict=True)
            metrics |= mean_std("watch/reward", rewards) | mean_std("watch/score", scores)
            before = self.stopped
            self.divergence.add(metrics["watch/reward/mean"], metrics["watch/score/mean"])
            if self.stopped and not before:
                logger.warning("step %d: %s", step + 1, self.stopped)
        return metrics | {"watch/stopped": float(bool(self.stopped))}

    def _judge(self, groups: Sequence[FlowGroup], ranks: Ranks) -> list[tuple[float | None, float | None]]:
        """(reward, score) of the first edits of each group, as many of each as `pictures` of the whole step make."""
        total = sum(ranks.all_gather(len(groups)))
        each = -(-self.config.pictures // max(1, total))
        chosen = [(g.unit, r) for g in groups for (r,) in g.rollouts[:each]]
        if not chosen:
            return []
        assert self.score is not None
        scores = self.score([sample for sample, _ in chosen], [r.picture for _, r in chosen])
        return [(finite(r.reward.total), finite(s)) for (_, r), s in zip(chosen, scores, strict=True)]

    @property
    def stopped(self) -> str:
        """Why the training is to end; "" while it is to go on."""
        return self.divergence.reason

    def state_dict(self) -> dict[str, Any]:
        return {"rewards": self.divergence.rewards, "scores": self.divergence.scores}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """The values of more steps than today's window are cut to it, so that another window can be chosen on resumption."""
        self.divergence.rewards, self.divergence.scores = list(state["rewards"]), list(state["scores"])


__all__ = ["Divergence", "Watch", "WatchScore", "picture_statistics"]
