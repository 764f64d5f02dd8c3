"""Log-probabilities of completions under a VLM, exactly as they were sampled: same temperature, same banned tokens, fp32.

Suffixes: B sequences, T completion tokens, N completion tokens of the batch in one row, D hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from agents.backends.attention import use_grouped_attention
from agents.backends.base import Request
from agents.backends.vlm import VLM, Encoded, collate
from benchmarks.errors import BadInput


@dataclass(frozen=True)
class TokenStats:
    """logp_BT (with gradient where it was asked for), entropy_BT in nats (detached), mask_BT: True on real tokens.
    Entries outside the mask are 0."""

    logp_BT: Tensor
    entropy_BT: Tensor
    mask_BT: Tensor


class TextPolicy(nn.Module):
    """A trainable view of a VLM: `forward(prompts, completions)` is everything a loss needs.

    Only hidden states at completion positions reach the output layer, `chunk_tokens` at a time and recomputed in the
    backward pass, so no fp32 tensor of tokens x vocabulary outlives its chunk.
    """

    def __init__(
        self,
        vlm: VLM,
        temperature: float = 1.0,
        chunk_tokens: int = 1024,
        frozen_vision: bool = False,
        gradient_checkpointing: bool = False,
    ) -> None:
        """`temperature` must be that of the rollouts. `frozen_vision` keeps the vision tower as it is."""
        super().__init__()
        if not temperature > 0:
            raise BadInput(
                f"the policy's temperature must be positive, not {temperature}: greedy choices have no log-probability"
            )
        self.model = vlm.model
        self._vlm = [vlm]  # in a list: the VLM is no submodule, its model is already one
        self.temperature, self.chunk_tokens, self.frozen_vision = temperature, chunk_tokens, frozen_vision
        banned = torch.zeros(vlm.model.config.text_config.vocab_size, dtype=torch.bool, device=vlm.model.device)
        banned[list(vlm.banned_ids)] = True
        self.register_buffer("banned_V", banned, persistent=False)
        if frozen_vision:
            self.model.model.visual.requires_grad_(False)
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
            self.model.train()  # transformers checkpoints in training mode only; these models have no dropout
        use_grouped_attention(vlm.model)

    @property
    def vlm(self) -> VLM:
        return self._vlm[0]

    def encode(self, requests: Sequence[Request]) -> list[Encoded]:
        """The same tokens and pixels that the rollout engine sees."""
        return self.vlm.encode(requests)

    def forward(self, prompts: Sequence[Encoded], completions: Sequence[Sequence[int]]) -> TokenStats:
        """One prompt per completion (the same object may come several times: its pictures then pass once).

        Raises BadInput for an empty completion list or a completion without tokens.
        """
        lengths = [len(c) for c in completions]
        if not lengths or min(lengths) == 0 or len(lengths) != len(prompts):
            raise BadInput(
                f"{len(prompts)} prompts, completions of lengths {lengths}: each prompt needs one of at least 1 token"
            )
        hidden_ND, ids_N = self._completion_states(prompts, completions)
        logp_N, entropy_N = self._token_stats(hidden_ND, ids_N)
        mask_BT = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        mask_BT = mask_BT.to(logp_N.device)
        zeros = logp_N.new_zeros(mask_BT.shape)
        return TokenStats(zeros.masked_scatter(mask_BT, logp_N), zeros.masked_scatter(mask_BT, entropy_N), mask_BT)

    def _completion_states(
        self, prompts: Sequence[Encoded], completions: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """Hidden states that predict each completion token, and those tokens, row after row: [N, D], [N]."""
        body = self.model.model
        batch = collate(self.vlm, prompts, completions, "right")
        ids, mask = batch["input_ids"], batch["attention_mask"]
        positions, _ = body.get_rope_index(
            ids, batch["mm_token_type_ids"], batch["image_grid_thw"], attention_mask=mask
        )
        features = self._image_features(prompts)
        pictures = None if features is None else {"image": SimpleNamespace(pooler_output=features)}
        hidden_BSD = body(
            input_ids=ids, attention_mask=mask, position_ids=positions, mm_encoder_outputs=pictures, use_cache=False
        ).last_hidden_state
        device = ids.device
        start = torch.tensor([len(p) for p in prompts], device=device)[:, None]
        end = start + torch.tensor([len(c) for c in completions], device=device)[:, None]
        column = torch.arange(ids.shape[1], device=device)[None]
        return hidden_BSD[(column >= start - 1) & (column < end - 1)], ids[(column >= start) & (column < end)]

    def _image_features(self, prompts: Sequence[Encoded]) -> tuple[Tensor, ...] | None:
        """Features of every image in row order; each distinct prompt is encoded once. The one place where cached features
        of a frozen tower would come in."""
        distinct = {id(p): p for p in prompts if p.pixel_values is not None}
        if not distinct:
            return None
        device = self.model.device
        pixels = torch.cat([p.pixel_values for p in distinct.values()]).to(device)
        grids = torch.cat([p.grid_thw for p in distinct.values()]).to(device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen_vision):
            flat = iter(self.model.model.get_image_features(pixels, grids, return_dict=True).pooler_output)
        per_prompt = {
            key: [next(flat) for _ in range(len(p.grid_thw) if p.grid_thw is not None else 0)]
            for key, p in distinct.items()
        }
        return tuple(f for p in prompts if p.pixel_values is not None for f in per_prompt[id(p)])

    def _token_stats(self, hidden_ND: Tensor, ids_N: Tensor) -> tuple[Tensor, Tensor]:
        pieces = []
        for hidden, ids in zip(hidden_ND.split(self.chunk_tokens), ids_N.split(self.chunk_tokens), strict=True):
            if torch.is_grad_enabled():
                pieces.append(checkpoint(self._chunk_stats, hidden, ids, use_reentrant=False, preserve_rng_state=False))
            else:
                pieces.append(self._chunk_stats(hidden, ids))
        logp, entropy = zip(*pieces, strict=True)
        return torch.cat(logp), torch.cat(entropy)

    def _chunk_stats(self, hidden_ND: Tensor, ids_N: Tensor) -> tuple[Tensor, Tensor]:
        """log p and entropy of softmax(logits / temperature) over the tokens that may be sampled, in fp32."""
        logits = self.model.lm_head(hidden_ND).float()
        if self.temperature != 1:
            logits = logits / self.temperature
        log_p = logits.masked_fill(self.banned_V, -torch.inf).log_softmax(-1)
        with torch.no_grad():
            entropy = -(log_p.exp() * log_p.masked_fill(self.banned_V, 0.0)).sum(-1)
        return log_p.gather(-1, ids_N[:, None])[:, 0], entropy


__all__ = ["TextPolicy", "TokenStats"]
