"""Recipe: the tiny reward model before its cold start. The tiny decomposer learns to look at two pictures and to say what they
show; then the form of a trace.

A published VLM compares pictures and writes lists before it is ever asked to reward edits; this is the counterpart at tiny scale.
How to answer is taught, not what: in the second part the points are answered and scored at random. What a right answer is, the
cold start (SFT) and GCPO teach.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
from common.progress import Bar, bar, console
from conf.schema import PretrainConfig
from experiments.tiny.judged_edits import PIECES, comparison
from experiments.tiny.updates import fast_bf16
from judges.quality import quality
from judges.reasoning.sandbox import sandbox_points
from judges.reasoning.trace import Form, Trace, write_trace
from judges.rubrics.rrm import RRMRubric
from rl.config import SFTConfig
from rl.sft import SFTExample, train_sft

LENGTHS = (5, 3, 2, 0, 0)  # weights of requests of 1..5 edits
KINDS = ("direct", "paraphrased")


class Comparisons:
    """Examples as a function of the step: two pictures with an instruction, and what both show; with `form` BOTH a whole trace
    about them, with verdicts and a score that mean nothing."""

    def __init__(self, prompt: str, split: str, seed: int, form: Form = Form.THINK) -> None:
        self.rubric = RRMRubric(sandbox_points, prompt, form)
        self.seed, self.form = seed, form
        self.sandbox = SandboxBenchmark(split, seed + 3000, kinds=KINDS, lengths=LENGTHS)

    def example(self, index: int) -> SFTExample:
        sample, rng = self.sandbox.sample(index), Random(f"seeing/{self.seed}/{index}")
        made = candidate(sample, rng)
        seen = quality(np.asarray(made.picture))
        text = comparison(sample.before, made.scene, seen, "half changed" in made.faults)
        request = request_for(self.rubric, sample, made.picture)
        if self.form is Form.THINK:
            return SFTExample(request, f"<think>{text}</think>")
        questions = [p.question for p in sandbox_points(sample)]
        verdicts = tuple(rng.randint(0, 1) for _ in questions)
        return SFTExample(request, write_trace(Trace(text, verdicts, rng.randint(0, 20) / 2), questions))

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
    work = Path(config.work_folder)
    settings = SFTConfig(
        batch_size=c.batch_size, micro_batch_size=c.micro_batch_size, warmup_steps=c.warmup,
        final_lr_share=c.final_lr_share, optimizer="muon", checkpoint_every=c.checkpoint_every,
    )  # fmt: skip
    check = partial(seen_right, vlm, Comparisons(config.rrm.prompt, "validation", config.seed), c.validation_samples)

    def log(metrics: Mapping[str, float]) -> None:
        if (done := int(metrics["step"])) % c.validate_every == 0:
            vlm.model.eval()
            console.print(f"  step {done}: said right on both pictures {check():.3f}")
            vlm.model.train()

    parts = (("seeing", c.steps, c.lr, Form.THINK), ("form", c.form_steps, c.form_lr, Form.BOTH))
    for number, (name, steps, lr, form) in enumerate(parts):
        data = Comparisons(config.rrm.prompt, "train", config.seed + number, form)
        with bar(f"seeing edits, {name}", steps) as progress, fast_bf16():
            train_sft(
                replace(settings, steps=steps, lr=lr), vlm, partial(data.batch, size=settings.batch_size), work, log,
                shown_loss(progress), name=name,
            )  # fmt: skip
    share = check()
    vlm.model.half()
    out = Path(config.out or config.rrm.base)
    save_vlm(vlm, out)
    size = sum(p.numel() for p in vlm.model.parameters())
    card = {
        "parameters": size,
        "recipe": "seeing",
        "steps": c.steps + c.form_steps,
        "said_right_on_validation": round(share, 4),
    }
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    console.print(f"kept in {out}; said right on the validation split: {share:.3f}")


def shown_loss(progress: Bar) -> Callable[[int, int, Mapping[str, float]], None]:
    return lambda done, total, m: progress.update(done, f"loss {m['sft/loss']:.3f}")


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
    """How far greedy answers about held-out pictures agree with what these show: statements in both, of those in either."""
    examples: Sequence[SFTExample] = data.batch(10**5, samples)
    answers = HFBackend(vlm).generate([e.request for e in examples], 1, Sampling(256, temperature=0.0))
    right = total = 0
    for example, (answer,) in zip(examples, answers, strict=True):
        wanted, said = set(clauses(example.answer)), set(clauses(answer.text))
        right += len(wanted & said)
        total += len(wanted | said)
    return right / total


def clauses(text: str) -> list[str]:
    """The things and other statements of a thought one by one, each with the picture that it is about: 'now: center red star'."""
    thought = text.partition("<think>")[2].partition("</think>")[0]
    found = []
    for sentence in thought.split(". "):
        head, colon, items = sentence.partition(":")
        found += [" ".join(f"{head}: {item}".split()) for item in items.split(", ")] if colon else [sentence.strip()]
    return found


__all__ = ["Comparisons", "clauses", "extended", "pretrain_reward_model", "request_for", "seen_right"]
