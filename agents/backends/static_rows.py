"""The decoding loop of a GPU: no step waits for the host, and the model's part of a step may be one replayed graph.

Every sample has a row of its own. Drawing, log-probabilities and end tokens stay on the device; the host looks once in LOOK_EVERY
tokens which samples have ended, stops where all have, and moves the others together where a smaller bucket of rows holds
them. So a batch computes up to LOOK_EVERY - 1 tokens more than it needs, which nobody sees.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from agents.backends.base import Sampling
from agents.backends.buckets import KEPT_BYTES, column_bucket, row_bucket
from agents.backends.draws import distribution, invert_cdf
from agents.backends.static_step import StaticStep
from agents.backends.step_graphs import StepGraphs
from agents.backends.vlm import VLM, EncodedPrompt

LOOK_EVERY = 16
GRAPHS_FROM = 16  # tokens: shorter answers are drawn before a graph that they need would be captured [assumed]


class StaticRows:
    """A `DecodingLoop`. Its buffers and graphs stay from call to call, and grow where a batch needs more; a cache of more than
    `keep_bytes` is freed after the call with its graphs, whose capture is then a small part of the call's time."""

    def __init__(self, vlm: VLM, graphs: StepGraphs | None = None, keep_bytes: float = KEPT_BYTES) -> None:
        """`graphs`: what captures and replays; None runs every step by Python."""
        self.vlm, self.graphs, self.keep_bytes = vlm, graphs, keep_bytes
        self.step: StaticStep | None = None

    def decode(
        self, prompts: Sequence[EncodedPrompt], n: int, sampling: Sampling, uniform_PnT: Tensor
    ) -> tuple[Tensor, Tensor]:
        try:
            return self._decode(prompts, n, sampling, uniform_PnT)
        finally:
            if self.step is not None and self.step.cache_bytes > self.keep_bytes:
                self._free()

    def _decode(
        self, prompts: Sequence[EncodedPrompt], n: int, sampling: Sampling, uniform_PnT: Tensor
    ) -> tuple[Tensor, Tensor]:
        vlm, S, T = self.vlm, len(prompts) * n, sampling.max_new_tokens
        rows, columns = row_bucket(S), column_bucket(max(map(len, prompts)) + T)
        step = self._step(rows, columns)
        logits_RV = step.begin(prompts, n, rows, columns)
        batch = Batch(vlm, uniform_PnT.flatten(0, 1), rows, logits_RV.device)
        for t in range(T):
            chosen_R = batch.draw(logits_RV, t, sampling)
            if t + 1 == T:
                break
            if (t + 1) % LOOK_EVERY == 0:
                going = batch.going()
                if not going:
                    break
                fewer = row_bucket(len(going))
                if fewer < rows:
                    source, target = moves(going, fewer)
                    step.move(source, target)
                    chosen_R = batch.shrink(source, target, fewer, chosen_R)
                    rows = fewer
            step.feed(chosen_R)
            self._forward(step, rows, columns, sampling)
            step.advance()
            logits_RV = step.logits[:rows]
        return batch.tokens[:S].cpu(), batch.logp[:S].cpu()

    def _step(self, rows: int, columns: int) -> StaticStep:
        """The buffers, larger ones where those at hand are too small; graphs that read the smaller ones are then dropped."""
        held = self.step
        if held is None or held.rows < rows or held.columns < columns or not held.fits(self.vlm):
            if held is not None:  # with room for the earlier batches too, if that is not much
                more = max(rows, held.rows), max(columns, held.columns)
                if held.cache_bytes * more[0] * more[1] <= self.keep_bytes * held.rows * held.columns:
                    rows, columns = more
            del held
            self._free()  # first, so that both never lie there
            self.step = held = StaticStep(self.vlm, rows, columns)
        if self.graphs is not None:
            self.graphs.check(self.vlm)
        return held

    def _free(self) -> None:
        """Forget the buffers, and the graphs that read them."""
        self.step = None
        if self.graphs is not None:
            self.graphs.drop()

    def _forward(self, step: StaticStep, rows: int, columns: int, sampling: Sampling) -> None:
        if self.graphs is None:
            step.forward(rows, columns)
        else:
            self.graphs.run(
                (rows, columns), lambda: step.forward(rows, columns), sampling.max_new_tokens >= GRAPHS_FROM
            )


class Batch:
    """The samples of one call: what each has drawn, on the device. Row r belongs to sample `sample[r]`; rows without a sample
    write into one more row of the results, which is thrown away."""

    def __init__(self, vlm: VLM, uniform_ST: Tensor, rows: int, device: torch.device) -> None:
        self.vlm = vlm
        S, T = uniform_ST.shape
        spare = torch.zeros(rows - S, T, dtype=uniform_ST.dtype)
        self.uniform = torch.cat([uniform_ST.cpu(), spare]).to(device)  # [R, T]: all that will ever be drawn
        self.sample = torch.arange(rows, device=device).clamp_(max=S)
        self.ended = self.sample == S
        self.tokens = torch.full((S + 1, T), vlm.pad_id, dtype=torch.long, device=device)
        self.logp = torch.zeros(S + 1, T, dtype=torch.float32, device=device)

    def draw(self, logits_RV: Tensor, t: int, sampling: Sampling) -> Tensor:
        """The t-th token [R] of each row, a pad token where it has ended."""
        log_p_RV = distribution(self.vlm, logits_RV, sampling)
        if sampling.temperature == 0:
            chosen = log_p_RV.argmax(-1)
        else:
            chosen = invert_cdf(log_p_RV, self.uniform[:, t : t + 1])[:, 0]
        logp = log_p_RV.gather(-1, chosen[:, None])[:, 0].masked_fill(self.ended, 0.0)
        chosen = chosen.masked_fill(self.ended, self.vlm.pad_id)
        self.tokens[:, t].index_copy_(0, self.sample, chosen)
        self.logp[:, t].index_copy_(0, self.sample, logp)
        self.ended |= chosen == self.vlm.eos_id
        return chosen

    def going(self) -> list[int]:
        """Rows whose sample has not ended: the host's look, which waits for the device."""
        return [row for row, ended in enumerate(self.ended.tolist()) if not ended]

    def shrink(self, source: list[int], target: list[int], rows: int, chosen_R: Tensor) -> Tensor:
        """Move rows as the step does, keep the first `rows`, and return their tokens."""
        moved = []
        for state in (self.uniform, self.sample, self.ended, chosen_R):
            state[target] = state[source]
            moved.append(state[:rows].clone())
        self.uniform, self.sample, self.ended, chosen_R = moved
        return chosen_R


def moves(going: Sequence[int], rows: int) -> tuple[list[int], list[int]]:
    """(source, target) rows that bring all that go on into the first `rows`; those that are there stay."""
    staying = set(going)
    free = [row for row in range(rows) if row not in staying]
    source = [row for row in going if row >= rows]
    return source, free[: len(source)]


__all__ = ["LOOK_EVERY", "StaticRows", "moves"]
