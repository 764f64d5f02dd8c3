"""Recipe: a tiny diffusion editor from nothing, resumable.

1. a VAE on sandbox pictures; 2. flow matching on sandbox pairs with explicit instructions, classifier-free dropout and a
moving average of the weights; 3. held-out edits, judged per action, in `report.html` beside the checkpoints.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from common.atomic import atomic_folder
from common.errors import BadInput
from common.progress import bar, console
from conf.schema import AutoencoderConfig, FlowMatchingConfig, PretrainConfig
from experiments.reports.editors import write_report
from experiments.tiny.autoencoder import AutoencoderTraining
from experiments.tiny.edit_pairs import EditPairs, vocabulary
from experiments.tiny.editor_model import TinyEditor, tiny_kontext, tiny_qwen
from experiments.tiny.editor_scores import held_out, judge_edits, line, summary
from experiments.tiny.flow_matching import FlowMatching
from experiments.tiny.updates import recipe_identity
from rl.loop import run_loop

FOLDERS = {"qwen": "qwen_image_edit", "flux_kontext": "flux_kontext"}
SHARED = ("text_encoder/model.safetensors",)  # of qwen: the decomposer's own weights, linked to and not copied


def pretrain_editor(config: PretrainConfig, device: str) -> None:
    """Train, judge and save the editor that `config.editor` names. Raises BadInput for one without a tiny model."""
    name = config.editor.name if config.editor else ""
    if name not in FOLDERS:
        raise BadInput(f"editor={name} has no tiny model to train; choose {' or '.join(FOLDERS)}")
    assets = Path(config.paths.assets) / "tiny"
    work = Path(config.work_folder)
    out = Path(config.out or assets / FOLDERS[name])
    pairs = EditPairs(config.seed)
    if name == "qwen":
        editor = tiny_qwen(config.decomposer.checkpoint, config.flow.euler_steps, config.seed)
    else:
        editor = tiny_kontext(vocabulary(pairs), config.flow.euler_steps, config.seed)
    pipe = editor.model.pipe.to(device)
    sizes = {n: sum(p.numel() for p in m.parameters()) for n, m in pipe.components.items() if _is_module(m)}
    console.print(f"{name}: " + ", ".join(f"{n} {v / 1e6:.2f} M" for n, v in sizes.items()))
    train_autoencoder(config.vae, editor, work, config.seed)
    flow = train_flow(config.flow, editor, pairs, work, config.seed)
    flow.average.swap()
    save_editor(pipe, out, Path(config.decomposer.checkpoint) if name == "qwen" else None)
    rows = judge_edits(editor.model, held_out("test", config.flow.test_samples))
    scores = summary(rows)
    card = {"parameters": sizes, "steps": config.flow.steps, "sandbox_test_single_edits": scores}
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    report = write_report(work / "report.html", name, scores, rows)
    console.print(f"kept in {out}; held-out single edits: {line(scores)}\nreport: {report}")


def train_autoencoder(config: AutoencoderConfig, editor: TinyEditor, work: Path, seed: int) -> None:
    """Train the editor's VAE in place, freeze it, and set the scale of its latents."""
    training = AutoencoderTraining(editor.model, config, seed)
    with bar("VAE", config.steps) as progress:
        run_loop(
            training,
            name="vae",
            steps=config.steps,
            identity=recipe_identity(config, seed),
            folder=work,
            checkpoint_every=config.checkpoint_every,
            progress=lambda done, total, m: progress.update(done, f"pixels off by {m['vae/l1']:.2f} of 255"),
        )
    training.finish()


def train_flow(config: FlowMatchingConfig, editor: TinyEditor, pairs: EditPairs, work: Path, seed: int) -> FlowMatching:
    """Train the editor in place; the average of its weights is what is worth keeping."""
    training = FlowMatching(editor, pairs, config, seed)
    samples = held_out("validation", config.validation_samples)

    def validate(metrics: Mapping[str, float]) -> None:
        done = int(metrics["step"])
        if done % config.validate_every == 0 and done < config.steps:
            training.average.swap()
            rows = judge_edits(editor.model, samples)
            training.average.swap()
            console.print(f"  step {done}, validation: {line(summary(rows))}", soft_wrap=True)
            write_report(work / "validation.html", f"step {done}", summary(rows), rows)

    with bar("flow matching", config.steps) as progress:
        run_loop(
            training,
            name="flow",
            steps=config.steps,
            identity=recipe_identity(config, seed) | {"vae": _checksum(editor.model.pipe.vae)},
            folder=work,
            checkpoint_every=config.checkpoint_every,
            log=validate,
            progress=lambda done, total, m: progress.update(
                done, f"loss {m['flow/loss']:.3f}, meant {m['flow/meant']:.2f} · {m['flow/pairs_per_s']:.0f} pairs/s"
            ),
        )
    return training


def _is_module(part: Any) -> bool:
    return isinstance(part, torch.nn.Module)


def _checksum(module: torch.nn.Module) -> float:
    return round(sum(float(p.detach().double().abs().sum()) for p in module.parameters()), 3)


def save_editor(pipe: Any, out: Path, decomposer: Path | None) -> None:
    """Write the pipeline's folder in 16 bits. Weights that are in the decomposer's folder already become a link to it."""
    parts = [p for p in pipe.components.values() if _is_module(p)]
    with atomic_folder(out) as draft:
        for part in parts:
            part.half()
        pipe.save_pretrained(draft)
        for part in parts:
            part.float()
        if decomposer is not None:
            for name in SHARED:
                (draft / name).unlink()
                os.symlink(os.path.relpath(decomposer / Path(name).name, out / Path(name).parent), draft / name)


__all__ = ["pretrain_editor", "save_editor", "train_autoencoder", "train_flow"]
