"""`python -m experiments.pretrain`: the tiny decomposer from nothing, in three resumable stages (`editor=` chooses a tiny
editor instead: pretrain_editor.py).

1. a tokenizer and random weights; 2. the vision tower learns to see the sandbox; 3. supervised start on part of the grammar.
What is kept under assets/tiny/ is the result in 16 bits with a card that says how good it is; nothing was downloaded.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import torch
from diffusers import QwenImageEditPipeline
from PIL import Image

from agents.backends.base import Sampling
from agents.backends.hf import HFBackend
from agents.backends.tiny import TinyShape, build_tiny_vlm
from agents.backends.vlm import VLM, save_vlm
from agents.decomposer import build_request, load_prompt
from benchmarks.sandbox.generate import KINDS, SandboxBenchmark, random_scene
from benchmarks.sandbox.render import render
from common.progress import bar, console
from conf.schema import PretrainConfig, VisionWarmupConfig
from experiments.build.device import use_threads
from experiments.preflight.machine import one_process
from experiments.runs.cli import command
from experiments.tiny.coldstart import SECOND_PART, ColdStart, ColdStartMix, corpus
from experiments.tiny.vision import Readout, perception_loss
from rewards.compose import RewardSpec
from rl.checkpoint import Checkpoints
from rl.sft import SFTConfig, train_sft

READ_WIDTH = 4  # picture sides in merged tokens: 64 px / (8 px patches x 2)


def main(config: PretrainConfig) -> None:
    one_process(config.engine, "experiments.pretrain")
    use_threads(config.engine)
    if config.editor is not None:
        from experiments.tiny.editor import pretrain_editor  # diffusers takes seconds to import

        return pretrain_editor(config)
    template = load_prompt(config.decomposer.prompt)
    start = ColdStart(template, ColdStartMix(), config.seed)
    shape = TinyShape()
    console.print("tokenizer: byte-level BPE on the project's own corpus")
    texts = chain(corpus(start, 20_000), [editor_prompt()] * 500)
    vlm = build_tiny_vlm(texts, shape, config.seed)
    size = sum(p.numel() for p in vlm.model.parameters()) / 1e6
    console.print(f"model: Qwen2.5-VL of {size:.1f} M parameters, vocabulary {len(vlm.tokenizer)}")
    work = Path(config.work or f"{config.paths.outputs}/pretrain-decomposer")
    warm_vision(config.vision, vlm, work, config.seed)
    settings = SFTConfig(
        steps=config.start.steps,
        batch_size=config.start.batch_size,
        micro_batch_size=config.start.micro_batch_size,
        lr=config.start.lr,
        warmup=100,
        final_lr_share=0.02,
        optimizer="muon",
        checkpoint_every=config.start.checkpoint_every,
    )
    n = config.start.validation_samples

    def log(metrics: dict[str, float]) -> None:
        done = int(metrics["step"])
        if done % config.start.validate_every == 0 and done < settings.steps:
            vlm.model.eval()
            console.print(f"  step {done}: {line(validate(vlm, template, 'validation', n))}")
            vlm.model.train()

    with bar("supervised start", settings.steps) as progress:
        train_sft(
            settings,
            vlm,
            lambda step: start.batch(step, settings.batch_size),
            work,
            log,
            lambda done, total, m: progress.update(done, f"loss {m['sft/loss']:.3f}"),
        )
    second = ColdStart(template, SECOND_PART, config.seed + 1)
    settings = replace(settings, steps=config.start.second_steps, lr=config.start.second_lr)
    with bar("supervised start, second part", settings.steps) as progress:
        train_sft(
            settings,
            vlm,
            lambda step: second.batch(step, settings.batch_size),
            work,
            None,
            lambda done, total, m: progress.update(done, f"loss {m['sft/loss']:.3f}"),
            name="second",
        )
    console.print(f"  validation: {line(validate(vlm, template, 'validation', n))}")
    vlm.model.half()  # the file's precision; training and inference read it as fp32
    vlm.model.float()
    scores = validate(vlm, template, "test", n)
    vlm.model.half()
    out = Path(config.out or f"{config.paths.assets}/tiny/decomposer")
    save_vlm(vlm, out)
    card = {
        "parameters": sum(p.numel() for p in vlm.model.parameters()),
        "sandbox_test": scores,
        "steps": config.start.steps + config.start.second_steps,
    }
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    console.print(f"kept in {out}; sandbox test split, greedy: {line(scores)}")


def editor_prompt() -> str:
    """The words around every instruction to Qwen-Image-Edit. Its pipeline drops a fixed number of tokens from the front,
    which only fits a tokenizer that has each of these words whole."""
    pipe = QwenImageEditPipeline(None, None, None, None, None, None)
    return pipe.prompt_template_encode.replace("<|im_start|>", "").replace("<|im_end|>", "")


def warm_vision(config: VisionWarmupConfig, vlm: VLM, work: Path, seed: int) -> None:
    """Stage 2, in place; resumes from `work/checkpoints-vision`."""
    torch.manual_seed(seed)
    tower = vlm.model.model.visual
    readout = Readout(READ_WIDTH**2, vlm.model.config.text_config.hidden_size)
    learning = [*tower.parameters(), *readout.parameters()]
    optimizer = torch.optim.AdamW(learning, lr=config.lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    schedule = SFTConfig(steps=config.steps, lr=config.lr, warmup=200, final_lr_share=0.02)
    checkpoints = Checkpoints(work / "checkpoints-vision", keep=1)
    done = 0
    if (found := checkpoints.latest()) is not None:
        done, state = found
        tower.load_state_dict(state["tower"])
        readout.load_state_dict(state["readout"])
        optimizer.load_state_dict(state["optimizer"])
    with bar("vision tower", config.steps, done) as progress:
        while done < config.steps:
            for group in optimizer.param_groups:
                group["lr"] = schedule.lr_at(done)
            scenes = [random_scene(Random(f"vision/{seed}/{done}/{j}"), "train") for j in range(config.batch_size)]
            images = [Image.fromarray(render(scene, 64)) for scene in scenes]
            loss, accuracy = perception_loss(vlm, readout, images, scenes)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            done += 1
            progress.update(done, f"shape {accuracy['vision/shape']:.2f} colour {accuracy['vision/colour']:.2f}")
            if done % 250 == 0 or done == config.steps:
                now: dict[str, Any] = {
                    "tower": tower.state_dict(),
                    "readout": readout.state_dict(),
                    "optimizer": optimizer.state_dict(),
                }
                checkpoints.save(done, now)


def validate(vlm: VLM, template: str, split: str, n: int) -> dict[str, dict[str, float]]:
    """Greedy decompositions of `n` sandbox samples of every kind: mean of each component, per kind and over all."""
    bench = SandboxBenchmark(split, seed=1)
    samples = [bench.sample(i) for i in range(n)]
    answers = HFBackend(vlm).generate([build_request(template, s) for s in samples], 1, Sampling(96, temperature=0.0))
    spec = RewardSpec.named("f1_goal")
    sums: dict[str, Counter[str]] = {kind: Counter() for kind in ("all", *KINDS)}
    for sample, (answer,) in zip(samples, answers, strict=True):
        parts = spec.score(answer.text, sample.gold).components
        for key in ("all", sample.kind):
            sums[key].update({k: parts[k] or 0.0 for k in ("format", "action", "subject", "goal", "linked")}, n=1)
    return {kind: {k: round(v / c["n"], 4) for k, v in c.items() if k != "n"} for kind, c in sums.items() if c["n"]}


def line(scores: dict[str, dict[str, float]]) -> str:
    return " · ".join(f"{kind} {(s['action'] + s['subject'] + s['goal']) / 3:.3f}" for kind, s in scores.items())


if __name__ == "__main__":
    command("pretrain", main)
