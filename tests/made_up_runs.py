"""A finished run that nobody ran: every file the reports read, with made-up scores."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from agents.editing import Call
from agents.traces import Trace, digest
from benchmarks.base import EditSample
from common.files import write_json, write_text
from common.jsonl import Journal
from conf.schema import RunConfig
from experiments.evaluation.claims import claim
from experiments.evaluation.held_out import COMPLEX, SANDBOX, SampleItems
from experiments.evaluation.layout import Layout
from experiments.evaluation.listing import claim_benchmark
from experiments.evaluation.names import ARMS, COMPONENTS, WHEN
from experiments.evaluation.rows import RowFile
from experiments.evaluation.strips import save_strip, strip_numbers
from experiments.runs.cli import compose, typed
from experiments.runs.identity import config_text
from experiments.runs.results import results

KINDS = ("direct", "paraphrased", "indirect", "multi_step")


@cache
def configured(overrides: tuple[str, ...]) -> RunConfig:
    config: RunConfig = typed(compose("run", list(overrides)))
    return config


def make_run(folder: Path, overrides: tuple[str, ...] = (), n: int = 40, steps: int = 20, level: float = 0.8) -> Path:
    config = configured(overrides)
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
    layout = Layout(folder, "sandbox")
    claim_benchmark(layout, SampleItems(samples, SANDBOX), {"place": "sandbox"})
    for when, at in zip(WHEN, (level - 0.2, level), strict=True):
        rows(
            layout.decompositions(when),
            [
                {
                    "unit": i,
                    "turn": 0,
                    "id": s.id,
                    "gold": [["recolor", "red star", "blue"], ["remove", "tree", None]],
                    "text": "",
                    "error": None,
                    "scores": {
                        c: min(1.0, max(0.0, rng.gauss(at, 0.1)))
                        for c in ("format", "action", "subject", "goal", "linked")
                    },
                }
                for i, s in enumerate(samples)
            ],
        )
        claim(layout.decompositions(when), {"when": when}, "decompositions", "")
    claim_judge(layout)
    shown = strip_numbers(n, config.scale.strips)
    for arm, at in zip(ARMS, (3.0, 6.0, 9.0), strict=True):
        for i in shown:
            after = Image.new("RGB", (64, 64), (i * 6, 200, 120))
            pictures = (samples[i].picture, after)
            trace = Trace(
                samples[i].id, samples[i].request, (), None, None, None, "rules", (), ("recolor it",), "single", 0,
                (Call("recolor it", 1),), tuple(digest(p) for p in pictures if p), tuple(p for p in pictures if p),
            )  # fmt: skip
            save_strip(folder / "traces", arm, trace)
        claim(layout.edits(arm), {"arm": arm}, "pictures", "")
        rows(
            layout.edits(arm),
            [
                {
                    "unit": i,
                    "turn": 0,
                    "id": s.id,
                    "error": "no <action>" if arm == "agents" and i % 9 == 0 else None,
                    "sub_requests": ["change the color of the red star to blue", "remove the tree"],
                    "failure": "",
                }
                for i, s in enumerate(samples)
            ],
        )
        rows(
            layout.verdicts("sandbox", arm),
            [
                {
                    "unit": i,
                    "turn": 0,
                    "id": s.id,
                    "scores": {
                        a: min(10.0, rng.gauss(at, 1.0)) for a in ("overall", "fulfilment", "preservation", "quality")
                    },
                    "valid": not (arm == "editor" and i == 3),
                    "reason": "",
                }
                for i, s in enumerate(samples)
            ],
        )
    Journal(folder / "timing.jsonl").append([{"phase": "arm editor", "seconds": 1.5}, {"phase": "sft", "seconds": 2.0}])
    write_json(folder / "results.json", results(folder, config))
    return folder


def rows(folder: Path, values: Iterable[Mapping[str, Any]]) -> None:
    with RowFile(folder / "0-of-1.jsonl") as file:
        file.append(values)


def add_complex(folder: Path, n: int = 8, k: int = 4) -> None:
    """The same run's evaluation on complex requests: before RL every third answer is exact, after RL every second; of k drawn
    ones the first is exact where the number of the sample is even; pictures of the first half, overall 4, 5 and 6."""
    samples = [EditSample(f"complex-{i}", f"do {i} and then more", (), KINDS[2 + i % 2]) for i in range(n)]
    layout = Layout(folder, "sandbox_complex")
    claim_benchmark(layout, SampleItems(samples, COMPLEX), {"place": "sandbox_complex"})
    keys = [{"unit": i, "turn": 0, "id": s.id} for i, s in enumerate(samples)]
    for when, every in zip(WHEN, (3, 2), strict=True):
        scores = [{"format": 1.0, **dict.fromkeys((*COMPONENTS[1:], "exact"), float(i % every == 0))} for i in range(n)]
        lines = [
            {**key, "gold": [], "text": "", "error": None, "scores": s} for key, s in zip(keys, scores, strict=True)
        ]
        rows(layout.decompositions(when), lines)
        claim(layout.decompositions(when), {"when": when}, "decompositions", "")
    drawn = [{**key, "texts": [""] * k, "exact": [float(i % 2 == 0), *[0.0] * (k - 1)]} for i, key in enumerate(keys)]
    rows(layout.drawn("before"), drawn)
    write_json(layout.drawn("before") / "limits.json", {"pass_at": k})
    claim_judge(layout)
    for arm, level in zip(ARMS, (4.0, 5.0, 6.0), strict=True):
        claim(layout.edits(arm), {"arm": arm}, "pictures", "")
        rows(layout.edits(arm), ({**key, "failure": ""} for key in keys[: n // 2]))
        scored = {"scores": {"overall": level, "fulfilment": level}, "valid": True, "reason": ""}
        rows(layout.verdicts("sandbox", arm), ({**key, **scored} for key in keys[: n // 2]))


def claim_judge(layout: Layout) -> None:
    claim(layout.judge("sandbox"), {"label": "sandbox", "name": "sandbox", "rubric": ""}, "verdicts", "")
    write_json(layout.judge("sandbox") / "limits.json", {"max_invalid_share": 0.05})


def add_variants(folder: Path, variants: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    """Verdicts on several calls of the editor alone: of each sample, one for each call."""
    layout = Layout(folder, "sandbox")
    for j in range(max(map(len, variants))):
        arm = f"editor_calls.{j}"
        claim(layout.edits(arm), {"arm": arm, "variant": j}, "pictures", "")
        keys = [{"unit": i, "turn": 0, "id": f"test-{i}"} for i, several in enumerate(variants) if j < len(several)]
        rows(layout.edits(arm), ({**key, "failure": ""} for key in keys))
        rows(layout.verdicts("sandbox", arm), ({**key, **variants[key["unit"]][j]} for key in keys))
