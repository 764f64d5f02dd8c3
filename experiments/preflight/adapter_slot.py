"""Memory of vLLM's slot for trained adapters (rollouts.adapters): beside every linear layer, matrices of the slot's own rank."""

from __future__ import annotations

from typing import Any

from agents.backends.adapter_ranks import slot_rank
from editors.costs import head_widths


def slot_bytes(config: Any, rank: int, vision: bool, element: int) -> float:
    """Of a Qwen2.5-VL or Qwen3-VL; 0 for a rank that no slot has. Every layer of the decoder has one, and with `vision` those of
    the tower and of what joins it to the decoder. Layers that vLLM joins (queries, keys and values of the decoder; gate and up)
    have matrices for each of their parts."""
    text, tower = config["text_config"], config["vision_config"]
    width, queries, keys = head_widths(text)
    inner = text["intermediate_size"]
    layer = (3 * width + queries + 2 * keys) + (queries + width) + 2 * (width + inner) + (inner + width)
    numbers = text["num_hidden_layers"] * layer
    if vision:
        width, inner = tower["hidden_size"], tower["intermediate_size"]
        gated = "fullatt_block_indexes" in tower  # Qwen2.5-VL's; Qwen3-VL's MLP has two layers, and further mergers
        block = (width + 3 * width) + 2 * width + (3 if gated else 2) * (width + inner)
        merged = width * tower["spatial_merge_size"] ** 2
        mergers = 1 + len(tower.get("deepstack_visual_indexes", ()))
        numbers += tower["depth"] * block + mergers * (2 * merged + merged + tower["out_hidden_size"])
    return float(numbers * (slot_rank(rank) or 0) * element)


def slot_of(config: Any, algo: Any, rollouts: Any, element: int) -> float:
    """Of a training on a GPU: 0 without adapters, and where they are merged, as they are in float32."""
    if rollouts.name not in ("vllm", "auto") or not algo.lora.rank or element == 4:
        return 0.0
    if getattr(rollouts, "adapters", "merged") == "merged":  # a part of one's own may have no such key
        return 0.0
    return slot_bytes(config, algo.lora.rank, not algo.frozen_vision, element)


__all__ = ["slot_bytes", "slot_of"]
