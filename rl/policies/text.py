"""Log-probabilities of completions under a VLM, exactly as they were sampled: same temperature, same banned tokens, fp32.

Two ways to the same numbers: with a shared prefix (`rl/prefix.py`, the default) or every completion with its own copy of
the prompt, padded, as a textbook would (the reference).

Suffixes: B sequences, T completion tokens, M distinct completion tokens of the batch, D hidden width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from agents.backends.attention import need_packed_rows, use_grouped_attention
from agents.backends.base import ModelRequest
from agents.backends.fused import use_fused
from agents.backends.packed import run_row
from agents.backends.pictures import PictureFeatures
from agents.backends.prompts import compute_features, encoder_outputs
from agents.backends.vlm import VLM, EncodedPrompt, collate
from common.errors import BadInput
from editors.onednn import use_onednn
from rl.attention.forms import chosen_form
from rl.config import TextPolicyConfig
from rl.engine.base import LogProbs
from rl.policies.base import Gather, Named, Policy
from rl.policies.chunks import CHUNK_TOKENS, KEEP_MIB
from rl.policies.lora import Lora
from rl.policies.text_batch import TextBatch
from rl.policies.token_stats import token_stats
from rl.work import Work, text_work

BANNED = -1e30  # added to a banned token's logit: its probability is 0, and 0 x log 0 stays a number


VISION = "vision"  # the part of the model that only batches with pictures pass
BLANK = ModelRequest(
    "", (Image.new("RGB", (32, 32)),)
)  # passes the vision tower for a rank that has no picture of its own


class TextPolicy(Policy[TextBatch]):
    """A trainable view of a VLM: `forward(TextBatch)` is everything a loss needs.

    Only hidden states at completion positions reach the output layer, `chunk_tokens` at a time; of tokens x vocabulary at most
    `keep_mib` outlive their chunk (rl/policies/token_stats.py).
    """

    def __init__(
        self,
        vlm: VLM,
        temperature: float = 1.0,
        chunk_tokens: int = CHUNK_TOKENS,
        frozen_vision: bool = False,
        gradient_checkpointing: bool = False,
        shared_prefix: bool = True,
        lora: Lora | None = None,
        vision_cache_mib: int = 0,
        entropy_gradient: bool = False,
        attention: str = "auto",
        fused: str = "auto",
        keep_mib: int = KEEP_MIB,
        pad_rows: bool | None = None,
    ) -> None:
        """`temperature` must be that of the rollouts. `frozen_vision` keeps the vision tower as it is, so that each picture
        passes it once. `shared_prefix`: completions of the same prompt object share its pass and each other's beginnings. `lora`:
        adapters are trained instead of the weights, in the vision tower too unless it is frozen. `vision_cache_mib`: main
        memory for the features of pictures that may come again later in the run. `entropy_gradient`: the entropy is part of the
        loss; it is only reported otherwise. `attention`: the form of attention over shared prefixes (rl/attention/forms.py).
        `fused`: liger-kernel's norms and activations (agents/backends/fused.py). `pad_rows`: to few
        lengths, for which kernels are compiled; None: on CUDA."""
        super().__init__()
        if not temperature > 0:
            raise BadInput(
                f"the policy's temperature must be positive, not {temperature}: greedy choices have no log-probability"
            )
        self.model = vlm.model
        self._vlm = [vlm]  # in a list: the VLM is no submodule, its model is already one
        self.temperature, self.chunk_tokens = temperature, chunk_tokens
        self.frozen_vision, self.shared_prefix, self.lora = frozen_vision, shared_prefix, lora
        self.entropy_gradient, self.keep_mib = entropy_gradient, keep_mib
        self.form = chosen_form(attention, vlm.model.device)
        self.pad_rows = vlm.model.device.type == "cuda" if pad_rows is None else pad_rows
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
        use_fused(vlm.model, fused)
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
            attention=config.attention,
            fused=config.fused,
        )

    @property
    def vlm(self) -> VLM:
        return self._vlm[0]

    def encode(self, requests: Sequence[ModelRequest]) -> list[EncodedPrompt]:
        """The same tokens and pixels that the rollout engine sees."""
        return self.vlm.encode(requests)

    def forward(self, batch: TextBatch) -> LogProbs:
        """Raises BadInput for an empty batch or a completion without tokens."""
        batch.check()
        states = self._shared_states if self.shared_prefix else self._separate_states
        hidden_MD, ids_M, place_BT, mask_BT = states(batch)
        stats = token_stats(
            hidden_MD,
            self.model.lm_head.weight,
            ids_M,
            self.ban_V,
            self.temperature,
            self.chunk_tokens,
            self.keep_mib << 20,
            self.entropy_gradient,
        )
        logp_BT, entropy_BT = (
            torch.where(mask_BT, x_M.index_select(0, place_BT.flatten()).view(place_BT.shape), 0.0) for x_M in stats
        )
        return LogProbs(logp_BT, mask_BT, entropy_BT)

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

    def _shared_states(self, batch: TextBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Hidden states that predict each distinct token, those tokens, which of them each completion token is, and the mask of
        completion tokens: [M, D], [M], [B, T], [B, T]. Nothing here waits for the device."""
        row = batch.packed_on(self.vlm, self.form, self.pad_rows)
        features = tuple(f for fs in self.vlm.prompts.features(batch.order[0]) for f in fs)
        own = row.own
        hidden_ND = run_row(self.vlm, own["ids"], own["positions"], features, row.layout(), own["pictures"])
        return hidden_ND.index_select(0, own["source"]), own["target"], own["place"], own["mask"]

    def _separate_states(self, batch: TextBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The same without sharing, where each completion token is a target of its own. The reference: simple, not fast."""
        prompts, completions, body = batch.prompts, batch.completions, self.model.model
        inputs = collate(self.vlm, prompts, completions, "right")
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        positions, _ = body.get_rope_index(
            ids, inputs["mm_token_type_ids"], inputs["image_grid_thw"], attention_mask=mask
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
        mask_BT = batch.mask_BT.to(device)
        place_BT = (mask_BT.flatten().cumsum(0) - 1).clamp(min=0).view_as(mask_BT)
        return hidden_ND, ids[(column >= start) & (column < end)], place_BT, mask_BT


__all__ = ["TextBatch", "TextPolicy"]
