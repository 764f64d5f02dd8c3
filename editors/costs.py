"""FLOPs and bytes of an edit from model configurations alone: pure arithmetic, no weights, no torch.

A multiply-add counts as two, and what counts is what `torch.utils.flop_counter` counts: matrix products, convolutions and
attention (all of it, also the half that a causal mask throws away). Configurations are those in the config.json of
diffusers and transformers. The VAEs are in editors/vae_costs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import BadInput

Config = Mapping[str, Any]
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
TIME_CHANNELS = 256  # sinusoids of a time step, the same in both families


def linear(rows: float, width_in: float, width_out: float) -> float:
    """FLOPs of `rows` vectors through a matrix."""
    return 2 * rows * width_in * width_out


def attention(queries: float, keys: float, width: float) -> float:
    """FLOPs of QKᵀ and of the weighted sum of values over all heads, `width` = heads x head width."""
    return 4 * queries * keys * width


def transformer_flops(kind: str, config: Config, image: int, text: int) -> float:
    """One forward of the denoiser for one picture: `image` tokens (result and reference) and `text` tokens.

    Raises BadInput for a class that has no formula here.
    """
    match kind:
        case "QwenImageTransformer2DModel":
            return _qwen_image(config, image, text)
        case "FluxTransformer2DModel":
            return _flux(config, image, text)
    raise BadInput(f"no formula for a transformer of class {kind}; editors/costs.py knows Qwen-Image and FLUX")


def text_encoder_flops(
    kind: str, config: Config, tokens: int, grid: tuple[int, int] | None = None, logits: int = 1
) -> float:
    """One forward of a text encoder over one prompt of `tokens`, its picture's included; `grid` is the picture's height
    and width in patches of the vision tower, `logits` for how many tokens the vocabulary's head is computed. Raises
    BadInput for a class that has no formula here."""
    match kind:
        case "Qwen2_5_VLForConditionalGeneration":
            text, vision = config["text_config"], config["vision_config"]
            return language_flops(text, tokens, logits) + (vision_flops(vision, grid) if grid else 0.0)
        case "T5EncoderModel":
            return _t5(config, tokens)
        case "CLIPTextModel":
            return _clip(config, tokens)
    raise BadInput(f"no formula for a text encoder of class {kind}; editors/costs.py knows Qwen2.5-VL, T5 and CLIP")


def _qwen_image(c: Config, image: int, text: int) -> float:
    """Dual-stream blocks (arXiv 2508.02324, section 2.4): both streams have their own projections, MLP and modulation and
    attend to each other."""
    width = c["num_attention_heads"] * c["attention_head_dim"]
    tokens = image + text
    times = 2 if c.get("zero_cond_t") else 1  # Edit-2511 modulates the reference as if it were at time 0
    block = (
        linear(tokens, width, 4 * width)  # query, key, value, output
        + 2 * linear(tokens, width, 4 * width)  # MLP of four times the width
        + attention(tokens, tokens, width)
        + linear(times + 1, width, 6 * width)  # modulation of either stream, once per picture
    )
    patch = c["patch_size"] ** 2 * (c.get("out_channels") or c["in_channels"])
    ends = (
        linear(image, c["in_channels"], width)
        + linear(text, c["joint_attention_dim"], width)
        + linear(image, width, patch)
        + times * (linear(1, TIME_CHANNELS, width) + linear(1, width, width))
        + linear(1, width, 2 * width)
    )
    return c["num_layers"] * block + ends


def _flux(c: Config, image: int, text: int) -> float:
    """Dual-stream, then single-stream blocks whose MLP runs beside the attention (arXiv 2506.15742, section 3)."""
    width = c["num_attention_heads"] * c["attention_head_dim"]
    tokens = image + text
    both = linear(tokens, width, 12 * width) + attention(tokens, tokens, width)  # the same sum in either kind of block
    double = both + linear(2, width, 6 * width)
    single = both + linear(1, width, 3 * width)
    embedded = 2 if c.get("guidance_embeds") else 1  # time, and the guidance where it is an input
    ends = (
        linear(image, c["in_channels"], width)
        + linear(text, c["joint_attention_dim"], width)
        + linear(image, width, c["patch_size"] ** 2 * (c.get("out_channels") or c["in_channels"]))
        + embedded * (linear(1, TIME_CHANNELS, width) + linear(1, width, width))
        + linear(1, c["pooled_projection_dim"], width)
        + linear(1, width, width)
        + linear(1, width, 2 * width)
    )
    return c["num_layers"] * double + c["num_single_layers"] * single + ends


def head_widths(c: Config) -> tuple[int, int, int]:
    """Widths of a decoder: its hidden states, all of its query heads together, and all of its key heads. In Qwen3 the heads have
    a width of their own."""
    width, heads = c["hidden_size"], c["num_attention_heads"]
    head = c.get("head_dim") or width // heads
    return width, heads * head, c["num_key_value_heads"] * head


def language_flops(c: Config, tokens: int, logits: int) -> float:
    """A Qwen2 or Qwen3 decoder over a whole prompt, with the vocabulary's head for `logits` of its tokens."""
    width, queries, keys = head_widths(c)
    layer = (
        linear(tokens, width, 2 * queries + 2 * keys)
        + 3 * linear(tokens, width, c["intermediate_size"])
        + attention(tokens, tokens, queries)
    )
    return c["num_hidden_layers"] * layer + linear(logits, width, c["vocab_size"])


def vision_flops(c: Config, grid: tuple[int, int]) -> float:
    """The Qwen2.5-VL tower over one picture of `grid` patches: windowed attention but in a few blocks (arXiv 2502.13923,
    section 2.1.1)."""
    height, width = grid
    patches, d, merge = height * width, c["hidden_size"], c["spatial_merge_size"]
    window = c["window_size"] // c["patch_size"]  # patches of a window's side; the last one of a row may be smaller
    windowed = sum(
        attention(min(window, height - y) * min(window, width - x), min(window, height - y) * min(window, width - x), d)
        for y in range(0, height, window)
        for x in range(0, width, window)
    )
    whole = len([i for i in c["fullatt_block_indexes"] if i < c["depth"]])
    block = linear(patches, d, 4 * d) + 3 * linear(patches, d, c["intermediate_size"])
    pixels = c.get("in_channels", 3) * c["temporal_patch_size"] * c["patch_size"] ** 2
    merged = d * merge**2
    return (
        linear(patches, pixels, d)
        + c["depth"] * block
        + whole * attention(patches, patches, d)
        + (c["depth"] - whole) * windowed
        + linear(patches / merge**2, merged, merged + c["out_hidden_size"])
    )


def _t5(c: Config, tokens: int) -> float:
    inner = c["num_heads"] * c["d_kv"]
    gated = str(c.get("feed_forward_proj", "relu")).startswith("gated")
    layer = (
        linear(tokens, c["d_model"], 4 * inner)
        + (3 if gated else 2) * linear(tokens, c["d_model"], c["d_ff"])
        + attention(tokens, tokens, inner)
    )
    return c["num_layers"] * layer


def _clip(c: Config, tokens: int) -> float:
    width = c["hidden_size"]
    layer = (
        linear(tokens, width, 4 * width)
        + 2 * linear(tokens, width, c["intermediate_size"])
        + attention(tokens, tokens, width)
    )
    return c["num_hidden_layers"] * layer


# ------------------------------------------------------------------------------------------------------------ memory
def transformer_activations(kind: str, config: Config, image: int, text: int, element: int) -> float:
    """Bytes alive at the worst moment of a forward without gradients, for one picture; `element` bytes per number.

    At the MLP of the widest stream its input, the normed input, four times the width before and after the activation, and
    the other stream; at the attention about as much. The constants are rounded up from what a forward on the CPU allocates
    (tests/editors/test_estimate.py).
    """
    width = config["num_attention_heads"] * config["attention_head_dim"]
    rows = 16 if kind == "FluxTransformer2DModel" else 14  # FLUX: MLP and attention of a single block side by side
    rotary = 2 * 4 / element  # queries turned in fp32, whatever the type of the rest
    return (image + text) * width * element * (rows + rotary)


def text_encoder_activations(
    kind: str, config: Config, tokens: int, grid: tuple[int, int] | None, element: int
) -> float:
    """The same for one prompt through a text encoder, with what it keeps: hidden states of every layer, keys and values."""
    if kind == "Qwen2_5_VLForConditionalGeneration":
        text, vision = config["text_config"], config["vision_config"]
        held_bytes = (text["num_hidden_layers"] + 1) * tokens * text["hidden_size"] * element + kv_cache(
            config, tokens, element
        )
        working = tokens * (6 * text["hidden_size"] + 3 * text["intermediate_size"]) * element
        patches = grid[0] * grid[1] if grid else 0
        pixels = (
            2 * 3 * vision["temporal_patch_size"] * vision["patch_size"] ** 2
        )  # the patches themselves, and their cast
        tower = patches * (8 * vision["hidden_size"] + 3 * vision["intermediate_size"] + pixels) * 4  # rotary in fp32
        return max(held_bytes + working, tower)
    width = config["d_model"] if kind == "T5EncoderModel" else config["hidden_size"]
    middle = config["d_ff"] if kind == "T5EncoderModel" else config["intermediate_size"]
    layers = config["num_layers"] if kind == "T5EncoderModel" else config["num_hidden_layers"]
    heads = config["num_heads"] if kind == "T5EncoderModel" else config["num_attention_heads"]
    scores = 3 * heads * tokens**2 * 4  # T5 adds a position bias, so its scores exist, in fp32
    return tokens * (6 * width + 3 * middle + (layers + 1) * width) * element + scores


def kv_cache(config: Config, tokens: int, element: int) -> float:
    """Bytes of keys and values of `tokens` in the decoder of a Qwen2.5-VL or Qwen3-VL."""
    c = config["text_config"]
    _, _, keys = head_widths(c)
    return 2 * c["num_hidden_layers"] * keys * tokens * element


def logits_bytes(config: Config, tokens: int) -> float:
    """Bytes of the log-softmax of `tokens` in training: logits, log-probs and their gradient in fp32."""
    return 3 * tokens * config["text_config"]["vocab_size"] * 4


def training_activations(config: Config, tokens: int, element: int, checkpointing: bool) -> float:
    """Bytes kept for the backward of `tokens` through the decoder of a Qwen2.5-VL or Qwen3-VL, without logits.

    34 bytes per token and hidden unit and layer in 16 bits without attention scores (arXiv 2205.05198, section 4.1, table 2,
    an MLP of four times the width); here the MLP's real width counts, and half of what attention keeps is as wide as its
    heads. With checkpointing only each layer's input and one layer's own.
    """
    c = config["text_config"]
    layers, (width, queries, _) = c["num_hidden_layers"], head_widths(c)
    layer = tokens * (4 * width + 4 * queries + 4 * c["intermediate_size"]) * element
    return layer + layers * tokens * width * element if checkpointing else layers * layer


def transformer_training_activations(config: Config, image: int, text: int, element: int, checkpointing: bool) -> float:
    """Bytes kept for the backward of one forward of the denoiser for one picture, both families: 34 bytes per token, unit of width
    and block in 16 bits (arXiv 2205.05198, section 4.1, table 2: an MLP of four times the width, no attention scores). With
    checkpointing only each block's input and one block's own."""
    width, tokens = config["num_attention_heads"] * config["attention_head_dim"], image + text
    blocks = config["num_layers"] + config.get("num_single_layers", 0)
    block = 17 * tokens * width * element
    return block + blocks * tokens * width * element if checkpointing else blocks * block


@dataclass(frozen=True)
class TrainingBytes:
    """Bytes on each device that training keeps, before activations."""

    weights: float
    gradients: float
    optimizer: float
    reference: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.reference


def zero_bytes(parameters: float, devices: int, stage: int, reference: bool) -> TrainingBytes:
    """Mixed-precision AdamW under ZeRO (arXiv 1910.02054, section 3.1 and figure 1): 16-bit weights and gradients (2 + 2
    bytes), fp32 weights and two moments (12); stage 1 shares the last among devices, 2 the gradients too, 3 everything.
    The frozen reference is whole on every device (rl/engine/deepspeed.py).

    Raises BadInput for a stage outside 0 to 3 or fewer than one device.
    """
    if stage not in (0, 1, 2, 3) or devices < 1:
        raise BadInput(f"ZeRO stage {stage} on {devices} devices does not exist; stages are 0 to 3, devices 1 or more")
    share = [1 / devices if stage >= needed else 1.0 for needed in (3, 2, 1)]
    return TrainingBytes(
        weights=2 * parameters * share[0],
        gradients=2 * parameters * share[1],
        optimizer=12 * parameters * share[2],
        reference=2 * parameters if reference else 0.0,
    )


def one_device_bytes(parameters: float, element: int, reference: bool) -> TrainingBytes:
    """Plain AdamW in the weights' own type on one device: what engine=torch keeps."""
    copy = parameters * element
    return TrainingBytes(copy, copy, 2 * copy, copy if reference else 0.0)


__all__ = [
    "BYTES",
    "Config",
    "TrainingBytes",
    "attention",
    "head_widths",
    "kv_cache",
    "language_flops",
    "linear",
    "logits_bytes",
    "one_device_bytes",
    "text_encoder_activations",
    "text_encoder_flops",
    "training_activations",
    "transformer_activations",
    "transformer_flops",
    "transformer_training_activations",
    "vision_flops",
    "zero_bytes",
]
