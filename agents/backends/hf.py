"""Rollouts in the training process: the reference engine with which every other one must agree.

The decoding loop is ours, transformers' `generate` costs several milliseconds of Python per token at small sizes. Prompts
of similar length are batched; each prompt's image and text are computed once, and so is every prefix that several of its
samples share (`agents/backends/decode.py`); finished samples leave the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from agents.backends.attention import need_packed_rows, use_grouped_attention
from agents.backends.base import Completion, ModelRequest, Sampling, SyncReport, fingerprint
from agents.backends.decode import Decoder, split_rows
from agents.backends.token_scores import single_tokens
from agents.backends.vlm import VLM, EncodedPrompt
from common.errors import BadInput, RunFailed
from editors.onednn import use_onednn


class HFBackend:
    """A `Backend` over a VLM, which may be the module under training itself (`sync` then checks that it is)."""

    def __init__(self, vlm: VLM, max_sequences: int = 128) -> None:
        """`max_sequences` samples are decoded together; more is faster and takes more memory for keys and values.
        Raises BadInput for a model whose attention is not sdpa or has sliding windows."""
        if max_sequences < 1:
            raise BadInput(f"max_sequences must be at least 1, not {max_sequences}")
        self.vlm = vlm
        self.max_sequences = max_sequences
        use_grouped_attention(vlm.model)
        use_onednn(vlm.model)
        need_packed_rows(vlm.model)

    @torch.no_grad()
    def generate(self, requests: Sequence[ModelRequest], n: int, sampling: Sampling) -> list[list[Completion]]:
        """n completions of each request, [P][n]. Draws depend on (seed, request index, sample index, position) only,
        so neither batching nor the process's random state changes them."""
        if n < 1:
            raise BadInput(f"n must be at least 1, not {n}")
        prompts = self.vlm.encode(requests)
        generator = torch.Generator().manual_seed(sampling.seed)
        rows = list(range(len(prompts)) if sampling.rows is None else sampling.rows)
        uniform_PnT = torch.rand(
            max(rows, default=-1) + 1, n, sampling.max_new_tokens, generator=generator, dtype=torch.float64
        )[rows]
        result: list[list[Completion]] = [[] for _ in prompts]
        with self._evaluating():
            for chosen in self._batches(prompts, n):
                answers = self._decode([prompts[i] for i in chosen], n, sampling, uniform_PnT[chosen])
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
                first_PD = Decoder(self.vlm, [prompts[i] for i in chosen], 1, len(chosen)).first_PD
                scores_PK[chosen] = self._distribution(first_PD, Sampling(1))[:, ids].cpu()
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

    def _decode(
        self, prompts: Sequence[EncodedPrompt], n: int, sampling: Sampling, uniform_PnT: Tensor
    ) -> list[Completion]:
        """n samples of each prompt, sample after sample; a row of the decoder serves all that are still alike."""
        vlm, P, T = self.vlm, len(prompts), sampling.max_new_tokens
        decoder = Decoder(vlm, prompts, T, P * n)
        device = decoder.first_PD.device
        uniform_PnT = uniform_PnT.to(device)
        tokens_ST = torch.full((P * n, T), vlm.pad_id, dtype=torch.long)
        logp_ST = torch.zeros((P * n, T), dtype=torch.float32)
        live = list(range(P * n))  # samples without an end token yet
        row_S = [s // n for s in live]  # and the row of each
        prompt_R = torch.arange(P, device=device)
        hidden_RD = decoder.first_PD
        for t in range(T):
            log_p_RV = self._distribution(hidden_RD, sampling)
            row, index = torch.tensor(row_S, device=device), torch.tensor(live)
            if sampling.temperature == 0:
                chosen = log_p_RV.argmax(-1)[row]
            else:  # each row draws for all samples of its prompt; a sample takes its own draw from its own row
                drawn_Rn = _invert_cdf(log_p_RV, uniform_PnT[prompt_R, :, t])
                chosen = drawn_Rn[row, index.to(device) % n]
            tokens_ST[index, t] = chosen.cpu()
            logp_ST[index, t] = log_p_RV[row, chosen].cpu()
            going = [k for k, token in enumerate(chosen.tolist()) if token != vlm.eos_id]
            if t + 1 == T or not going:
                break
            live = [live[k] for k in going]
            row_S, ids, source, target = split_rows([row_S[k] for k in going], chosen[going].tolist())
            decoder.rows.copy(source, target)
            prompt_R = _moved(prompt_R, source, target, len(ids))
            hidden_RD = decoder.step(torch.tensor(ids, device=device), prompt_R)
        return self._completions(tokens_ST, logp_ST)

    def _distribution(self, hidden_BD: Tensor, sampling: Sampling) -> Tensor:
        """Log-probabilities [B, V] that are sampled from: fp32, temperature, bans, then top-k and top-p."""
        logits = self.vlm.model.lm_head(hidden_BD).float()
        if sampling.temperature > 0:
            logits = logits / sampling.temperature
        logits[:, list(self.vlm.banned_ids)] = -torch.inf
        if sampling.top_k != -1 and sampling.top_k < logits.shape[-1]:
            least = logits.topk(sampling.top_k, dim=-1).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if sampling.top_p < 1:
            ranked, index = logits.softmax(-1).sort(-1, descending=True)
            outside = ranked.cumsum(-1) - ranked >= sampling.top_p  # the token that crosses the mark stays
            logits = logits.masked_fill(torch.zeros_like(outside).scatter(-1, index, outside), -torch.inf)
        return logits.log_softmax(-1)

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


def _invert_cdf(log_p_RV: Tensor, uniform_Rn: Tensor) -> Tensor:
    """n draws per row by inverting the cumulative distribution in fp64; a token of probability 0 is never drawn."""
    cdf = log_p_RV.double().exp().cumsum(-1)
    total = cdf[:, -1:]
    mark = torch.minimum(uniform_Rn * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cdf, mark, right=True)


def _moved(prompt_R: Tensor, source: Sequence[int], target: Sequence[int], rows: int) -> Tensor:
    """The prompt of each row after `split_rows`."""
    moved = torch.cat([prompt_R, prompt_R.new_zeros(max(0, rows - len(prompt_R)))])
    moved[list(target)] = prompt_R[list(source)]
    return moved[:rows]


__all__ = ["HFBackend"]
