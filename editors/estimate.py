"""What an edit costs and what must lie in memory for it, from a pipeline's configurations and the settings of an edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.errors import BadInput
from editors.costs import (
    text_encoder_activations,
    text_encoder_flops,
    transformer_activations,
    transformer_flops,
)
from editors.geometry import plan_fit
from editors.published import PublishedModel
from editors.vae_costs import decoder_layers, encoder_layers, shrinks_by, vae_activations, vae_flops

# Tokens of the prompt around picture and instruction: those before them, which the pipeline cuts off, and those it keeps.
TEMPLATES = {"QwenImageEditPipeline": (64, 7), "QwenImageEditPlusPipeline": (64, 11)}
CONDITION_AREA = 384 * 384  # at which the Plus line shows the picture to its text encoder
CLIP_TOKENS = 77
TEXTS_AT_ONCE = 8  # prompts through the text encoder together
TILE = 256  # pixels along a side of the tiles of Qwen-Image's VAE
VAE_PIXELS = 1024 * 1024  # through the VAE together (editors.pipeline.PIXELS_AT_ONCE)


@dataclass(frozen=True)
class Workload:
    """One edit, apart from the model: editors.flow.FlowSettings, the picture's shape and the length of the instruction."""

    pipeline: str  # class of the diffusers pipeline
    steps: int
    area: int
    guided: bool  # a second forward per step for the negative prompt
    batch_size: int = 1
    max_sequence_length: int = 512
    multiple: int = 0
    condition_area: int | None = None
    tiled: bool = False  # the VAE works in tiles
    ratio: float = 1.0  # width / height of the picture
    instruction_tokens: int = 30
    grids: tuple[tuple[int, int], ...] | None = None  # that the model was trained on, where it is picky


@dataclass(frozen=True)
class Shapes:
    """Sequence lengths of an edit. A branch is one forward of a step: the instruction, and the negative prompt if guided."""

    grid: tuple[int, int]  # width, height in pixels
    result: int  # tokens of the picture that is made
    reference: int  # tokens of the picture that is edited
    text: tuple[int, ...]  # tokens of text in the denoiser, per branch
    prompts: Mapping[str, tuple[int, ...]]  # tokens in each text encoder, per branch
    patches: tuple[int, int] | None  # height, width of the picture in the vision tower, where the text encoder has one

    @property
    def image(self) -> int:
        return self.result + self.reference


def shapes(work: Workload, parts: Mapping[str, PublishedModel]) -> Shapes:
    """Raises BadInput for an unknown pipeline or an area without room."""
    vae = parts["vae"]
    token = 2 * shrinks_by(vae.kind, vae.config)  # pixels along a side of one token: latents are packed two by two
    grid = plan_fit(max(1, round(1000 * work.ratio)), 1000, work.area, work.multiple or token, work.grids).grid
    tokens = (grid[0] // token) * (grid[1] // token)
    words = (work.instruction_tokens, 1)[: 1 + work.guided]  # the negative prompt is one blank
    if work.pipeline == "FluxKontextPipeline":
        length = work.max_sequence_length
        prompts = {
            name: (CLIP_TOKENS if part.kind == "CLIPTextModel" else length,) * len(words) for name, part in texts(parts)
        }
        return Shapes(grid, tokens, tokens, (length,) * len(words), prompts, None)
    if work.pipeline not in TEMPLATES:
        raise BadInput(
            f"nothing is known of the costs of a {work.pipeline}; {', '.join((*TEMPLATES, 'FluxKontextPipeline'))} are known"
        )
    ((name, encoder),) = texts(parts)
    vision = encoder.config["vision_config"]
    shown = grid
    if work.pipeline == "QwenImageEditPlusPipeline":
        shown = plan_fit(grid[0], grid[1], work.condition_area or CONDITION_AREA, 32).grid
    merged = vision["patch_size"] * vision["spatial_merge_size"]
    columns, rows = (max(1, round(side / merged)) for side in shown)
    patches = (rows * vision["spatial_merge_size"], columns * vision["spatial_merge_size"])
    before, around = TEMPLATES[work.pipeline]
    kept = tuple(rows * columns + around + n for n in words)
    return Shapes(grid, tokens, tokens, kept, {name: tuple(before + n for n in kept)}, patches)


def texts(parts: Mapping[str, PublishedModel]) -> list[tuple[str, PublishedModel]]:
    return [(name, part) for name, part in parts.items() if name.startswith("text_encoder")]


def forward_flops(parts: Mapping[str, PublishedModel], s: Shapes) -> float:
    """One forward of the denoiser for one picture, the instruction's branch."""
    denoiser = parts["transformer"]
    return transformer_flops(denoiser.kind, denoiser.config, s.image, s.text[0])


def edit_flops(work: Workload, parts: Mapping[str, PublishedModel], s: Shapes) -> dict[str, float]:
    """FLOPs of one edit by phase, in the order in which they happen."""
    denoiser, vae = parts["transformer"], parts["vae"]
    width, height = s.grid
    return {
        "text encoding": sum(
            text_encoder_flops(part.kind, part.config, tokens, s.patches)
            for name, part in texts(parts)
            for tokens in s.prompts[name]
        ),
        "VAE encoding": vae_flops(encoder_layers(vae.kind, vae.config, height, width)),
        "denoising": work.steps * sum(transformer_flops(denoiser.kind, denoiser.config, s.image, t) for t in s.text),
        "VAE decoding": vae_flops(decoder_layers(vae.kind, vae.config, height, width)),
    }


def activation_bytes(work: Workload, parts: Mapping[str, PublishedModel], s: Shapes, element: int) -> dict[str, float]:
    """Bytes besides the weights at the worst moment of each phase, for a batch; the phases do not overlap."""
    denoiser, vae = parts["transformer"], parts["vae"]
    width, height = s.grid
    prompts = min(TEXTS_AT_ONCE, work.batch_size * len(s.text))
    pictures = min(work.batch_size, max(1, VAE_PIXELS // (width * height)))
    if work.tiled:
        tile = TILE if vae.kind == "AutoencoderKLQwenImage" else int(vae.config.get("sample_size", width))
        width, height = min(width, tile), min(height, tile)
    return {
        "text encoding": prompts
        * max(
            text_encoder_activations(part.kind, part.config, max(s.prompts[name]), s.patches, element)
            for name, part in texts(parts)
        ),
        "VAE encoding": pictures * vae_activations(encoder_layers(vae.kind, vae.config, height, width), element),
        "denoising": work.batch_size
        * transformer_activations(denoiser.kind, denoiser.config, s.image, max(s.text), element),
        "VAE decoding": pictures * vae_activations(decoder_layers(vae.kind, vae.config, height, width), element),
    }


__all__ = ["Shapes", "Workload", "activation_bytes", "edit_flops", "forward_flops", "shapes", "texts"]
