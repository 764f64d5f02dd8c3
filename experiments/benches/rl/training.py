"""The training phase alone: the same completions with the prompt passed once and with a copy of it for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from agents.backends.vlm import VLM, EncodedPrompt
from common.errors import RunFailed
from experiments.benches.rl.lockstep import in_turns, row, timed
from rl.policies.text import TextBatch, TextPolicy

APART = 1e-5  # largest difference of gradients that still counts as equal, as a share of the largest entry (fp32)


def random_answers(vlm: VLM, count: int, tokens: int, seed: int = 0) -> list[list[int]]:
    """Uniform over what may be sampled: hardly two begin alike, so that sharing finds nothing but the prompt to share."""
    allowed = torch.tensor(sorted(set(range(vlm.model.config.text_config.vocab_size)) - {*vlm.banned_ids, vlm.eos_id}))
    generator = torch.Generator().manual_seed(seed)
    return allowed[torch.randint(len(allowed), (count, tokens), generator=generator)].tolist()


class Pass:
    """Forward and backward over a batch of groups, `at_once` completions at a time, gradients added up."""

    def __init__(
        self,
        vlm: VLM,
        shared: bool,
        prompts: Sequence[EncodedPrompt],
        answers: Sequence[Sequence[int]],
        at_once: int,
        **policy: Any,
    ):
        self.policy = TextPolicy(vlm, frozen_vision=True, shared_prefix=shared, **policy)
        self.prompts, self.answers, self.at_once = prompts, answers, at_once
        generator = torch.Generator().manual_seed(1)
        self.advantage_B = torch.randn(len(answers), generator=generator).to(vlm.model.device)

    def __call__(self) -> None:
        self.policy.zero_grad(set_to_none=True)
        tokens = sum(map(len, self.answers))
        for start in range(0, len(self.answers), self.at_once):
            part = slice(start, start + self.at_once)
            stats = self.policy(TextBatch(self.prompts[part], self.answers[part]))
            (-(stats.logp_BT * self.advantage_B[part, None]).sum() / tokens).backward()
        if stats.logp_BT.is_cuda:
            torch.cuda.synchronize()

    def gradients(self) -> dict[str, torch.Tensor]:
        self()
        return {n: p.grad.clone() for n, p in self.policy.model.named_parameters() if p.grad is not None}


def gradients_apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> tuple[float, float]:
    """The largest difference of any entry, and the largest entry. Raises RunFailed where not the same parameters have one."""
    if one.keys() != other.keys() or not one:
        raise RunFailed(f"gradients of different parameters: {sorted(one.keys() ^ other.keys())[:3]}")
    most = max(float((g - other[n]).abs().max()) for n, g in one.items())
    return most, max(float(g.abs().max()) for g in other.values())


def compare_training(
    vlm: VLM,
    prompts: Sequence[EncodedPrompt],
    group: int,
    ratio: float,
    repeats: int,
    say: Callable[[str], None] = print,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the measure, details): shared against unshared, with prompts `ratio` times as long as the answers. The unshared side
    may choose how many completions pass at once. Raises RunFailed where the gradients differ."""
    tokens = max(1, round(sum(map(len, prompts)) / len(prompts) / ratio))
    answers = random_answers(vlm, len(prompts) * group, tokens)
    each = [p for p in prompts for _ in range(group)]
    shared = Pass(vlm, True, each, answers, len(each))
    sizes = sorted({len(each), min(len(each), 4 * group), group})
    unshared = {n: Pass(vlm, False, each, answers, n) for n in sizes}
    apart, largest = gradients_apart(shared.gradients(), unshared[sizes[0]].gradients())
    if not apart <= APART * largest:
        raise RunFailed(
            f"gradients differ by {apart:.2g} where the largest entry is {largest:.2g}; speeds mean nothing"
        )
    for other in unshared.values():
        other()  # warm
    tried = {n: timed(other)() for n, other in unshared.items()}
    best = min(tried, key=lambda n: tried[n])
    times = in_turns([timed(shared), timed(unshared[best])], repeats)
    say(
        f"  {len(prompts)} prompts x {group} answers of {tokens} tokens, prompt:answer {ratio:g}:1; unshared: {best} at once "
        f"(best of {sizes}); gradients differ by at most {apart:.1e}, largest entry {largest:.1e}"
    )
    measure = row(times[0], times[1], "answer tokens/s", len(answers) * tokens)
    return measure, {"apart": apart, "largest": largest, "tokens": tokens, "unshared_at_once": best, "tried": tried}


__all__ = ["Pass", "compare_training", "gradients_apart", "random_answers"]
