"""Recipe: the tiny intent writer before RL, from the tiny decomposer, resumable."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from agents.backends.base import Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, load_vlm, save_vlm
from agents.intent import IntentWriter
from agents.prompt_files import load_prompt
from benchmarks.sandbox.intents import intent_of, meant_edits
from common.progress import bar, console
from conf.schema import PretrainConfig
from experiments.tiny.intentstart import IntentMix, IntentStart, calls_it
from experiments.tiny.updates import fast_bf16
from rl.config import SFTConfig
from rl.sft import train_sft


def pretrain_intents(config: PretrainConfig) -> None:
    """Train, judge and save the tiny intent writer."""
    c, part = config.intents, config.intent
    vlm = load_vlm(part.base, "float32", "cpu")
    template = load_prompt(part.prompt)
    start = IntentStart(template, IntentMix(), config.seed)
    settings = SFTConfig(
        steps=c.steps, batch_size=c.batch_size, micro_batch_size=c.micro_batch_size, lr=c.lr, warmup_steps=c.warmup,
        final_lr_share=c.final_lr_share, optimizer="muon", checkpoint_every=c.checkpoint_every,
    )  # fmt: skip
    check = partial(right_intents, vlm, template, part.max_new_tokens)

    def log(metrics: Mapping[str, float]) -> None:
        if (done := int(metrics["step"])) % c.validate_every == 0 and done < c.steps:
            vlm.model.eval()
            console.print(f"  step {done}: {check('validation', c.validation_samples)}")
            vlm.model.train()

    work = Path(config.work_folder)
    with bar("intents", c.steps) as progress, fast_bf16():
        train_sft(
            settings, vlm, partial(start.batch, size=c.batch_size), work, log,
            lambda done, total, m: progress.update(done, f"loss {m['sft/loss']:.3f}"),
        )  # fmt: skip
    vlm.model.eval()
    shares = check("test", c.validation_samples)
    vlm.model.half()  # the file's precision; training and inference read it as fp32
    out = Path(config.out or part.checkpoint)
    save_vlm(vlm, out)
    size = sum(p.numel() for p in vlm.model.parameters())
    card = {"parameters": size, "recipe": "intents", "steps": c.steps, "right_on_test": shares}
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    console.print(f"kept in {out}; intents that are exactly right, test split: {shares}")


def right_intents(vlm: VLM, template: str, max_new_tokens: int, split: str, samples: int) -> dict[str, float]:
    """The share of greedy intents that say exactly what is meant: under a rule that applies, where a thing is called "it", and of
    the other turns."""
    data = IntentStart(template, IntentMix(), 1, split)
    turns = [data.turn(i) for i in range(samples)]
    said = IntentWriter(HFBackend(vlm), template, Sampling(max_new_tokens, temperature=0.0)).write(turns)
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for turn, intent in zip(turns, said, strict=True):
        ruled = meant_edits(turn) != turn.gold
        kind = "rule" if ruled else "it" if calls_it(turn) else "named"
        total[kind] += 1
        right[kind] += intent.instruction == intent_of(turn)
    return {kind: round(right[kind] / total[kind], 4) for kind in sorted(total)}


__all__ = ["pretrain_intents", "right_intents"]
