"""Qwen-Image-Edit (arXiv 2508.02324) as a flow model: the first line (QwenImageEdit) and the Plus line (2509, 2511).

The picture goes in twice: its latents beside the result's, and its pixels through the Qwen2.5-VL that reads the instruction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import QwenImageEditPipeline, QwenImageEditPlusPipeline
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as plus
from PIL import Image
from torch import Tensor, nn

from common.errors import BadInput
from editors.conditioning import TextEmbeddings
from editors.flow_editor import batches
from editors.frames import single_frame
from editors.pipeline import Pair, PipelineModel
from editors.settings import FlowSettings, Forwards

TEXTS_AT_ONCE = 8  # rows through the text encoder, which keeps the hidden states of all its layers
CONTROL = re.compile(
    r"<\|[a-z_]+\|>"
)  # special tokens of the chat format; in an instruction they would break the prompt


class QwenModel(PipelineModel):
    """`editors.flow.FlowModel` over a QwenImageEditPipeline or QwenImageEditPlusPipeline.

    `vision_positions` gives the picture's tokens their two-dimensional positions in the text encoder. The published weights
    were trained with them, but diffusers 0.42 loses them with transformers 5 (diffusers issue 14194): True restores them,
    False (the default) computes what the pipelines themselves compute. `condition_area` is the size, in pixels, at which Plus
    shows the picture to the text encoder (None: the pipeline's own, 384 x 384); the first line shows the working picture.
    """

    family = "Qwen-Image-Edit"
    takes_masks = True

    def __init__(
        self,
        pipe: QwenImageEditPipeline | QwenImageEditPlusPipeline,
        settings: FlowSettings,
        vision_positions: bool = False,
        condition_area: int | None = None,
        forwards: Forwards | None = None,
    ) -> None:
        if not isinstance(pipe, (QwenImageEditPipeline, QwenImageEditPlusPipeline)):
            raise BadInput(
                f"Qwen-Image-Edit needs a QwenImageEditPipeline or QwenImageEditPlusPipeline, not {type(pipe).__name__}"
            )
        self.plus = isinstance(pipe, QwenImageEditPlusPipeline)
        self.vision_positions, self.condition_area = vision_positions, condition_area
        super().__init__(pipe, settings, forwards)

    # ------------------------------------------------------------------------------------------------ text
    def encode_text(
        self, pictures: Sequence[Image.Image], instructions: Sequence[str], length: int | None = None
    ) -> TextEmbeddings:
        """See `PipelineModel.encode_text`; the rows are padded to the longest of them, and masked, whatever `length` says."""
        return TextEmbeddings.pad(self._embed([self._shown(picture) for picture in pictures], instructions))

    def _texts(
        self, pictures: Sequence[Image.Image], pairs: Sequence[Pair]
    ) -> tuple[TextEmbeddings, TextEmbeddings | None]:
        negative = [(i, self.settings.negative_prompt or "") for i, _ in pairs] if self.settings.guided else []
        distinct = list(dict.fromkeys([*pairs, *negative]))
        shown = [self._shown(picture) for picture in pictures]
        embedded = self._embed([shown[i] for i, _ in distinct], [text for _, text in distinct])
        row = dict(zip(distinct, embedded, strict=True))
        positive = TextEmbeddings.pad([row[pair] for pair in pairs])
        return positive, TextEmbeddings.pad([row[pair] for pair in negative]) if negative else None

    def _shown(self, picture: Image.Image) -> Image.Image:
        """The picture as the text encoder sees it."""
        if not self.plus:
            return picture
        area = self.condition_area or plus.CONDITION_IMAGE_SIZE
        width, height = plus.calculate_dimensions(area, picture.width / picture.height)
        return self.pipe.image_processor.resize(picture, max(height, 32), max(width, 32))

    def _embed(self, pictures: Sequence[Image.Image], texts: Sequence[str]) -> list[Tensor]:
        """Row b: the text encoder's last hidden states [T_b, D] of one picture and one text in the pipeline's template.

        As `pipe.encode_prompt`, for a batch of different pictures and texts (Plus shows every picture to every text there).
        """
        mark = "Picture 1: <|vision_start|><|image_pad|><|vision_end|>" if self.plus else ""
        prompts = [self.pipe.prompt_template_encode.format(mark + CONTROL.sub("", text)) for text in texts]
        rows: dict[int, Tensor] = {}
        for part in self._text_batches(prompts):
            inputs = self.pipe.processor(
                text=[prompts[i] for i in part],
                images=[pictures[i] for i in part],
                padding=True,
                padding_side="right",  # positions count from the left, so that padding there would shift them
                return_tensors="pt",
            ).to(self.device)
            kinds = {"mm_token_type_ids": inputs["mm_token_type_ids"]} if self.vision_positions else {}
            states = self.pipe.text_encoder(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                pixel_values=inputs["pixel_values"],
                image_grid_thw=inputs["image_grid_thw"],
                output_hidden_states=True,
                logits_to_keep=1,  # the logits are not used, and the vocabulary has 150,000 tokens
                **kinds,
            ).hidden_states[-1]
            mask, start = inputs["attention_mask"].bool(), self.pipe.prompt_template_encode_start_idx
            kept = [state[keep][start:].float() for state, keep in zip(states, mask, strict=True)]
            rows |= zip(part, kept, strict=True)
        return [rows[i] for i in range(len(prompts))]

    def _text_batches(self, prompts: Sequence[str]) -> list[list[int]]:
        """Which prompts go through the text encoder together; only those of one length, where nothing is to be padded. Their
        pictures have one size, so that they differ by their words alone."""
        if self.forwards.padded:
            return batches([()] * len(prompts), TEXTS_AT_ONCE)
        return batches([len(ids) for ids in self.pipe.tokenizer(list(prompts)).input_ids], TEXTS_AT_ONCE)

    # ------------------------------------------------------------------------------------------------ pictures
    def encode_pixels(self, pixels: Tensor) -> Tensor:
        with single_frame(self.pipe.vae):  # a video of one frame
            return self.pipe._encode_vae_image(pixels.unsqueeze(2), generator=None)

    def decode_latents(self, latents: Tensor) -> Tensor:
        vae = self.pipe.vae
        mean = torch.tensor(vae.config.latents_mean, device=latents.device).view(1, -1, 1, 1, 1)
        std = torch.tensor(vae.config.latents_std, device=latents.device).view(1, -1, 1, 1, 1)
        with single_frame(vae):
            return vae.decode((latents * std + mean).to(vae.dtype), return_dict=False)[0][:, :, 0]

    # ------------------------------------------------------------------------------------------------ velocity
    @property
    def blocks(self) -> list[nn.Module]:
        return list(self.pipe.transformer.transformer_blocks)

    def _arguments(self, grid: tuple[int, int], rows: int, text: TextEmbeddings) -> dict[str, Any]:
        height, width = self._latent_size(grid)
        shape = (1, height // 2, width // 2)
        return {"img_shapes": [[shape, shape]] * rows, "encoder_hidden_states_mask": text.mask}

    def _guide(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Classifier-free guidance, brought back to the conditional velocity's length token by token (as the pipelines do)."""
        guided = super()._guide(conditional, unconditional)
        return guided * (conditional.norm(dim=-1, keepdim=True) / guided.norm(dim=-1, keepdim=True))


__all__ = ["QwenModel"]
