"""Memory of a policy's output layer in the update, beside that of its other layers."""

from __future__ import annotations

from typing import Any

from editors.costs import head_widths, logits_bytes
from rl.policies.chunks import CHUNK_TOKENS, KEEP_MIB, kept_bytes


def output_layer_bytes(
    config: Any, tokens: int, element: int, frozen: bool = False, keep_mib: int = KEEP_MIB
) -> dict[str, float]:
    """For a micro-batch of so many answer tokens: the logits of one chunk while it is computed, and what stays for the backward
    pass. That is logits, or with a `frozen` layer one vector of the hidden width for each token."""
    text = config["text_config"]
    if frozen:
        kept = float(tokens * head_widths(text)[0] * element)
    else:
        kept = kept_bytes(tokens, text["vocab_size"] * element, keep_mib)
    return {"one chunk": logits_bytes(config, min(tokens, CHUNK_TOKENS)), "kept": kept}


def is_frozen(algo: Any) -> bool:
    """Whether the output layer is not trained, and the entropy is no part of the loss, so that no logits are kept."""
    return algo.lora.rank > 0 and not getattr(algo, "entropy_coef", 0.0) > 0


__all__ = ["is_frozen", "output_layer_bytes"]
