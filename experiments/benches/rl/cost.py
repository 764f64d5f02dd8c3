"""How the time of a whole GRPO step grows with the group, the prompt and the model, the prefix shared."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib
from matplotlib.figure import Figure

from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM
from experiments.benches.rl.lockstep import in_turns
from experiments.benches.rl.models import tiny_random
from experiments.benches.rl.trl_step import reward
from experiments.benches.rl.work import Scored, Shape, endless, requests, samples
from experiments.reports.plots import COLOURS, STYLE
from rl.config import GRPOConfig
from rl.engine.torch import TorchEngine
from rl.grpo import train_grpo
from rl.policies.text import TextPolicy
from rl.text_rollouts import TextSampler

BASE = Shape(prompts=4, group=8, answer_tokens=24, side=128)
WIDTH = 256
GROUPS = (2, 4, 8, 16, 32)
SIDES = (64, 96, 128, 192, 256)
WIDTHS = (128, 256, 384, 512)


@dataclass(frozen=True)
class Curve:
    """Median seconds of a step over `x`; `slope` of log time against log x: 1 is linear."""

    name: str
    x: list[float]
    seconds: list[float]

    @property
    def slope(self) -> float:
        return log_slope(self.x, self.seconds)


def log_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least squares through (log x, log y)."""
    return statistics.linear_regression([math.log(v) for v in x], [math.log(v) for v in y]).slope


def measure_cost(checkpoint: Path, rounds: int) -> list[Curve]:
    """One curve per axis; the others stay at BASE and WIDTH. Random weights: answers share no beginnings. Every point is
    measured once in each round, so that a busy minute of the machine meets all of them."""
    axes = {
        "completions of a prompt (G)": [(replace(BASE, group=g), WIDTH) for g in GROUPS],
        "tokens of a prompt": [(replace(BASE, side=s), WIDTH) for s in SIDES],
        "width of the model": [(BASE, w) for w in WIDTHS],
    }
    points = [p for row in axes.values() for p in row]
    sizes = dict.fromkeys((width, shape.side) for shape, width in points)
    models = {size: endless(tiny_random(checkpoint, *size)) for size in sizes}
    times = in_turns([partial(step_seconds, models[w, shape.side], shape) for shape, w in points], rounds)
    seconds = dict(zip(points, (t.median for t in times), strict=True))
    x = (
        [float(g) for g in GROUPS],
        [prompt_length(models[WIDTH, s], replace(BASE, side=s)) for s in SIDES],
        [float(w) for w in WIDTHS],
    )
    return [Curve(name, v, [seconds[p] for p in row]) for v, (name, row) in zip(x, axes.items(), strict=True)]


def prompt_length(vlm: VLM, shape: Shape) -> float:
    return statistics.mean(map(len, vlm.encode(requests(samples(shape, shape.prompts)))))


def step_seconds(vlm: VLM, shape: Shape) -> float:
    """A whole step of the project's own loop, the second one: the first only warms."""
    config = GRPOConfig(
        steps=2,
        prompts_per_step=shape.prompts,
        group_size=shape.group,
        lr=1e-6,
        micro_batch_size=128,
        frozen_vision=True,
        kl_log_sequences=0,
        checkpoint_every=2,
    )
    units, times = samples(shape, shape.prompts), []
    with TemporaryDirectory() as out:
        train_grpo(
            config,
            TorchEngine(TextPolicy.of(vlm, config), config, config.schedule()),
            TextSampler(
                backend=HFBackend(vlm),
                encode=vlm.encode,
                samples=lambda step, j: units[j],
                to_request=lambda sample: requests([sample])[0],
                reward=lambda _, texts, seeds: [Scored(reward(text)) for text in texts],
                units_per_step=config.prompts_per_step,
                group_size=config.group_size,
                max_new_tokens=shape.answer_tokens,
                temperature=config.temperature,
                seed=0,
            ),
            out,
            lambda metrics: times.append(metrics["time/step"]),
        )
    return times[1]


def plot(curves: Sequence[Curve], path: Path) -> Path:
    """Panels side by side, both axes logarithmic, with a line of slope 1 through the first point."""
    low, high = min(min(c.seconds) for c in curves), max(c.seconds[0] * c.x[-1] / c.x[0] for c in curves)
    ticks = [m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5) if 0.7 * low <= m * 10.0**e <= 1.4 * high]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.1 * len(curves), 2.7), layout="constrained")
        for n, (axes, curve) in enumerate(zip(figure.subplots(1, len(curves), sharey=True), curves, strict=True)):
            linear = [curve.seconds[0] * x / curve.x[0] for x in curve.x]
            axes.plot(curve.x, linear, ":", color="#9aa5b1", linewidth=1, label="linear")
            label = f"measured, slope {curve.slope:.2f}"
            axes.plot(curve.x, curve.seconds, "o-", color=COLOURS[n], markersize=3, linewidth=1.8, label=label)
            axes.set(xscale="log", yscale="log", xlabel=curve.name)
            axes.set_xticks(curve.x, [f"{x:.0f}" for x in curve.x])
            axes.set_yticks(ticks, [f"{y:g}" for y in ticks])
            axes.minorticks_off()
            axes.legend()
        figure.axes[0].set_ylabel("seconds a step")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=160)
    return path


__all__ = ["Curve", "log_slope", "measure_cost", "plot", "step_seconds"]
