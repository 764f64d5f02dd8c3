"""Rollouts in the training process: the reference engine with which every other one must agree.

The decoding loops are ours, transformers' `generate` costs several milliseconds of Python per token at small sizes. Prompts of
similar length are batched, each prompt's image and text are computed once, finished samples leave the batch. On a CPU every
prefix that several samples of a prompt share is computed once (`decode.py`); on a GPU no step waits for the host, and CUDA graphs
are replayed (`static_rows.py`). Both draw the same tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor

from agents.backends.attention import need_packed_rows, use_grouped_attention
from agents.backends.base import Completion, ModelRequest, Sampling, SyncReport, fingerprint
from agents.backends.decode import SharedRows
from agents.backends.draws import DecodingLoop, distribution, uniform_numbers
from agents.backends.kv_cache import KVCache, prefill
from agents.backends.static_rows import StaticRows
from agents.backends.step_graphs import StepGraphs
from agents.backends.token_scores import single_tokens
from agents.backends.vlm import VLM, EncodedPrompt
from common.errors import BadInput, RunFailed
from common.progress import say
from editors.onednn import use_onednn


class HFBackend:
    """A `Backend` over a VLM, which may be the module under training itself (`sync` then checks that it is)."""

    def __init__(self, vlm: VLM, max_sequences: int = 128, graphs: str | bool = "auto") -> None:
        """`max_sequences` samples are decoded together; more is faster and takes more memory for keys and values.
        `graphs` as in `decoding_loop`. Raises BadInput for a model whose attention is not sdpa or has sliding windows."""
        if max_sequences < 1:
            raise BadInput(f"max_sequences must be at least 1, not {max_sequences}")
        self.vlm = vlm
        self.max_sequences = max_sequences
        use_grouped_attention(vlm.model)
        use_onednn(vlm.model)
        need_packed_rows(vlm.model)
        self.loop = decoding_loop(vlm, graphs)

    @torch.no_grad()
    def generate(self, requests: Sequence[ModelRequest], n: int, sampling: Sampling) -> list[list[Completion]]:
        """n completions of each request, [P][n]. Draws depend on (seed, request index, sample index, position) only,
        so neither batching nor the process's random state changes them."""
        if n < 1:
            raise BadInput(f"n must be at least 1, not {n}")
        prompts = self.vlm.encode(requests)
        uniform_PnT = uniform_numbers(sampling, len(prompts), n)
        result: list[list[Completion]] = [[] for _ in prompts]
        with self._evaluating():
            for chosen in self._batches(prompts, n):
                drawn = self.loop.decode([prompts[i] for i in chosen], n, sampling, uniform_PnT[chosen])
                answers = self._completions(*drawn)
                for k, i in enumerate(chosen):
                    result[i] = answers[k * n : (k + 1) * n]
        return result

    @torch.no_grad()
    def token_scores(self, requests: Sequence[ModelRequest], words: Sequence[str | int]) -> Tensor:
        """See `TokenScorer`: the model's own logits after the prompt, in fp32."""
        ids, prompts = single_tokens(self.vlm, words), self.vlm.encode(requests)
        scores_PK = torch.empty(len(prompts), len(ids))
        with self._evaluating():
            for chosen in self._batches(prompts, 1):
                asked = [prompts[i] for i in chosen]
                rows = KVCache(self.vlm.model, len(asked), max(map(len, asked)))
                logits_PV = self.vlm.model.lm_head(prefill(self.vlm, asked, rows).hidden_PD)
                scores_PK[chosen] = distribution(self.vlm, logits_PV, Sampling(1))[:, ids].cpu()
        return scores_PK

    def _batches(self, prompts: Sequence[EncodedPrompt], n: int) -> Iterator[list[int]]:
        """Numbers of prompts of similar length that are worked on together, n samples of each."""
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        width = max(1, self.max_sequences // n)
        for start in range(0, len(order), width):
            yield order[start : start + width]

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        """The model without dropout; afterwards as it was."""
        was_training = self.vlm.model.training
        self.vlm.model.eval()
        try:
            yield
        finally:
            self.vlm.model.train(was_training)

    def _completions(self, tokens_BT: Tensor, logp_BT: Tensor) -> list[Completion]:
        rows = []
        for ids, logp in zip(tokens_BT.tolist(), logp_BT.tolist(), strict=True):
            stopped = self.vlm.eos_id in ids
            length = ids.index(self.vlm.eos_id) + 1 if stopped else len(ids)
            text = self.vlm.tokenizer.decode(ids[: length - stopped], skip_special_tokens=False)
            rows.append(Completion(tuple(ids[:length]), tuple(logp[:length]), text, "stop" if stopped else "length"))
        return rows

    @torch.no_grad()
    def sync(self, named_parameters: Iterable[tuple[str, Tensor]]) -> SyncReport:
        """Copy each parameter once, or find that it is the model's own; then compare checksums of what was copied and
        what is held. A tied alias (`lm_head.weight`) may come too; it must carry the same values.

        Raises RunFailed naming the parameters that were unknown, doubled, missing or of another shape.
        """
        owner = {p.data_ptr(): name for name, p in self.vlm.model.named_parameters()}
        written: set[str] = set()
        copied: set[str] = set()
        # as they come: what was gathered for the sync need not stay, a model never lies here twice
        sent = fingerprint(self._write(named_parameters, owner, written, copied))
        if missing := sorted(set(owner.values()) - written):
            raise RunFailed(f"weight sync: {len(missing)} parameters were never sent, first {missing[0]}")
        held = dict(self.vlm.model.named_parameters())
        if (held_now := fingerprint((name, held[name]) for name in copied)) != sent:
            raise RunFailed(f"weight sync: what is held ({held_now}) is not what was sent ({sent})")
        return fingerprint(held.items())

    def _write(
        self, values: Iterable[tuple[str, Tensor]], owner: dict[int, str], written: set[str], copied: set[str]
    ) -> Iterator[tuple[str, Tensor]]:
        """Copy each value that is not the model's own, and give what was copied."""
        mine = dict(self.vlm.model.named_parameters(remove_duplicate=False))
        for name, value in values:
            if name not in mine:
                raise RunFailed(
                    f"weight sync: the rollout model has no parameter {name!r}; is it the same architecture?"
                )
            target = mine[name]
            if target.shape != value.shape:
                raise RunFailed(f"weight sync: {name} is {tuple(value.shape)}, here {tuple(target.shape)}")
            key = owner[target.data_ptr()]
            if key in written:
                if name == key or not torch.equal(target, value.to(target)):
                    raise RunFailed(f"weight sync: {name} was written twice in one sync (as {key})")
                continue
            written.add(key)
            if value.data_ptr() != target.data_ptr():
                target.copy_(value)
                copied.add(key)
                yield key, value.to(target.dtype)


def decoding_loop(vlm: VLM, graphs: str | bool) -> DecodingLoop:
    """`graphs`: "auto" is the loop without host waits and its CUDA graphs on a GPU, and the loop that shares rows on a CPU; False
    is the latter on both; True the former on both, where a CPU runs every step by Python."""
    device = vlm.model.device.type
    if graphs is False or (graphs == "auto" and device != "cuda"):
        return SharedRows(vlm)
    if device == "cuda":
        return StaticRows(vlm, StepGraphs())
    _say_no_graphs(device)
    return StaticRows(vlm)


@cache
def _say_no_graphs(device: str) -> None:
    """Once, however many backends a job makes."""
    say(f"rollouts.graphs=true: no CUDA graphs on device {device}, every decoding step is run by Python")


__all__ = ["HFBackend", "decoding_loop"]
