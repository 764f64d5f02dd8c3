"""Rollouts with the Hugging Face model's own forward: the reference engine that every other one must agree with.

The decoding loop is ours, `generate` costs several milliseconds of Python per token at small sizes: prompts of like length
are batched, each prompt's image and text pass once for its n samples, and finished rows leave the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from agents.backends.attention import ReservedCache, use_grouped_attention
from agents.backends.base import Completion, Request, Sampling, SyncReport, fingerprint
from agents.backends.vlm import VLM, Encoded, collate
from benchmarks.errors import BadInput, RunFailed

DROP_SHARE = 0.2  # finished rows leave the cache once they are this share: a copy of the cache costs about a step


class HFBackend:
    """`Backend` over a VLM that may be the very module under training (then `sync` proves that it is)."""

    def __init__(self, vlm: VLM, max_sequences: int = 128) -> None:
        """`max_sequences` rows are decoded together; more is faster and takes more memory for keys and values."""
        if max_sequences < 1:
            raise BadInput(f"max_sequences must be at least 1, not {max_sequences}")
        self.vlm = vlm
        self.max_sequences = max_sequences
        use_grouped_attention(vlm.model)

    @torch.no_grad()
    def generate(self, requests: Sequence[Request], n: int, sampling: Sampling) -> list[list[Completion]]:
        """n completions of each request, [P][n]. Draws depend on (seed, request index, sample index, position) only,
        so neither batching nor the process's random state changes them."""
        if n < 1:
            raise BadInput(f"n must be at least 1, not {n}")
        prompts = self.vlm.encode(requests)
        generator = torch.Generator().manual_seed(sampling.seed)
        uniform_PnT = torch.rand(len(prompts), n, sampling.max_new_tokens, generator=generator, dtype=torch.float64)
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        width = max(1, self.max_sequences // n)
        result: list[list[Completion]] = [[] for _ in prompts]
        was_training = self.vlm.model.training
        self.vlm.model.eval()
        try:
            for start in range(0, len(order), width):
                chosen = order[start : start + width]
                rows = self._decode([prompts[i] for i in chosen], n, sampling, uniform_PnT[chosen].flatten(0, 1))
                for k, i in enumerate(chosen):
                    result[i] = rows[k * n : (k + 1) * n]
        finally:
            self.vlm.model.train(was_training)
        return result

    def _decode(self, prompts: Sequence[Encoded], n: int, sampling: Sampling, uniform_BT: Tensor) -> list[Completion]:
        """Prefill each prompt once, then one token per step for its n rows."""
        vlm, body = self.vlm, self.vlm.model.model
        batch = collate(vlm, prompts, None, "left")
        mask = batch["attention_mask"]
        positions, deltas = body.get_rope_index(
            batch["input_ids"], batch["mm_token_type_ids"], batch["image_grid_thw"], attention_mask=mask
        )
        cache = ReservedCache(vlm.model, mask.shape[1] + sampling.max_new_tokens)
        out = body(
            input_ids=batch["input_ids"],
            attention_mask=mask,
            position_ids=positions,
            pixel_values=batch["pixel_values"],
            image_grid_thw=batch["image_grid_thw"],
            past_key_values=cache,
            use_cache=True,
        )
        cache.batch_repeat_interleave(n)
        hidden = out.last_hidden_state[:, -1].repeat_interleave(n, 0)
        position = (mask.sum(1, keepdim=True) + deltas.to(mask.device)).repeat_interleave(
            n, 0
        )  # of the next token [B, 1]
        mask = mask.repeat_interleave(n, 0)

        B, T = len(prompts) * n, sampling.max_new_tokens
        tokens_BT = torch.full((B, T), vlm.pad_id, dtype=torch.long)
        logp_BT = torch.zeros((B, T), dtype=torch.float32)
        live = torch.arange(B)  # which row of the result each row of the batch writes
        done = torch.zeros(B, dtype=torch.bool)
        uniform_BT = uniform_BT.to(hidden.device)
        for t in range(T):
            log_p = self._distribution(hidden, sampling)
            chosen = log_p.argmax(-1) if sampling.temperature == 0 else _invert_cdf(log_p, uniform_BT[live, t])
            token = chosen.cpu()
            open_rows = live[~done]
            tokens_BT[open_rows, t] = token[~done]
            logp_BT[open_rows, t] = log_p.gather(-1, chosen[:, None])[:, 0].cpu()[~done]
            done |= token == vlm.eos_id
            if t + 1 == T or bool(done.all()):
                break
            if done.float().mean() >= DROP_SHARE:
                keep = (~done).nonzero()[:, 0]
                live, done = live[keep], done[keep]
                keep = keep.to(mask.device)
                cache.batch_select_indices(keep)
                mask, position, chosen = mask[keep], position[keep], chosen[keep]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], 1)
            hidden = body(
                input_ids=chosen[:, None],
                attention_mask=mask,
                position_ids=position.expand(3, -1, -1),
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state[:, -1]
            position = position + 1
        return self._completions(tokens_BT, logp_BT)

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
        """Copy each parameter once, or find that it is the model's own; then compare checksums of what was sent and
        what is held. A tied alias (`lm_head.weight`) may come too; it must carry the same values.

        Raises RunFailed naming the parameters that were unknown, doubled, missing or of another shape.
        """
        mine = dict(self.vlm.model.named_parameters(remove_duplicate=False))
        owner = {p.data_ptr(): name for name, p in self.vlm.model.named_parameters()}
        written: set[str] = set()
        sent: list[tuple[str, Tensor]] = []
        for name, value in named_parameters:
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
            sent.append((key, value.to(target.dtype)))
        if missing := sorted(set(owner.values()) - written):
            raise RunFailed(f"weight sync: {len(missing)} parameters were never sent, first {missing[0]}")
        report = fingerprint(self.vlm.model.named_parameters())
        if report != (other := fingerprint(sent)):
            raise RunFailed(f"weight sync: what is held ({report}) is not what was sent ({other})")
        return report


def _invert_cdf(log_p_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """One draw per row by inverting the cumulative distribution in fp64; a token of probability 0 is never drawn."""
    cdf = log_p_BV.double().exp().cumsum(-1)
    total = cdf[:, -1]
    mark = torch.minimum(uniform_B * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cdf, mark[:, None], right=True)[:, 0]


__all__ = ["HFBackend"]
