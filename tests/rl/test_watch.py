"""The watch: what pictures look like in numbers, and when a training that only pleases its reward ends."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rl.flow_config import WatchConfig
from rl.loop import OneProcess
from rl.watch import Divergence, Watch, picture_statistics
from tests.editor_pipelines import noise_picture
from tests.rl.test_flow_credit import group

GREY = Image.new("RGB", (8, 8), (128, 128, 128))


def test_statistics_by_hand() -> None:
    half = np.zeros((4, 4, 3), dtype=np.uint8)
    half[:, 2:] = 255
    seen = picture_statistics(Image.fromarray(half), Image.new("RGB", (4, 4), (0, 0, 0)))
    assert seen["saturation"] == 0 and seen["clipped"] == 1 and seen["contrast"] == pytest.approx(0.5)
    assert seen["sharpness"] == pytest.approx(1.0)  # every inner pixel has one neighbour of the other colour
    assert seen["unchanged"] == 0.5 and seen["difference"] == pytest.approx(0.5)
    red = picture_statistics(Image.new("RGB", (8, 8), (200, 50, 100)), GREY)
    assert red["saturation"] == pytest.approx(0.75) and red["sharpness"] == pytest.approx(0, abs=1e-12)
    assert red["contrast"] == pytest.approx(0, abs=1e-12) and red["clipped"] == 0


def test_an_unchanged_picture_has_no_drift() -> None:
    picture = noise_picture((16, 16))
    seen = picture_statistics(picture, picture)
    assert (seen["unchanged"], seen["difference"]) == (1.0, 0.0)
    nearly = Image.fromarray((np.asarray(picture) // 2 + 64).astype(np.uint8))
    assert 0 < picture_statistics(nearly, picture)["unchanged"] < 1


def diverging(values: list[tuple[float, float]], window: int = 2, rise: float = 0.1, fall: float = 0.1) -> list[bool]:
    rule, seen = Divergence(window, rise, fall), []
    for reward, score in values:
        rule.add(reward, score)
        seen.append(bool(rule.reason))
    return seen


def test_it_ends_where_the_reward_rises_and_the_score_falls() -> None:
    assert diverging([(0.1, 0.9), (0.1, 0.9), (0.5, 0.5), (0.5, 0.5)]) == [False, False, False, True]


@pytest.mark.parametrize(
    "values",
    [
        [(0.1, 0.5), (0.1, 0.5), (0.5, 0.9), (0.5, 0.9)],  # both rise
        [(0.5, 0.9), (0.5, 0.9), (0.1, 0.5), (0.1, 0.5)],  # both fall
        [(0.1, 0.9), (0.1, 0.9), (0.15, 0.5), (0.15, 0.5)],  # the reward hardly rises
        [(0.1, 0.9), (0.1, 0.9), (0.5, 0.85), (0.5, 0.85)],  # the score hardly falls
    ],
)
def test_it_goes_on_otherwise(values: list[tuple[float, float]]) -> None:
    assert not any(diverging(values))


def test_one_odd_step_is_averaged_away_and_a_window_of_zero_never_ends() -> None:
    assert not any(diverging([(0.3, 0.6)] * 4 + [(0.45, 0.45)] + [(0.3, 0.6)] * 4, window=4))
    assert not any(diverging([(0.0, 1.0), (1.0, 0.0)] * 5, window=0))


def watch(window: int = 1, score: Any = lambda s, p: [0.4] * len(p), **kw: Any) -> Watch:
    return Watch(WatchConfig(window=window, reward_rise=0.1, score_fall=0.1, **kw), score)


def test_the_first_edits_of_each_group_are_judged() -> None:
    seen: list[int] = []

    def score(samples: Any, pictures: Any) -> list[float | None]:
        seen.append(len(pictures))
        return [0.5, None] * (len(pictures) // 2)

    groups = [group(0, [0.1, 0.2, 0.9]), group(1, [0.3, None, 0.9])]
    metrics = watch(score=score, pictures=4).observe(0, groups, OneProcess())
    assert seen == [4] and metrics["watch/score/mean"] == 0.5
    assert metrics["watch/reward/mean"] == pytest.approx(0.2)  # of the same edits: the first ones, 0.1 and 0.3
    assert metrics["watch/stopped"] == 0 and "watch/saturation/mean" in metrics


def test_without_a_judge_and_on_steps_between_pictures_are_only_measured() -> None:
    for own, step in ((watch(score=None), 0), (watch(every=3), 2)):
        metrics = own.observe(step, [group(0, [0.1, 0.2])], OneProcess())
        assert "watch/score/mean" not in metrics and metrics["watch/contrast/mean"] == 0


def test_the_end_is_said_and_remembered(caplog: pytest.LogCaptureFixture) -> None:
    scores = iter([0.8, 0.3])
    own = watch(score=lambda s, p: [next(scores)] * len(p))
    own.observe(0, [group(0, [0.1, 0.1])], OneProcess())
    with caplog.at_level(logging.WARNING):
        metrics = own.observe(1, [group(0, [0.6, 0.6])], OneProcess())
    assert metrics["watch/stopped"] == 1 and "rose from 0.100 to 0.600" in caplog.text
    again, off = watch(), watch(window=0)
    for other in (again, off):
        other.load_state_dict(own.state_dict())
    assert again.stopped == own.stopped != "" and off.stopped == ""
