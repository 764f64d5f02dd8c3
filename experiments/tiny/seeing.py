"""Recipe: the tiny reward model before its cold start. The tiny decomposer learns to look at two pictures and to say what each
shows.

A published VLM compares pictures before it is ever asked to reward edits; this is the counterpart at tiny scale. No evaluation
point is answered here and no score is given: that is for the cold start (SFT) and for GCPO.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

import numpy as np
import torch
from tokenizers import AddedToken

from agents.backends.base import ModelRequest, Sampling
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM, load_vlm, save_vlm
from benchmarks.sandbox.candidates import candidate
from benchmarks.sandbox.generate import SandboxBenchmark, SandboxSample
from common.progress import bar, console
from conf.schema import PretrainConfig
from experiments.tiny.judged_edits import PIECES, comparison
from experiments.tiny.updates import fast_bf16
from judges.quality import quality
from judges.reasoning.sandbox import sandbox_points
from judges.reasoning.trace import Form
from judges.rubrics.rrm import RRMRubric
from rl.config import SFTConfig
from rl.sft import SFTExample, train_sft

LENGTHS = (5, 3, 2, 0, 0)  # weights of requests of 1..5 edits
KINDS = ("direct", "paraphrased")


class Comparisons:
    """Examples as a function of the step: two pictures with an instruction, and what both show."""

    def __init__(self, prompt: str, split: str, seed: int) -> None:
        self.rubric = RRMRubric(sandbox_points, prompt, Form.THINK)
        self.seed = seed
        self.sandbox = SandboxBenchmark(split, seed + 3000, kinds=KINDS, lengths=LENGTHS)

    def example(self, index: int) -> SFTExample:
        sample, rng = self.sandbox.sample(index), Random(f"seeing/{self.seed}/{index}")
        made = candidate(sample, rng)
        seen = quality(np.asarray(made.picture))
        text = comparison(sample.before, made.scene, seen, "half changed" in made.faults)
        return SFTExample(request_for(self.rubric, sample, made.picture), f"<think>{text}</think>")

    def batch(self, step: int, size: int) -> list[SFTExample]:
        return [self.example(step * size + j) for j in range(size)]


def request_for(rubric: RRMRubric, sample: SandboxSample, picture: object) -> ModelRequest:
    """What the reward model is shown, by its own rubric."""
    (question,) = rubric.questions(sample, sample.image, picture)  # type: ignore[arg-type]
    return ModelRequest(parts=question.parts)


def pretrain_reward_model(config: PretrainConfig) -> None:
    """Train, judge and save the tiny reward model's start."""
    c = config.seeing
    vlm = extended(load_vlm(config.decomposer.checkpoint, "float32", "cpu"))
    work = Path(config.work or f"{config.paths.outputs}/pretrain-{config.rrm.name}_rrm")
    data = Comparisons(config.rrm.prompt, "train", config.seed)
    settings = SFTConfig(
        steps=c.steps, batch_size=c.batch_size, micro_batch_size=c.micro_batch_size, lr=c.lr, warmup_steps=c.warmup,
        final_lr_share=c.final_lr_share, optimizer="muon", checkpoint_every=c.checkpoint_every,
    )  # fmt: skip
    check = partial(seen_right, vlm, Comparisons(config.rrm.prompt, "validation", config.seed), c.validation_samples)

    def log(metrics: Mapping[str, float]) -> None:
        if (done := int(metrics["step"])) % c.validate_every == 0:
            vlm.model.eval()
            console.print(f"  step {done}: said right on both pictures {check():.3f}")
            vlm.model.train()

    with bar("seeing edits", c.steps) as progress, fast_bf16():
        train_sft(
            settings, vlm, partial(data.batch, size=settings.batch_size), work, log,
            lambda done, total, m: progress.update(done, f"loss {m['sft/loss']:.3f}"), name="seeing",
        )  # fmt: skip
    share = check()
    vlm.model.half()
    out = Path(config.out or config.rrm.base)
    save_vlm(vlm, out)
    size = sum(p.numel() for p in vlm.model.parameters())
    card = {"parameters": size, "recipe": "seeing", "steps": c.steps, "said_right_on_validation": round(share, 4)}
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    console.print(f"kept in {out}; said right on the validation split: {share:.3f}")


def extended(vlm: VLM) -> VLM:
    """The same model whose tokenizer has the pieces of a trace as one token each; their embeddings start as the mean of all."""
    known = len(vlm.tokenizer)
    vlm.tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in PIECES])
    vlm.model.resize_token_embeddings(len(vlm.tokenizer), mean_resizing=False)
    with torch.no_grad():
        table = vlm.model.get_input_embeddings().weight
        table[known:] = table[:known].mean(0)
    return vlm


def seen_right(vlm: VLM, data: Comparisons, samples: int) -> float:
    """The share of the words about held-out pictures that a greedy answer has at their place."""
    examples: Sequence[SFTExample] = data.batch(10**5, samples)
    answers = HFBackend(vlm).generate([e.request for e in examples], 1, Sampling(256, temperature=0.0))
    right = total = 0
    for example, (answer,) in zip(examples, answers, strict=True):
        wanted, said = clauses(example.answer), clauses(answer.text)
        right += sum(a == b for a, b in zip(wanted, said, strict=False))
        total += len(wanted)
    return right / total


def clauses(text: str) -> list[str]:
    """The things and other statements of a thought, one by one."""
    plain = text.replace("<think>", "").replace("</think>", "").replace(". ", ", ")
    return [" ".join(part.split()) for part in plain.split(", ")]


__all__ = ["Comparisons", "clauses", "extended", "pretrain_reward_model", "request_for", "seen_right"]
