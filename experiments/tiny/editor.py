"""`python -m experiments.pretrain editor=qwen` (or flux_kontext): a tiny diffusion editor from nothing, resumable.

1. a VAE on sandbox pictures; 2. flow matching on sandbox pairs with explicit instructions, classifier-free dropout and a
moving average of the weights; 3. held-out edits, judged per action, in `report.html` beside the checkpoints.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from agents.backends.vlm import load_vlm
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from benchmarks.sandbox.render import render
from common.errors import BadInput
from common.progress import bar, console
from conf.schema import EditorStartConfig, PretrainConfig
from editors.tiny import tiny_kontext_pipeline, tiny_qwen_pipeline
from experiments.build.device import device_of
from experiments.reports.editors import write_report
from experiments.runs.libraries import quiet_libraries
from experiments.tiny.autoencoder import autoencoder_loss, set_latent_scale, to_tensor
from experiments.tiny.editor_data import SINGLE, EditPairs, vocabulary
from experiments.tiny.editor_families import BUCKETS, EMPTY, Family, Kontext, Qwen, euler
from experiments.tiny.editor_readout import SceneReadout, Taps, readout_loss
from experiments.tiny.flow_matching import (
    Average,
    clip,
    flow_matching_loss,
    interpolate,
    logit_normal,
    named_parameters,
    token_weights,
    trapezoid,
)
from judges.sandbox import SandboxJudge
from rl.loop import run_steps
from rl.sft import Optimizers, SFTConfig

FOLDERS = {"qwen": "qwen_image_edit", "flux_kontext": "flux_kontext"}
SHARED = ("text_encoder/model.safetensors",)  # of qwen: the decomposer's own weights, linked to and not copied


def pretrain_editor(config: PretrainConfig) -> None:
    name = config.editor.name if config.editor else ""
    if name not in FOLDERS:
        raise BadInput(f"editor={name} has no tiny model to train; choose {' or '.join(FOLDERS)}")
    assets = Path(config.paths.assets) / "tiny"
    work = Path(config.work or f"{config.paths.outputs}/pretrain-{name}")
    out = Path(config.out or assets / FOLDERS[name])
    pairs = EditPairs(config.seed)
    quiet_libraries(config.verbose)
    family: Family
    if name == "qwen":
        vlm = load_vlm(config.decomposer.checkpoint)
        vlm.model.requires_grad_(False)
        family = Qwen(tiny_qwen_pipeline(vlm, seed=config.seed))
    else:
        family = Kontext(tiny_kontext_pipeline(vocabulary(pairs), seed=config.seed))
    device = device_of(config.engine)
    family.pipe.to(device)
    sizes = {n: sum(p.numel() for p in m.parameters()) for n, m in family.pipe.components.items() if _is_module(m)}
    console.print(f"{name}: " + ", ".join(f"{n} {v / 1e6:.2f} M" for n, v in sizes.items()))
    train_autoencoder(config.editor_start, family, work, config.seed, device)
    average = train_flow(config.editor_start, family, pairs, work, config.seed, device)
    average.swap()
    save_editor(family, out, Path(config.decomposer.checkpoint) if name == "qwen" else None)
    rows = judge_edits(family, held_out("test", config.editor_start.test_samples), config.editor_start.euler_steps)
    scores = summary(rows)
    card = {"parameters": sizes, "steps": config.editor_start.steps, "sandbox_test_single_edits": scores}
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    report = write_report(work / "report.html", name, scores, rows)
    console.print(f"kept in {out}; held-out single edits: {line(scores)}\nreport: {report}")


def _is_module(part: Any) -> bool:
    return isinstance(part, torch.nn.Module)


# ---------------------------------------------------------------------------------------------------------- stage 1
def train_autoencoder(config: EditorStartConfig, family: Family, work: Path, seed: int, device: str) -> None:
    vae = family.pipe.vae
    named = named_parameters({"vae": vae})
    settings = SFTConfig(steps=config.vae_steps, lr=config.vae_lr, weight_decay=0.0, optimizer="muon")
    optimizer = Optimizers(named, settings)
    count = config.vae_batch_size

    def pictures(step: int, n: int) -> Tensor:
        rng = Random(f"vae/{seed}/{step}")
        samples = [SAMPLES.sample(rng.randrange(10**7)) for _ in range(n)]
        scenes = [s.after if rng.random() < 0.5 else s.before for s in samples]
        return to_tensor([render(scene, 64) for scene in scenes]).to(device)

    def step(k: int) -> dict[str, float]:
        images = pictures(k, count)
        generator = torch.Generator().manual_seed(seed * 10**7 + k)
        side = 64 // family.pipe.vae_scale_factor
        noise = torch.randn(count, family.pipe.latent_channels, side, side, generator=generator).to(device)
        loss, metrics = autoencoder_loss(vae, images, noise)
        loss.backward()
        clip(named.values(), 1.0)
        optimizer.step(trapezoid(k, config.vae_steps, config.vae_lr, 100, 0.4))
        return metrics

    vae.train()
    with bar("VAE", config.vae_steps) as progress:
        run_steps(
            "vae",
            config.vae_steps,
            step,
            {"vae": vae, "optimizer": optimizer},
            {"seed": seed, "steps": config.vae_steps, "batch": count, "lr": config.vae_lr},
            work,
            config.checkpoint_every,
            lambda done, m: progress.update(done, f"pixels off by {m['vae/l1']:.2f} of 255"),
        )
    vae.eval()
    vae.requires_grad_(False)
    set_latent_scale(vae, pictures(-1, 128))


SAMPLES = SandboxBenchmark("train", 4000, kinds={"direct": 1.0})


# ---------------------------------------------------------------------------------------------------------- stage 2
def train_flow(
    config: EditorStartConfig, family: Family, pairs: EditPairs, work: Path, seed: int, device: str
) -> Average:
    """Trains in place; returns the average of the weights, which is what is kept."""
    named = named_parameters(family.learning)
    average = Average(named, config.ema)
    settings = SFTConfig(steps=config.steps, lr=config.lr, weight_decay=0.01, optimizer="muon")
    optimizer = Optimizers({_role(n): p for n, p in named.items()}, settings)
    torch.manual_seed(seed)
    width = family.pipe.transformer.inner_dim
    readouts = torch.nn.ModuleDict({"early": SceneReadout(width), "late": SceneReadout(width)}).to(device)
    readers = Optimizers(named_parameters({"embed": readouts}), settings)
    samples = held_out("validation", config.validation_samples)

    def step(k: int) -> dict[str, float]:
        start = time.perf_counter()
        batch = pairs.batch(k, config.batch_size)
        generator = torch.Generator().manual_seed(seed * 10**7 + k)
        rng = Random(f"flow/{seed}/{k}")
        with torch.no_grad():
            source = family.pack(to_tensor([p.before for p in batch]).to(device))
            result = family.pack(to_tensor([p.after for p in batch]).to(device))
        told = [EMPTY if rng.random() < config.dropout else p.instruction for p in batch]
        known = [said == p.instruction for said, p in zip(told, batch, strict=True)]  # what becomes of it was told
        text = family.text(told, [Image.fromarray(p.before) for p in batch], BUCKETS[rng.random() < 0.25])
        t = logit_normal(len(batch), generator, config.time_mean, config.time_std).to(device)
        noise = torch.randn(result.shape, generator=generator).to(device)
        x, wanted = interpolate(result, noise, t)
        with Taps(*family.taps) as taps:
            velocity = family.velocity(x, source, t, text)
        loss = flow_matching_loss(velocity, wanted, token_weights(source, result))
        n = source.shape[1]  # of a block's picture tokens the first n are the result's, the others the source's
        before, after = ([p.scenes[i] for p in batch] for i in (0, 1))
        seen = readout_loss(readouts["early"](taps.seen["early"][:, n:]), before, before, [True] * len(batch))
        meant = readout_loss(readouts["late"](taps.seen["late"][:, :n]), after, before, known)
        share = config.readout_weight * (1 - k / config.steps)  # what to draw first, then how
        (loss + share * (seen + meant)).backward()
        norm = clip(named.values(), 1.0)
        lr = trapezoid(k, config.steps, config.lr, config.warmup, config.decay_share)
        optimizer.step(lr)
        readers.step(lr)
        average.update()
        seconds = time.perf_counter() - start
        return {"flow/loss": float(loss.detach()), "flow/grad_norm": norm, "flow/pairs_per_s": len(batch) / seconds} | {
            "flow/seen": float(seen.detach()),
            "flow/meant": float(meant.detach()),
        }

    with bar("flow matching", config.steps) as progress:

        def after(done: int, metrics: dict[str, float]) -> None:
            progress.update(
                done,
                f"loss {metrics['flow/loss']:.3f}, meant {metrics['flow/meant']:.2f} · {metrics['flow/pairs_per_s']:.0f} pairs/s",
            )
            if done % config.validate_every == 0 and done < config.steps:
                average.swap()
                rows = judge_edits(family, samples, config.euler_steps)
                average.swap()
                console.print(f"  step {done}, validation: {line(summary(rows))}", soft_wrap=True)
                write_report(work / "validation.html", f"step {done}", summary(rows), rows)

        run_steps(
            "flow",
            config.steps,
            step,
            {
                "model": torch.nn.ModuleDict(family.learning),
                "average": average,
                "optimizer": optimizer,
                "readouts": readouts,
                "readers": readers,
            },
            {"seed": seed, "vae": _checksum(family.pipe.vae), "batch": config.batch_size, "lr": config.lr},
            work,
            config.checkpoint_every,
            after,
        )
    return average


def _role(name: str) -> str:
    """Muon is for hidden matrices: tables of words and the last layer are marked as embeddings."""
    return f"embed.{name}" if any(part in name for part in ("shared", "proj_out", "position")) else name


def _checksum(module: torch.nn.Module) -> float:
    return round(sum(float(p.detach().double().abs().sum()) for p in module.parameters()), 3)


# ---------------------------------------------------------------------------------------------------------- stage 3
def held_out(split: str, count: int) -> list[SandboxSample]:
    """Explicit single edits that no training pair comes from."""
    bench = SandboxBenchmark(split, 7, kinds={"direct": 1.0}, lengths=SINGLE)
    return [bench.sample(i) for i in range(count)]


@torch.no_grad()
def judge_edits(family: Family, samples: list[SandboxSample], steps: int) -> list[dict[str, Any]]:
    judge, rows = SandboxJudge(), []
    for k in range(0, len(samples), 25):
        part = samples[k : k + 25]
        sources = to_tensor([np.asarray(s.image) for s in part]).to(family.pipe.device)
        text = family.text([s.request for s in part], [s.image for s in part], BUCKETS[-1])
        generator = torch.Generator().manual_seed(k)
        out = family.unpack(euler(family, family.pack(sources), text, steps, generator), 64, 64)
        pixels = out.clamp(-1, 1).add(1).mul(127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        for sample, after in zip(part, pixels, strict=True):
            edited = Image.fromarray(after)
            verdict = judge.judge(sample.image, edited, sample)
            rows.append({"sample": sample, "edited": edited, "scores": verdict.scores, "action": sample.gold[0].action})
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean scores over all and per action, with how many."""
    groups: dict[str, list[dict[str, float]]] = defaultdict(list)
    for row in rows:
        if row["scores"]:
            groups["all"].append(row["scores"])
            groups[row["action"]].append(row["scores"])
    return {
        name: {key: round(sum(s[key] for s in scores) / len(scores), 2) for key in scores[0]} | {"n": len(scores)}
        for name, scores in sorted(groups.items())
    }


def line(found: dict[str, dict[str, float]]) -> str:
    every = found["all"]
    head = " ".join(f"{key} {value:.2f}" for key, value in every.items() if key != "n")
    return head + " | " + " ".join(f"{k} {v['overall']:.1f}" for k, v in found.items() if k != "all")


def save_editor(family: Family, out: Path, decomposer: Path | None) -> None:
    """The pipeline's folder in 16 bits; what is in the decomposer's folder already is linked to."""
    draft = out.with_name(out.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    parts = [p for p in family.pipe.components.values() if _is_module(p)]
    for part in parts:
        part.half()
    family.pipe.save_pretrained(draft)
    for part in parts:
        part.float()
    if decomposer is not None:
        for name in SHARED:
            target = decomposer / Path(name).name
            (draft / name).unlink()
            os.symlink(os.path.relpath(target, out / Path(name).parent), draft / name)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(draft, out)


__all__ = ["judge_edits", "pretrain_editor", "summary"]
