"""Recipe: the tiny decomposer from nothing, resumable.

1. a tokenizer and random weights; 2. the vision tower learns to see the sandbox; 3. a supervised start: how to answer, and requests
that say everything in full (decomposer=tiny), or all kinds of requests in part of the wordings (decomposer=tiny_sft). The result
is kept in 16 bits with a card that says how good it is; nothing is downloaded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from diffusers import QwenImageEditPipeline

from agents.backends.base import Sampling
from agents.backends.hf import HFBackend
from agents.backends.tiny import TinyShape, build_tiny_vlm
from agents.backends.vlm import VLM, save_vlm
from agents.decomposer import build_request
from agents.prompt_files import load_prompt
from benchmarks.sandbox.generate import KINDS, SandboxBenchmark
from common.errors import BadInput
from common.progress import bar, console
from conf.schema import PretrainConfig, VisionWarmupConfig
from experiments.tiny.coldstart import SECOND_PART, ColdStart, ColdStartMix, corpus
from experiments.tiny.directstart import DirectMix, DirectStart, answers
from experiments.tiny.updates import fast_bf16, recipe_identity
from experiments.tiny.vision import VisionWarmup
from rewards.compose import RewardSpec
from rl.config import SFTConfig
from rl.loop import run_loop
from rl.sft import SFTExample, train_sft

TOKENIZER_SAMPLES = 20_000


def pretrain_decomposer(config: PretrainConfig) -> None:
    """Train, judge and save the decomposer by the recipe that its configuration names."""
    recipe = config.decomposer.recipe
    if recipe not in RECIPES:
        raise BadInput(
            f"decomposer={config.decomposer.name} has no recipe; experiments.pretrain makes tiny and tiny_sft"
        )
    template = load_prompt(config.decomposer.prompt)
    words = ColdStart(template, ColdStartMix(), config.seed)
    texts: Iterator[str] = chain(corpus(words, TOKENIZER_SAMPLES), [editor_prompt()] * 500)
    if recipe == "direct":  # its own answers too; the words are those of the whole language, as any tokenizer has them
        texts = chain(texts, answers(DirectStart(template, DirectMix(), config.seed), TOKENIZER_SAMPLES // 2))
    console.print("tokenizer: byte-level BPE on the project's own corpus")
    vlm = build_tiny_vlm(texts, TinyShape(), config.seed)
    size = sum(p.numel() for p in vlm.model.parameters())
    console.print(f"model: Qwen2.5-VL of {size / 1e6:.1f} M parameters, vocabulary {len(vlm.tokenizer)}")
    work = Path(config.work_folder)
    warm_vision(config.vision, vlm, work, config.seed)
    steps = RECIPES[recipe](config, vlm, template, work)
    samples, tokens = config.supervised[1].validation_samples, config.decomposer.max_new_tokens
    console.print(f"  validation: {line(validate(vlm, template, 'validation', samples, tokens))}")
    vlm.model.half()  # the file's precision; training and inference read it as fp32
    vlm.model.float()
    scores = validate(vlm, template, "test", samples, tokens)
    vlm.model.half()
    out = Path(config.out or config.decomposer.checkpoint)
    save_vlm(vlm, out)
    card = {"parameters": size, "recipe": recipe, "sandbox_test": scores, "steps": steps}
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    console.print(f"kept in {out}; sandbox test split, greedy: {line(scores)}")


def direct_start(config: PretrainConfig, vlm: VLM, template: str, work: Path) -> int:
    """How to answer, and requests that say everything in full."""
    c, start = config.direct, DirectStart(template, DirectMix(), config.seed)
    supervised(config, c.steps, c.lr, vlm, start.batch, template, work, "direct")
    return c.steps


def grammar_start(config: PretrainConfig, vlm: VLM, template: str, work: Path) -> int:
    """All kinds of requests in the first wordings: short ones, then what these leave out."""
    c = config.start
    first = ColdStart(template, ColdStartMix(), config.seed)
    second = ColdStart(template, SECOND_PART, config.seed + 1)
    supervised(config, c.steps, c.lr, vlm, first.batch, template, work, "sft")
    supervised(config, c.second_steps, c.second_lr, vlm, second.batch, template, work, "second")
    return c.steps + c.second_steps


RECIPES: dict[str, Callable[[PretrainConfig, VLM, str, Path], int]] = {
    "direct": direct_start,
    "grammar": grammar_start,
}


def editor_prompt() -> str:
    """The words around every instruction to Qwen-Image-Edit. Its pipeline drops a fixed number of tokens from the front,
    which only fits a tokenizer that has each of these words whole."""
    pipe = QwenImageEditPipeline(None, None, None, None, None, None)
    return pipe.prompt_template_encode.replace("<|im_start|>", "").replace("<|im_end|>", "")


def warm_vision(config: VisionWarmupConfig, vlm: VLM, work: Path, seed: int) -> None:
    """Stage 2, in place."""
    with bar("vision tower", config.steps) as progress:
        run_loop(
            VisionWarmup(vlm, config, seed),
            name="vision",
            steps=config.steps,
            identity=recipe_identity(config, seed),
            folder=work,
            checkpoint_every=config.checkpoint_every,
            progress=lambda done, total, m: progress.update(
                done, f"shape {m['vision/shape']:.2f} colour {m['vision/colour']:.2f}"
            ),
        )


def supervised(
    config: PretrainConfig,
    steps: int,
    lr: float,
    vlm: VLM,
    batch: Callable[[int, int], Sequence[SFTExample]],
    template: str,
    work: Path,
    name: str,
) -> None:
    """Stage 3 or a part of it, in place."""
    c, max_new_tokens = config.supervised[1], config.decomposer.max_new_tokens
    settings = SFTConfig(
        steps=steps,
        batch_size=c.batch_size,
        micro_batch_size=c.micro_batch_size,
        lr=lr,
        warmup_steps=c.warmup,
        final_lr_share=c.final_lr_share,
        optimizer="muon",
        checkpoint_every=c.checkpoint_every,
    )

    def log(metrics: Mapping[str, float]) -> None:
        done = int(metrics["step"])
        if done % c.validate_every == 0 and done < steps:
            vlm.model.eval()
            scores = validate(vlm, template, "validation", c.validation_samples, max_new_tokens)
            console.print(f"  step {done}: {line(scores)}")
            vlm.model.train()

    with bar(f"supervised start ({name})", steps) as progress, fast_bf16():
        train_sft(
            settings,
            vlm,
            lambda step: batch(step, settings.batch_size),
            work,
            log,
            lambda done, total, m: progress.update(done, f"loss {m['sft/loss']:.3f}"),
            name=name,
        )


def validate(vlm: VLM, template: str, split: str, n: int, max_new_tokens: int) -> dict[str, dict[str, float]]:
    """Greedy decompositions of `n` sandbox samples of every kind: mean of each component, per kind and over all."""
    bench = SandboxBenchmark(split, seed=1)
    samples = [bench.sample(i) for i in range(n)]
    answers = HFBackend(vlm).generate(
        [build_request(template, s) for s in samples], 1, Sampling(max_new_tokens, temperature=0.0)
    )
    spec = RewardSpec.named("f1_goal")
    sums: dict[str, Counter[str]] = {kind: Counter() for kind in ("all", *KINDS)}
    for sample, (answer,) in zip(samples, answers, strict=True):
        parts = spec.score(answer.text, sample.gold).components
        for key in ("all", sample.kind):
            sums[key].update({k: parts[k] or 0.0 for k in ("format", "action", "subject", "goal", "linked")}, n=1)
    return {kind: {k: round(v / c["n"], 4) for k, v in c.items() if k != "n"} for kind, c in sums.items() if c["n"]}


def line(scores: Mapping[str, Mapping[str, float]]) -> str:
    """The paper's reward without the format, for each kind of request, in one line."""
    return " · ".join(f"{kind} {(s['action'] + s['subject'] + s['goal']) / 3:.3f}" for kind, s in scores.items())


__all__ = ["pretrain_decomposer", "supervised", "validate", "warm_vision"]
