"""The time of one GRPO step of a decomposer on one GPU: what the hardware allows at best, and what to expect.

Limits are FLOPs over the peak and bytes over the memory's speed. What is expected divides them by shares that were measured once,
on an H100 with Qwen2.5-VL-3B's shapes, 4 prompts x 8 answers of 1,400 + 200 tokens in bfloat16; other sizes are assumed to reach
the same. Nothing is known yet of vLLM's decoding and of rollouts=hf with CUDA graphs, so that their shares are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.gpus import GPU
from editors.costs import attention, head_widths, kv_cache, language_flops, linear, vision_flops

# of the data sheet's peak, in the update: 27.8 % and 42.3 % of 791 TFLOP/s, which a large matrix product reached, of 989
TRAINING_SHARED, TRAINING_SEPARATE = 0.278 * 791 / 989, 0.423 * 791 / 989
HF_LAYER_S = 13.6 / (
    200 * 36
)  # seconds of a layer for one token of all answers with rollouts=hf rollouts.graphs=false: Python, whatever the width
HF_GRAPHS_DECODING = 0.25  # of the memory's speed, with CUDA graphs: assumed, not measured
HF_GRAPH_LAYER_S = (
    40 * 2.5e-6
)  # a layer takes no less in a graph: about 40 kernels of 2.5 microseconds; assumed, not measured
VLLM_DECODING = 0.5  # of the memory's speed: assumed, not measured
ADAM_BYTES = 28  # of a float32 weight: itself, its gradient and two moments are read, three of them written


@dataclass(frozen=True)
class StepShape:
    """A step's prompts, the answers of each, and their lengths in tokens; `picture` tokens are part of a prompt."""

    prompts: int
    answers: int
    prompt: int
    answer: int
    picture: int = 0


def pass_flops(config: Mapping[str, Any], shape: StepShape, shared: bool) -> float:
    """One forward of all answers. `shared`: a prompt passes once for all of its answers."""
    c = config["text_config"]
    if not shared:
        return shape.prompts * shape.answers * language_flops(c, shape.prompt + shape.answer, shape.answer)
    width, queries, keys = head_widths(c)
    tokens = shape.prompt + shape.answers * shape.answer
    seen = shape.prompt**2 + shape.answers * shape.answer * (shape.prompt + shape.answer)  # pairs of tokens
    layer = (
        linear(tokens, width, 2 * queries + 2 * keys)
        + 3 * linear(tokens, width, c["intermediate_size"])
        + attention(seen, 1, queries)
    )
    head = linear(shape.answers * shape.answer, width, c["vocab_size"])
    return shape.prompts * (c["num_hidden_layers"] * layer + head)


def decoding_bytes(config: Mapping[str, Any], shape: StepShape, element: int, shared: bool = True) -> float:
    """Bytes read for one token of every answer, half of the answers' keys and values being there on average. `shared`: those of a
    prompt are read once."""
    c = config["text_config"]
    width, queries, keys = head_widths(c)
    layer = width * (2 * queries + 2 * keys) + 3 * width * c["intermediate_size"]
    weights = (c["num_hidden_layers"] * layer + width * c["vocab_size"]) * element
    trunks = shape.prompts * (1 if shared else shape.answers)
    tokens = trunks * shape.prompt + shape.prompts * shape.answers * shape.answer / 2
    return weights + kv_cache(config, 1, element) * tokens


def picture_flops(config: Mapping[str, Any], shape: StepShape) -> float:
    """The vision tower over the step's pictures, once; 0 for a tower without a formula."""
    vision = config["vision_config"]
    if not shape.picture or "fullatt_block_indexes" not in vision:
        return 0.0
    side = max(1, round(shape.picture**0.5)) * vision["spatial_merge_size"]
    return shape.prompts * vision_flops(vision, (side, side))


def limit_s(
    config: Mapping[str, Any], shape: StepShape, gpu: GPU, element: int, parameters: float, passes: float = 3
) -> dict[str, float]:
    """Seconds that no implementation goes below, by part. `passes`: forwards' worth of the update, 3 for forward and backward."""
    peak = gpu.peak("float32" if element == 4 else "bfloat16")
    prompt = shape.prompts * language_flops(config["text_config"], shape.prompt, 1)
    return {
        "update": passes * pass_flops(config, shape, shared=True) / peak,
        "prompts of rollouts": prompt / peak,
        "decoding": shape.answer * decoding_bytes(config, shape, element) / gpu.bandwidth,
        "pictures": picture_flops(config, shape) / peak,
        "optimizer": ADAM_BYTES * parameters / gpu.bandwidth,
    }


def expected_s(
    config: Mapping[str, Any], shape: StepShape, gpu: GPU, element: int, parameters: float,
    *, shared: bool = True, vllm: bool = False, graphs: bool = True, batch: int = 128, passes: float = 3,
) -> dict[str, float]:  # fmt: skip
    """Seconds to expect, by the same parts. `batch`: answers that rollouts=hf decodes together; `graphs`: whether it replays
    CUDA graphs."""
    limits = limit_s(config, shape, gpu, element, parameters, passes)
    peak = gpu.peak("float32" if element == 4 else "bfloat16")
    share = TRAINING_SHARED if shared else TRAINING_SEPARATE
    if vllm:
        decoding = limits["decoding"] / VLLM_DECODING
    else:
        rounds = -(-shape.prompts * shape.answers // batch)
        layers = rounds * shape.answer * config["text_config"]["num_hidden_layers"]
        if graphs:
            decoding = max(limits["decoding"] / HF_GRAPHS_DECODING, layers * HF_GRAPH_LAYER_S)
        else:
            decoding = max(limits["decoding"], layers * HF_LAYER_S)
    return limits | {
        "update": passes * pass_flops(config, shape, shared) / (peak * share),
        "prompts of rollouts": limits["prompts of rollouts"] / TRAINING_SEPARATE,
        "decoding": decoding,
        "pictures": limits["pictures"] / TRAINING_SEPARATE,
    }


__all__ = ["StepShape", "decoding_bytes", "expected_s", "limit_s", "pass_flops", "picture_flops"]
