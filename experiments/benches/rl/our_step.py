"""The other side of the step bench: whole GRPO steps of this project's own loop, asked for line by line (`trl_step.py`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers

from agents.backends.base import ModelRequest
from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from benchmarks.base import EditSample
from common.pictures import load_image
from experiments.benches.rl.trl_step import Line, reward
from experiments.benches.rl.work import Scored, endless
from experiments.build.device import use_threads
from experiments.build.engines import TorchEngine as EngineOptions
from rl.config import GRPOConfig
from rl.engine.torch import TorchEngine
from rl.grpo import train_grpo
from rl.policies.text import TextPolicy
from rl.text_rollouts import TextSampler


def main(settings: dict[str, Any]) -> None:
    line = Line()
    use_threads(EngineOptions(device="cpu", threads=settings["threads"]))
    rows = [json.loads(text) for text in Path(settings["rows"]).read_text().splitlines()]
    vlm = endless(load_vlm(settings["model"]))
    P, total = settings["prompts"], settings["prompts"] * settings["group"]
    config = GRPOConfig(
        steps=10**6,
        prompts_per_step=P,
        group_size=settings["group"],
        lr=settings["lr"],
        micro_batch_size=total,
        frozen_vision=settings["frozen_vision"],
        kl_log_sequences=0,  # no reference model
        checkpoint_every=10**9,
    )
    lengths = [len(p) for p in vlm.encode([to_request(sample(r)) for r in rows])]
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    line.tell(versions=versions, options={"batch": total})

    def log(metrics: dict[str, float]) -> None:
        start = int(metrics["step"] - 1) * P
        memory = {k.removeprefix("memory/"): v for k, v in metrics.items() if k.startswith("memory/")}
        line.done(
            completions=total,
            answer_tokens=round(metrics["tokens/mean"] * total),
            prompt_tokens=sum(lengths[(start + j) % len(rows)] for j in range(P)) * settings["group"],
            reward=metrics["reward/mean"],
            phases={k.removeprefix("time/"): v for k, v in metrics.items() if k.startswith("time/")},
            memory=memory,
            peak_mib=max(memory.values(), default=None),  # each phase begins to count anew
            skipped=metrics["update/skipped"],
            taught=metrics["update/sequences"],
        )
        if not line.wait():
            sys.exit()

    if line.wait():
        train_grpo(
            config,
            TorchEngine(TextPolicy.of(vlm, config), config, config.schedule()),
            TextSampler(
                backend=HFBackend(vlm),
                encode=vlm.encode,
                samples=lambda step, j: sample(rows[(step * P + j) % len(rows)]),
                to_request=to_request,
                reward=lambda samples, texts, seeds: [Scored(reward(text)) for text in texts],
                units_per_step=P,
                group_size=config.group_size,
                max_new_tokens=settings["answer_tokens"],
                temperature=config.temperature,
                seed=0,
            ),
            settings["out"],
            log,
        )


def sample(row: dict[str, str]) -> EditSample:
    """Read anew every time, as the other side does: nothing of a prompt is remembered from a step to the next."""
    return EditSample(row["id"], row["text"], (), picture=load_image(row["image"]))


def to_request(sample: EditSample) -> ModelRequest:
    return ModelRequest(sample.request, () if sample.image is None else (sample.image,))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
