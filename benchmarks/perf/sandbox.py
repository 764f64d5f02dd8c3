"""`make bench`: how fast the sandbox makes, draws and reads samples, on one core, as ratios to what is asked for.

Writes outputs/bench/sandbox.json: {measure: {ours, peer, ratio, unit}}; a ratio above 1 is better than asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.sandbox.generate import SandboxBenchmark
from benchmarks.sandbox.perceive import perceive
from benchmarks.sandbox.render import render

N = 400
ASKED = {"samples": 500.0, "samples with both pictures": 500.0, "renders at 64 px": 1400.0, "pictures read": 100.0}


def rate(work: Callable[[int], object]) -> float:
    """Best of three rates per second of CPU time, after a warm-up (sprites are drawn once)."""
    for i in range(N):
        work(i)
    rates = []
    for _ in range(3):
        start = time.process_time()
        for i in range(N):
            work(i)
        rates.append(N / (time.process_time() - start))
    return max(rates)


def both(bench: SandboxBenchmark, index: int) -> None:
    sample = bench.sample(index)
    _ = sample.image, sample.target


def main() -> None:
    bench = SandboxBenchmark("train", 5)
    scenes = [bench.sample(i).before for i in range(N)]
    pictures = [render(s) for s in scenes]
    ours = {
        "samples": rate(bench.sample),
        "samples with both pictures": rate(lambda i: both(bench, i)),
        "renders at 64 px": rate(lambda i: render(scenes[i])),
        "pictures read": rate(lambda i: perceive(pictures[i])),
    }
    table = {
        k: {"ours": round(v), "peer": ASKED[k], "ratio": round(v / ASKED[k], 2), "unit": "1/s"} for k, v in ours.items()
    }
    out = Path("outputs/bench/sandbox.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(table, indent=1) + "\n")
    for name, row in table.items():
        print(f"{name:<28}{row['ours']:>8} a second, asked {row['peer']:.0f}: x{row['ratio']}")


if __name__ == "__main__":
    main()
