"""A finished run that nobody ran: every file the reports read, with made-up scores."""

from __future__ import annotations

import random
from pathlib import Path

from PIL import Image

from agents.editing import Call
from agents.traces import Trace, digest
from benchmarks.base import EditSample
from common.files import write_json, write_text
from common.jsonl import Journal
from conf.schema import RunConfig
from experiments.evaluation.names import ARMS, WHEN
from experiments.runs.cli import compose, typed
from experiments.runs.identity import config_text
from experiments.runs.results import results
from experiments.runs.strips import save_strip, strip_numbers

KINDS = ("direct", "paraphrased", "indirect", "multi_step")


def make_run(folder: Path, overrides: tuple[str, ...] = (), n: int = 40, steps: int = 20, level: float = 0.8) -> Path:
    config: RunConfig = typed(compose("run", list(overrides)))
    rng = random.Random(str(overrides))
    write_text(folder / "config.yaml", config_text(config))
    Journal(folder / "metrics.jsonl").append(
        {
            "step": s,
            "reward/mean": 0.5 + 0.4 * s / steps + rng.uniform(-0.05, 0.05),
            "reward/std": 0.1,
            "reward/action/mean": 0.6 + 0.3 * s / steps,
            "reward/subject/mean": 0.4 + 0.4 * s / steps,
            "kl/mean": 0.001 * s,
            "entropy/mean": 1.0 / s,
            "tokens/mean": 30.0 + s,
            "tokens/max": 60.0,
            "tokens/truncated": 0.0,
            "groups/no_spread": 0.2,
            "time/step": 2.0,
            "time/checkpoint": 0.1,
        }
        for s in range(1, steps + 1)
    )
    samples = [
        EditSample(
            f"test-{i}",
            f'make <the> "red" star {i}',
            (),
            KINDS[i % 4],
            picture=Image.new("RGB", (64, 64), (i * 6, 90, 120)),
        )
        for i in range(n)
    ]
    for when, at in zip(WHEN, (level - 0.2, level), strict=True):
        Journal(folder / "eval" / f"decompose_{when}.jsonl").append(
            {
                "i": i,
                "id": s.id,
                "kind": s.kind,
                "request": s.request,
                "gold": [["recolor", "red star", "blue"], ["remove", "tree", None]],
                "text": "",
                "error": None,
                "scores": {
                    c: min(1.0, max(0.0, rng.gauss(at, 0.1))) for c in ("format", "action", "subject", "goal", "linked")
                },
            }
            for i, s in enumerate(samples)
        )
    shown = strip_numbers(n, config.scale.strips)
    for arm, at in zip(ARMS, (3.0, 6.0, 9.0), strict=True):
        for i in shown:
            after = Image.new("RGB", (64, 64), (i * 6, 200, 120))
            pictures = (samples[i].picture, after)
            trace = Trace(
                samples[i].id, samples[i].request, (), None, None, None, "rules", (), ("recolor it",), "single", 0,
                (Call("recolor it", 1),), tuple(digest(p) for p in pictures if p), tuple(p for p in pictures if p),
            )  # fmt: skip
            save_strip(folder / "traces", arm, samples[i], trace)
        Journal(folder / "eval" / f"{arm}.jsonl").append(
            {
                "i": i,
                "id": s.id,
                "kind": s.kind,
                "request": s.request,
                "error": "no <action>" if arm == "agents" and i % 9 == 0 else None,
                "sub_requests": ["change the color of the red star to blue", "remove the tree"],
                "scores": {
                    a: min(10.0, rng.gauss(at, 1.0)) for a in ("overall", "fulfilment", "preservation", "quality")
                },
                "valid": not (arm == "editor" and i == 3),
                "reason": "",
            }
            for i, s in enumerate(samples)
        )
    Journal(folder / "timing.jsonl").append([{"phase": "arm editor", "seconds": 1.5}, {"phase": "sft", "seconds": 2.0}])
    write_json(folder / "results.json", results(folder, config))
    return folder
