"""Log-probabilities of given answers under a VLM, as its own vocabulary has them: for supervised training."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from agents.backends.attention import use_grouped_attention
from agents.backends.vlm import VLM, collate
from rl.engine.base import LogProbs
from rl.policies.base import Policy
from rl.policies.text import TextBatch
from rl.work import Work, text_work

CHUNK = 1024  # tokens whose logits exist at a time: at a vocabulary of 152,000 all of a batch would be gigabytes


class AnswerPolicy(Policy[TextBatch]):
    """Unlike `TextPolicy` it bans no tokens and knows no temperature: nothing was sampled. Sequences are padded, and every answer
    has its own copy of its prompt."""

    def __init__(self, vlm: VLM, frozen_vision: bool = False, gradient_checkpointing: bool = False) -> None:
        super().__init__()
        self.model = vlm.model
        self._vlm = [vlm]  # in a list: the VLM is no submodule, its model is already one
        if gradient_checkpointing:
            vlm.model.gradient_checkpointing_enable({"use_reentrant": False})
        use_grouped_attention(vlm.model)
        self.model.model.visual.requires_grad_(not frozen_vision)

    def forward(self, batch: TextBatch) -> LogProbs:
        """Logits exist only at the answers' positions."""
        prompts, answers = batch.prompts, batch.completions
        inputs = {k: v for k, v in collate(self._vlm[0], prompts, answers).items() if v is not None}
        hidden_BSD = self.model.model(**inputs, use_cache=False).last_hidden_state
        rows = torch.cat([torch.full((len(a),), b) for b, a in enumerate(answers)])
        columns = [torch.arange(len(p) - 1, len(p) - 1 + len(a)) for p, a in zip(prompts, answers, strict=True)]
        target_N = torch.tensor([t for a in answers for t in a], device=hidden_BSD.device)
        pieces = zip(hidden_BSD[rows, torch.cat(columns)].split(CHUNK), target_N.split(CHUNK), strict=True)
        chunks = [checkpoint(self._chunk, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]
        logp_N, greedy_N = (torch.cat(parts) for parts in zip(*chunks, strict=True))
        lengths = torch.tensor([len(a) for a in answers])
        mask_BT = (torch.arange(int(lengths.max()))[None] < lengths[:, None]).to(logp_N.device)
        logp_BT = logp_N.new_zeros(mask_BT.shape).masked_scatter(mask_BT, logp_N)
        return LogProbs(logp_BT, mask_BT, greedy_BT=torch.zeros_like(mask_BT).masked_scatter(mask_BT, greedy_N))

    def work(self, batch: TextBatch) -> Work:
        config = self.model.config.text_config.to_dict()
        return text_work(config, batch.prompts, batch.completions, shared=False)

    def _chunk(self, hidden_ND: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model.lm_head(hidden_ND).float()
        logp_N = logits.log_softmax(-1).gather(-1, target_N[:, None])[:, 0]
        return logp_N, logits.argmax(-1) == target_N


__all__ = ["AnswerPolicy"]
