"""`make bench-rl`: the speed of GRPO here, against TRL's trainer and against its own parts, in one run.

Writes outputs/bench/rl.json ({measure: {ours, peer, ratio, unit}}), rl_details.json beside it and rl_cost.png.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from agents.backends.hf import HFBackend
from agents.backends.vlm import load_vlm
from common.errors import BadInput, ImageEditError, RunFailed
from common.places import assets_folder
from common.plain_command import plain_command, read_options
from common.progress import say
from experiments.benches.machine import measured_on
from experiments.benches.rl.cost import measure_cost, plot
from experiments.benches.rl.gpu import measure_gpu
from experiments.benches.rl.rollouts import compare_rollouts
from experiments.benches.rl.steps import CANDIDATES, compare_steps
from experiments.benches.rl.training import compare_training, random_answers
from experiments.benches.rl.trl_env import trl_python
from experiments.benches.rl.vocabulary import VocabularyRows
from experiments.benches.rl.work import Shape, requests, roomy_checkpoint, samples
from experiments.build.device import use_threads
from experiments.build.engines import TorchEngine
from experiments.build.rollouts import VLLMRollouts, make_backend
from experiments.reports.screen import show_table
from experiments.runs.libraries import libraries_in_log
from rl.policies.text import TextBatch, TextPolicy

SECTIONS = ("steps", "train", "cost", "gpu", "rollouts")  # vLLM last: it takes the process's threads over


@dataclass
class Options:
    threads: int = 2
    repeats: int = 5
    only: str = "all"  # sections, by comma; what the file already holds of the others then stays
    prompts: int = 8  # of a step
    answers: int = 40  # tokens
    side: int = 192  # of the step bench's pictures, pixels: 144 tokens
    weights: str = "trained"  # of the step bench: trained | random
    assets: str = f"{assets_folder()}/tiny"
    out: str = "outputs/bench"


@dataclass
class Bench:
    """Where the sections find their numbers and leave their results."""

    options: Options
    table: dict[str, dict[str, Any]]
    details: dict[str, Any]

    @property
    def checkpoint(self) -> Path:
        return Path(self.options.assets) / "decomposer"

    @property
    def out(self) -> Path:
        return Path(self.options.out)

    def steps(self) -> None:
        o, candidates = self.options, CANDIDATES
        python = trl_python(self.out / "trl-venv")
        for group in (8, 16):
            say(f"whole step, {o.prompts} prompts x {group}, answers of {o.answers} tokens, {o.threads} threads")
            shape, key = Shape(o.prompts, group, o.answers, o.side), f"step_vs_trl_g{group}"
            folder = self.out / "rl" / f"g{group}"
            self.table[key], self.details[key] = compare_steps(
                shape, self.checkpoint, folder, python, o.threads, o.repeats, candidates, o.weights, say
            )
            candidates = [self.details[key]["started"]["TRL"]["options"]]  # chosen once

    def train(self) -> None:
        say("training phase, shared against unshared prefix")
        shape = Shape(prompts=max(1, self.options.prompts // 2), side=256)
        vlm = load_vlm(roomy_checkpoint(self.checkpoint, shape.side, self.out / "rl" / "train"))
        prompts, key = vlm.encode(requests(samples(shape, shape.prompts))), "train_shared_vs_unshared_g8"
        self.table[key], self.details[key] = compare_training(vlm, prompts, 8, 7, self.options.repeats, say)
        answers = random_answers(vlm, 16, 100)
        policy = TextPolicy(vlm, chunk_tokens=64, frozen_vision=True, keep_mib=0)
        text = vlm.model.config.get_text_config()
        with VocabularyRows(text.vocab_size, text.hidden_size) as rows:
            policy(TextBatch([prompts[0]] * len(answers), answers)).logp_BT.sum().backward()
        self.details["logits"] = {"tokens": 1600, "chunk": 64, "most": rows.most, "held": rows.most_held}
        say(
            f"  logits of 1600 answer tokens, 64 at a time: {rows.most} rows in the largest tensor, {rows.most_held} at once"
        )

    def cost(self) -> None:
        say(
            "time of a step as work grows, random weights, prefix shared (slope 1: linear; the work grows as the width squared)"
        )
        curves = measure_cost(self.checkpoint, (self.options.repeats + 1) // 2)
        for c in curves:
            points = ", ".join(f"{x:g}: {s:.2f}" for x, s in zip(c.x, c.seconds, strict=True))
            say(f"  {c.name}: {points} s; slope of log time {c.slope:.2f}")
        self.details["cost"] = {c.name: {"x": c.x, "seconds": c.seconds, "slope": c.slope} for c in curves}
        say(f"  plotted in {plot(curves, self.out / 'rl_cost.png')}")

    def gpu(self) -> None:
        if not torch.cuda.is_available():
            return say("Qwen2.5-VL-3B's sizes: skipped, no GPU here")
        say("Qwen2.5-VL-3B's sizes, random weights, bf16")
        key = "gpu_train_shared_vs_unshared_g8"
        self.table[key], self.details[key] = measure_gpu(self.checkpoint, self.options.repeats, say)

    def rollouts(self) -> None:
        if importlib.util.find_spec("vllm") is None:
            return say("vLLM against HF rollouts: skipped, vLLM is not installed (make extra-vllm)")
        vlm, config = load_vlm(self.checkpoint), VLLMRollouts()
        hf = HFBackend(vlm)
        try:
            engine = make_backend(config, vlm)
            engine.sync(vlm.model.named_parameters())
        except BadInput as error:
            return say(f"vLLM against HF rollouts: skipped, {error}")
        say("vLLM against HF rollouts, the tiny decomposer")
        for key, prompts in (("vllm_vs_hf", 16), ("vllm_vs_hf_64x8", 64)):
            work = requests(samples(Shape(side=64), prompts))
            self.table[key] = compare_rollouts(engine, hf, work, 8, 96, self.options.repeats, say)


def main(argv: Sequence[str]) -> None:
    options = read_options(Options, argv, "experiments.benches.rl")
    wanted = SECTIONS if options.only == "all" else options.only.split(",")
    if unknown := set(wanted) - set(SECTIONS):
        raise BadInput(f"only={','.join(sorted(unknown))} is unknown; choose from {', '.join(SECTIONS)}")
    if options.weights not in ("trained", "random"):
        raise BadInput(f"weights={options.weights} is unknown; choose trained or random")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything is on disk
    use_threads(TorchEngine(threads=options.threads))
    files = [Path(options.out) / name for name in ("rl.json", "rl_details.json")]
    kept = [json.loads(f.read_text()) if options.only != "all" and f.is_file() else {} for f in files]
    bench, failures = Bench(options, *kept), []
    for name in SECTIONS:
        if name in wanted:
            section: Callable[[], None] = getattr(bench, name)
            try:
                with libraries_in_log(bench.out):
                    section()
            except ImageEditError as error:  # the other sections still tell something
                failures.append(f"{name}: {error}")
                print(f"error: {failures[-1]}", file=sys.stderr)
        for file, content in zip(files, (bench.table, bench.details), strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content, indent=1) + "\n")
    show(bench.table)
    say(f"written to {files[0]}, with everything else seen in {files[1]}")
    if failures:
        raise RunFailed(
            f"{len(failures)} of {len(wanted)} sections failed: {', '.join(f.split(':')[0] for f in failures)}"
        )


def show(table: dict[str, dict[str, Any]]) -> None:
    shown = Table(title=f"GRPO: medians (slowest to fastest); {measured_on()}")
    for column in ("measure", "ours", "peer", "ratio", "unit"):
        shown.add_column(column, justify="left" if column in ("measure", "unit") else "right")
    for key, m in table.items():
        cells = [f"{m[s]:.4g} ({m[s + '_range'][0]:.4g} to {m[s + '_range'][1]:.4g})" for s in ("ours", "peer")]
        shown.add_row(key, *cells, f"{m['ratio']:.2f}", m["unit"])
    show_table(shown)


if __name__ == "__main__":
    plain_command(main, sys.argv[1:], __doc__, names_needed=False)
