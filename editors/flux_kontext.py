"""FLUX.1 Kontext (arXiv 2506.15742) as a flow model: source and result are one sequence, told apart by their position ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import FluxKontextPipeline
from diffusers.pipelines.flux.pipeline_flux_kontext import PREFERRED_KONTEXT_RESOLUTIONS
from PIL import Image
from torch import Tensor, nn

from common.errors import BadInput
from editors.conditioning import TextEmbeddings
from editors.pipeline import Pair, PipelineModel
from editors.settings import FlowSettings, Forwards

MOST_TOKENS = 512  # of T5, in the published pipeline too
LENGTH_STEP = 64  # to which longer texts are padded, so that they can share batches
TRAINED_AREA = 1024 * 1024  # of the published checkpoint, which was trained on the preferred sizes


class KontextModel(PipelineModel):
    """`editors.flow.FlowModel` over a FluxKontextPipeline.

    Texts are padded to `settings.max_sequence_length` T5 tokens and the padding is attended to, as in training: a checkpoint
    wants the length that it was trained with. A text that is longer is read at a length of its own, up to 512 tokens. At an area
    of one megapixel the working grid is one of the sizes the published checkpoint was trained on, with padding where the ratio is
    another; at other areas any multiple of 16 pixels.
    """

    family = "FLUX Kontext"

    def __init__(self, pipe: FluxKontextPipeline, settings: FlowSettings, forwards: Forwards | None = None) -> None:
        if not isinstance(pipe, FluxKontextPipeline):
            raise BadInput(f"FLUX Kontext needs a FluxKontextPipeline, not {type(pipe).__name__}")
        if settings.max_sequence_length > MOST_TOKENS:
            raise BadInput(
                f"max_sequence_length={settings.max_sequence_length}: FLUX Kontext takes at most {MOST_TOKENS} tokens"
            )
        super().__init__(pipe, settings, forwards)

    @property
    def grids(self) -> tuple[tuple[int, int], ...] | None:
        return tuple(PREFERRED_KONTEXT_RESOLUTIONS) if self.settings.area == TRAINED_AREA else None

    def encode_text(
        self, pictures: Sequence[Image.Image], instructions: Sequence[str], length: int | None = None
    ) -> TextEmbeddings:
        """See `PipelineModel.encode_text`; the pictures are not read."""
        embeds, pooled, _ = self.pipe.encode_prompt(
            prompt=list(instructions),
            max_sequence_length=length or self.settings.max_sequence_length,
            device=self.device,
        )
        return TextEmbeddings(embeds, None, pooled)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """The number of T5 tokens of each text, before padding or cutting."""
        return [len(ids) for ids in self.pipe.tokenizer_2(list(texts)).input_ids]

    def text_length(self, instruction: str) -> int:
        """`settings.max_sequence_length`, the length of training, where the instruction fits; a longer one gets the next multiple
        of LENGTH_STEP, up to what the family reads at all."""
        return self._length(self.token_counts([instruction])[0])

    def _length(self, tokens: int) -> int:
        usual = self.settings.max_sequence_length
        return usual if tokens <= usual else min(MOST_TOKENS, -(-tokens // LENGTH_STEP) * LENGTH_STEP)

    def unread(self, instructions: Sequence[str]) -> list[str]:
        counts = self.token_counts(instructions) if instructions else []
        return [f"the editor reads {MOST_TOKENS} of {n} tokens" if n > MOST_TOKENS else "" for n in counts]

    def _texts(
        self, pictures: Sequence[Image.Image], pairs: Sequence[Pair]
    ) -> tuple[TextEmbeddings, TextEmbeddings | None]:
        """All instructions at the length of the longest; the negative prompt always at its usual one."""
        negative = [self.settings.negative_prompt or ""] if self.settings.guided else []
        texts = list(dict.fromkeys(text for _, text in pairs))
        usual, length = self.settings.max_sequence_length, self._length(max(self.token_counts(texts)))
        if length == usual:  # all in one call, as there is one length
            texts = list(dict.fromkeys(texts + negative))
        encoded, row = self.encode_text([], texts, length), {text: i for i, text in enumerate(texts)}
        positive = encoded.select([row[text] for _, text in pairs])
        if not negative:
            return positive, None
        if length == usual:
            return positive, encoded.select([row[negative[0]]] * len(pairs))
        return positive, self.encode_text([], negative).select([0] * len(pairs))

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        return self.pipe._encode_vae_image(pixels, generator=None)

    def decode_latents(self, latents: Tensor) -> Tensor:
        vae = self.pipe.vae
        latents = latents / vae.config.scaling_factor + vae.config.shift_factor
        return vae.decode(latents.to(vae.dtype), return_dict=False)[0]

    @property
    def blocks(self) -> list[nn.Module]:
        return [*self.pipe.transformer.transformer_blocks, *self.pipe.transformer.single_transformer_blocks]

    def _arguments(self, grid: tuple[int, int], rows: int, text: TextEmbeddings) -> dict[str, Any]:
        assert text.pooled is not None
        if text.mask is not None:
            raise BadInput(
                "FLUX Kontext has no mask for padding: the instructions of a batch need one length (text_length)"
            )
        height, width = self._latent_size(grid)
        result = self.pipe._prepare_latent_image_ids(rows, height // 2, width // 2, self.device, torch.float32)
        source = result.clone()
        source[:, 0] = 1
        return {
            "pooled_projections": text.pooled.to(self.pipe.transformer.dtype),
            "txt_ids": torch.zeros(text.embeds.shape[1], 3, device=self.device),
            "img_ids": torch.cat([result, source]),
        }


__all__ = ["KontextModel"]
