"""Log-probabilities of completions under a VLM, exactly as they were sampled: same temperature, same banned tokens, fp32.

Two ways to the same numbers: with a shared prefix (`rl/prefix.py`, the default) or every completion with its own copy of
the prompt, padded, as a textbook would (the reference).

Suffixes: B sequences, T completion tokens, N completion tokens of the batch in one row, D hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from agents.backends.attention import need_packed_rows, use_grouped_attention
from agents.backends.base import ModelRequest
from agents.backends.packed import run_row
from agents.backends.pictures import PictureFeatures
from agents.backends.prompts import compute_features, encoder_outputs
from agents.backends.vlm import VLM, EncodedPrompt, collate
from common.errors import BadInput
from editors.onednn import use_onednn
from rl.config import TextPolicyConfig
from rl.engine.base import LogProbs
from rl.policies.base import Gather, Named, Policy
from rl.policies.lora import Lora
from rl.prefix import pack
from rl.work import Work, text_work

BANNED = -1e30  # added to a banned token's logit: its probability is 0, and 0 x log 0 stays a number


VISION = "vision"  # the part of the model that only batches with pictures pass
BLANK = ModelRequest(
    "", (Image.new("RGB", (32, 32)),)
)  # passes the vision tower for a rank that has no picture of its own


@dataclass(frozen=True)
class TextBatch:
    """B prompts with one completion each (the same prompt object may come several times: its pictures then pass once)."""

    prompts: Sequence[EncodedPrompt]
    completions: Sequence[Sequence[int]]


class TextPolicy(Policy[TextBatch]):
    """A trainable view of a VLM: `forward(TextBatch)` is everything a loss needs.

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
        shared_prefix: bool = True,
        lora: Lora | None = None,
        vision_cache_mib: int = 0,
        entropy_gradient: bool = False,
    ) -> None:
        """`temperature` must be that of the rollouts. `frozen_vision` keeps the vision tower as it is, so that each picture
        passes it once. `shared_prefix`: completions of the same prompt object share its pass and each other's beginnings. `lora`:
        adapters are trained instead of the weights, in the vision tower too unless it is frozen. `vision_cache_mib`: main
        memory for the features of pictures that may come again later in the run. `entropy_gradient`: the entropy is part of the
        loss; it is only reported otherwise."""
        super().__init__()
        if not temperature > 0:
            raise BadInput(
                f"the policy's temperature must be positive, not {temperature}: greedy choices have no log-probability"
            )
        self.model = vlm.model
        self._vlm = [vlm]  # in a list: the VLM is no submodule, its model is already one
        self.temperature, self.chunk_tokens = temperature, chunk_tokens
        self.frozen_vision, self.shared_prefix, self.lora = frozen_vision, shared_prefix, lora
        self.entropy_gradient = entropy_gradient
        ban = torch.zeros(vlm.model.config.text_config.vocab_size, device=vlm.model.device)
        ban[list(vlm.banned_ids)] = BANNED
        self.register_buffer("ban_V", ban, persistent=False)
        if lora is not None:
            lora.attach(self.model, vlm.family, vision=not frozen_vision)
        if frozen_vision:
            self.model.model.visual.requires_grad_(False)
        if vision_cache_mib:
            if not frozen_vision:
                raise BadInput("vision_cache_mib keeps what a frozen vision tower saw: set frozen_vision=true as well")
            vlm.prompts.pictures = PictureFeatures(vision_cache_mib)
        if gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
            self.model.train()  # transformers checkpoints in training mode only; these models have no dropout
        use_grouped_attention(vlm.model)
        use_onednn(vlm.model)
        if shared_prefix:
            need_packed_rows(vlm.model)

    @classmethod
    def of(cls, vlm: VLM, config: TextPolicyConfig, entropy_gradient: bool = False) -> TextPolicy:
        """As configured."""
        return cls(
            vlm,
            config.temperature,
            frozen_vision=config.frozen_vision,
            gradient_checkpointing=config.gradient_checkpointing,
            shared_prefix=config.shared_prefix,
            lora=Lora(config.lora.rank, config.lora.alpha) if config.lora.rank else None,
            vision_cache_mib=config.vision_cache_mib,
            entropy_gradient=entropy_gradient,
        )

    @property
    def vlm(self) -> VLM:
        return self._vlm[0]

    def encode(self, requests: Sequence[ModelRequest]) -> list[EncodedPrompt]:
        """The same tokens and pixels that the rollout engine sees."""
        return self.vlm.encode(requests)

    def forward(self, batch: TextBatch) -> LogProbs:
        """Raises BadInput for an empty batch or a completion without tokens."""
        prompts, completions = batch.prompts, batch.completions
        lengths = [len(c) for c in completions]
        if not lengths or min(lengths) == 0 or len(lengths) != len(prompts):
            raise BadInput(
                f"{len(prompts)} prompts, completions of lengths {lengths}: each prompt needs one of at least 1 token"
            )
        states = self._shared_states if self.shared_prefix else self._separate_states
        hidden_ND, ids_N, places_N = states(prompts, completions)
        logp_N, entropy_N = (x.index_select(0, places_N) for x in self._token_stats(hidden_ND, ids_N))
        mask_BT = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
        mask_BT = mask_BT.to(logp_N.device)
        zeros = logp_N.new_zeros(mask_BT.shape)
        return LogProbs(zeros.masked_scatter(mask_BT, logp_N), mask_BT, zeros.masked_scatter(mask_BT, entropy_N))

    def work(self, batch: TextBatch) -> Work:
        return text_work(self.text_config, batch.prompts, batch.completions, self.shared_prefix)

    @cached_property
    def text_config(self) -> dict[str, Any]:
        return self.model.config.text_config.to_dict()  # type: ignore[no-any-return]

    def export(self, gather: Gather) -> Named:
        """Adapters are merged into the matrices that they change."""
        return gather(lambda name: True) if self.lora is None else self.lora.export(gather)

    @property
    def trains_vision(self) -> bool:
        return any(p.requires_grad for p in self.model.model.visual.parameters())

    def share_frozen(self, source: TextPolicy) -> None:
        """A vision tower that never changes needs no copy, and its features no second pass."""
        if not source.trains_vision:
            self.model.model.visual = source.model.model.visual
            self.vlm.prompts = source.vlm.prompts

    def before_sharding(self) -> None:
        """The features of a frozen vision tower are remembered, so ranks do not call it equally often: it stays whole."""
        if not self.trains_vision:
            body: Any = self.model.model
            tower = body.visual
            del body.visual
            object.__setattr__(body, "visual", tower)

    def external_parameters(self) -> Sequence[nn.Parameter]:
        """The output layer is called once per chunk of tokens, as often as each rank needs."""
        return [self.model.lm_head.weight]

    @property
    def optional_parts(self) -> frozenset[str]:
        return frozenset({VISION} if self.trains_vision else ())

    def parts_of(self, batch: TextBatch) -> frozenset[str]:
        pictured = any(p.pixel_values is not None for p in batch.prompts)
        return self.optional_parts if pictured else frozenset()

    def pass_through(self, parts: frozenset[str]) -> Tensor:
        features = compute_features(self.vlm, self.encode([BLANK]))[0] if VISION in parts else ()
        return sum((f.sum() for f in features), start=torch.tensor(0.0)) * 0

    def _shared_states(
        self, prompts: Sequence[EncodedPrompt], completions: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states that predict each distinct token, those tokens, and which of them each completion token is, row
        after row: [M, D], [M], [N]."""
        members: dict[int, list[int]] = {}
        for b, prompt in enumerate(prompts):
            members.setdefault(id(prompt), []).append(b)
        order = [b for bs in members.values() for b in bs]
        distinct = [prompts[bs[0]] for bs in members.values()]
        device = self.model.device
        like = torch.empty(0, dtype=self.model.dtype, device=device)
        answers = [[completions[b] for b in bs] for bs in members.values()]
        row = pack(distinct, self.vlm.prompts.positions(distinct), answers, like)
        features = tuple(f for fs in self.vlm.prompts.features(distinct) for f in fs)
        hidden_ND = run_row(self.vlm, row.ids_N, row.positions_3N, features, row)
        paths = dict(zip(order, row.paths, strict=True))
        places_N = torch.cat([paths[b] for b in range(len(prompts))]).to(device)
        return hidden_ND.index_select(0, row.source_M.to(device)), row.target_M.to(device), places_N

    def _separate_states(
        self, prompts: Sequence[EncodedPrompt], completions: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states that predict each completion token, those tokens, and their own numbers: [N, D], [N], [N]."""
        body = self.model.model
        batch = collate(self.vlm, prompts, completions, "right")
        ids, mask = batch["input_ids"], batch["attention_mask"]
        positions, _ = body.get_rope_index(
            ids, batch["mm_token_type_ids"], batch["image_grid_thw"], attention_mask=mask
        )
        features = tuple(f for fs in self.vlm.prompts.features(prompts) for f in fs)
        pictures = encoder_outputs(self.vlm, features)
        hidden_BSD = body(
            input_ids=ids, attention_mask=mask, position_ids=positions, mm_encoder_outputs=pictures, use_cache=False
        ).last_hidden_state
        device = ids.device
        start = torch.tensor([len(p) for p in prompts], device=device)[:, None]
        end = start + torch.tensor([len(c) for c in completions], device=device)[:, None]
        column = torch.arange(ids.shape[1], device=device)[None]
        hidden_ND = hidden_BSD[(column >= start - 1) & (column < end - 1)]
        return hidden_ND, ids[(column >= start) & (column < end)], torch.arange(len(hidden_ND), device=device)

    def _token_stats(self, hidden_ND: Tensor, ids_N: Tensor) -> tuple[Tensor, Tensor]:
        if self.entropy_gradient and torch.is_grad_enabled():
            pieces = [
                checkpoint(self._chunk_with_entropy, *chunk, use_reentrant=False, preserve_rng_state=False)
                for chunk in zip(hidden_ND.split(self.chunk_tokens), ids_N.split(self.chunk_tokens), strict=True)
            ]
            return torch.cat([p for p, _ in pieces]), torch.cat([e for _, e in pieces])
        logp: list[Tensor] = []
        entropy: dict[int, Tensor] = {}
        for k, chunk in enumerate(zip(hidden_ND.split(self.chunk_tokens), ids_N.split(self.chunk_tokens), strict=True)):
            if torch.is_grad_enabled():
                piece = checkpoint(self._chunk, *chunk, k, entropy, use_reentrant=False, preserve_rng_state=False)
            else:
                piece = self._chunk(*chunk, k, entropy)
            logp.append(piece)
        return torch.cat(logp), torch.cat([entropy[k] for k in range(len(logp))])

    def _chunk(self, hidden_ND: Tensor, ids_N: Tensor, k: int, entropy: dict[int, Tensor]) -> Tensor:
        """log p of the tokens under softmax(logits / temperature) over those that may be sampled, in fp32. The entropy goes
        to `entropy[k]`, the first time: the backward pass, which comes here again, has no use for it."""
        log_p = self._log_p(hidden_ND)
        if k not in entropy:
            with torch.no_grad():
                entropy[k] = -(log_p.exp() * log_p).sum(-1)
        return log_p.gather(-1, ids_N[:, None])[:, 0]

    def _chunk_with_entropy(self, hidden_ND: Tensor, ids_N: Tensor) -> tuple[Tensor, Tensor]:
        """The same where the entropy has a gradient, too."""
        log_p = self._log_p(hidden_ND)
        return log_p.gather(-1, ids_N[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)

    def _log_p(self, hidden_ND: Tensor) -> Tensor:
        logits = self.model.lm_head(hidden_ND).float()
        if self.temperature != 1:
            logits = logits / self.temperature
        return logits.add_(self.ban_V).log_softmax(-1)


__all__ = ["TextBatch", "TextPolicy"]
