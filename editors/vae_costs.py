"""FLOPs and bytes of the two editors' autoencoders, walked layer by layer from their configurations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.errors import BadInput
from editors.costs import Config, attention, linear


@dataclass(frozen=True)
class Conv:
    """A convolution of `taps` positions to `pixels` outputs; `cached`: its input is kept for the next frame."""

    width_in: int
    width_out: int
    taps: int
    pixels: int
    cached: bool = False
    stride: int = 1

    @property
    def flops(self) -> float:
        return linear(self.pixels, self.taps * self.width_in, self.width_out)

    @property
    def input(self) -> int:
        """Numbers that go in."""
        return self.width_in * self.pixels * self.stride**2

    @property
    def largest(self) -> int:
        return max(self.input, self.width_out * self.pixels)


@dataclass(frozen=True)
class SelfAttention:
    """One head over all pixels, with its four projections."""

    width: int
    pixels: int
    cached: bool = False

    @property
    def flops(self) -> float:
        return linear(self.pixels, self.width, 4 * self.width) + attention(self.pixels, self.pixels, self.width)

    @property
    def input(self) -> int:
        return self.width * self.pixels

    @property
    def largest(self) -> int:
        return 2 * self.input  # queries, keys and values together, and their parts


Layer = Conv | SelfAttention


def shrinks_by(kind: str, config: Config) -> int:
    """Pixels of the picture per pixel of the latent, along one side."""
    _known(kind)
    levels = config["dim_mult"] if kind == "AutoencoderKLQwenImage" else config["block_out_channels"]
    return 2 ** (len(levels) - 1)


def encoder_layers(kind: str, config: Config, height: int, width: int, flat: bool = False) -> list[Layer]:
    """The layers that one picture of height x width goes through to become a latent. `flat`: the video autoencoder's
    convolutions leave out the frames that are not there (editors/frames.py), which diffusers' own compute."""
    _known(kind)
    pixels = height * width
    if kind == "AutoencoderKLQwenImage":
        return list(_qwen_encoder(config, pixels, 9 if flat else 27))
    return list(_kl_encoder(config, pixels))


def decoder_layers(kind: str, config: Config, height: int, width: int, flat: bool = False) -> list[Layer]:
    """The layers that its latent goes through to become a picture of height x width again."""
    _known(kind)
    pixels = height * width // shrinks_by(kind, config) ** 2
    if kind == "AutoencoderKLQwenImage":
        return list(_qwen_decoder(config, pixels, 9 if flat else 27))
    return list(_kl_decoder(config, pixels))


def vae_flops(layers: list[Layer]) -> float:
    return sum(layer.flops for layer in layers)


def vae_activations(layers: list[Layer], element: int) -> float:
    """Bytes alive at the worst moment for one picture: a residual block's input, its normed and padded copies and the
    output, and every input that a video autoencoder keeps for a next frame that never comes."""
    return element * (6 * max(layer.largest for layer in layers) + sum(layer.input for layer in layers if layer.cached))


def _known(kind: str) -> None:
    if kind not in ("AutoencoderKL", "AutoencoderKLQwenImage"):
        raise BadInput(
            f"no formula for an autoencoder of class {kind}; editors/vae_costs.py knows the two editors' own"
        )


def _residual(width_in: int, width_out: int, taps: int, pixels: int, cached: bool) -> Iterator[Layer]:
    yield Conv(width_in, width_out, taps, pixels, cached)
    yield Conv(width_out, width_out, taps, pixels, cached)
    if width_in != width_out:
        yield Conv(width_in, width_out, 1, pixels)


def _middle(width: int, taps: int, pixels: int, cached: bool) -> Iterator[Layer]:
    yield from _residual(width, width, taps, pixels, cached)
    yield SelfAttention(width, pixels)
    yield from _residual(width, width, taps, pixels, cached)


def _kl_encoder(c: Config, pixels: int) -> Iterator[Layer]:
    """diffusers' AutoencoderKL: 3 x 3 convolutions."""
    widths, latent = c["block_out_channels"], 2 * c["latent_channels"]
    yield Conv(c.get("in_channels", 3), widths[0], 9, pixels)
    before = widths[0]
    for level, width in enumerate(widths):
        for _ in range(c["layers_per_block"]):
            yield from _residual(before, width, 9, pixels, False)
            before = width
        if level < len(widths) - 1:
            pixels //= 4
            yield Conv(width, width, 9, pixels, stride=2)
    yield from _middle(before, 9, pixels, False)
    yield Conv(before, latent, 9, pixels)
    if c.get("use_quant_conv", True):
        yield Conv(latent, latent, 1, pixels)


def _kl_decoder(c: Config, pixels: int) -> Iterator[Layer]:
    widths, latent = list(reversed(c["block_out_channels"])), c["latent_channels"]
    if c.get("use_post_quant_conv", True):
        yield Conv(latent, latent, 1, pixels)
    yield Conv(latent, widths[0], 9, pixels)
    yield from _middle(widths[0], 9, pixels, False)
    before = widths[0]
    for level, width in enumerate(widths):
        for _ in range(c["layers_per_block"] + 1):
            yield from _residual(before, width, 9, pixels, False)
            before = width
        if level < len(widths) - 1:
            pixels *= 4
            yield Conv(width, width, 9, pixels)
    yield Conv(before, c.get("out_channels", 3), 9, pixels)


def _qwen_encoder(c: Config, pixels: int, taps: int) -> Iterator[Layer]:
    """Qwen-Image's video autoencoder on one frame: causal 3 x 3 x 3 convolutions, the time before it padded with zeros;
    convolutions over time alone are skipped for a first frame."""
    widths, latent = [c["base_dim"] * m for m in c["dim_mult"]], 2 * c["z_dim"]
    before = c["base_dim"]
    yield Conv(c.get("input_channels", 3), before, taps, pixels, cached=True)
    for level, width in enumerate(widths):
        for _ in range(c["num_res_blocks"]):
            yield from _residual(before, width, taps, pixels, True)
            before = width
        if level < len(widths) - 1:
            pixels //= 4
            yield Conv(width, width, 9, pixels, stride=2)
    yield from _middle(before, taps, pixels, True)
    yield Conv(before, latent, taps, pixels, cached=True)
    yield Conv(latent, latent, 1, pixels)


def _qwen_decoder(c: Config, pixels: int, taps: int) -> Iterator[Layer]:
    widths, latent = [c["base_dim"] * m for m in reversed(c["dim_mult"])], c["z_dim"]
    yield Conv(latent, latent, 1, pixels)
    yield Conv(latent, widths[0], taps, pixels, cached=True)
    yield from _middle(widths[0], taps, pixels, True)
    before = widths[0]
    for level, width in enumerate(widths):
        for _ in range(c["num_res_blocks"] + 1):
            yield from _residual(before, width, taps, pixels, True)
            before = width
        if level < len(widths) - 1:
            pixels *= 4
            yield Conv(width, width // 2, 9, pixels)
            before = width // 2
    yield Conv(before, c.get("input_channels", 3), taps, pixels, cached=True)


__all__ = [
    "Conv",
    "Layer",
    "SelfAttention",
    "decoder_layers",
    "encoder_layers",
    "shrinks_by",
    "vae_activations",
    "vae_flops",
]
