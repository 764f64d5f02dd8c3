"""CLIP and DINO as functions from pictures (and captions) to unit vectors, from folders that hold their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from common.errors import BadData
from common.pictures import to_rgb

BATCH = 32  # pictures or captions in one forward
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
DINO_CROP = 224  # pixels; published evaluations take this of a picture whose shorter side is 256, DINOv2's too


class ClipEncoder:
    """CLIP (arXiv 2103.00020). Pictures as its authors prepare them: shorter side bicubic to the model's size, centre
    crop. Captions are cut at the model's length (77 tokens)."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Raises BadData naming the folder for weights that are damaged or incomplete."""
        from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

        self.model = _load(CLIPModel, folder).to(device)
        try:
            self.tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadData(f"the tokenizer in {folder} cannot be read ({error}); download the model again") from error
        side = self.model.config.vision_config.image_size
        self.images_to = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
        self.length = self.model.config.text_config.max_position_embeddings
        self.device = device

    def pictures(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """float64[N, D], each of length 1."""
        return _batched(pictures, self._pictures)

    def captions(self, captions: Sequence[str]) -> torch.Tensor:
        """float64[N, D], each of length 1."""
        return _batched(captions, self._captions)

    def _pictures(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        pixels = _pixels(self.images_to, pictures, self.device)
        return self.model.get_image_features(pixel_values=pixels).pooler_output

    def _captions(self, captions: Sequence[str]) -> torch.Tensor:
        tokens = self.tokenizer(
            list(captions), padding=True, truncation=True, max_length=self.length, return_tensors="pt"
        ).to(self.device)
        return self.model.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output


class DinoEncoder:
    """DINO (arXiv 2104.14294, a ViTModel) or DINOv2 (arXiv 2304.07193): the class token after the last norm, of a picture
    whose shorter side was brought to 8/7 of the crop (bicubic) and whose centre was cut out, as in MagicBrush's script."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Raises BadData naming the folder for weights that are damaged or incomplete, or of another kind of model."""
        from transformers import AutoConfig, CLIPImageProcessorPil, Dinov2Model, Dinov2WithRegistersModel, ViTModel

        classes: dict[str, Any] = {
            "vit": ViTModel,
            "dinov2": Dinov2Model,
            "dinov2_with_registers": Dinov2WithRegistersModel,
        }
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if config.model_type not in classes:
            raise BadData(f"{folder} holds a {config.model_type}; dino needs one of {', '.join(classes)}")
        options = {"add_pooling_layer": False} if config.model_type == "vit" else {}
        self.model = _load(classes[config.model_type], folder, **options).to(device)
        crop = min(DINO_CROP, config.image_size)
        self.images_to = CLIPImageProcessorPil(  # for its steps alone: resize, centre crop, normalise
            size={"shortest_edge": crop * 8 // 7}, crop_size={"height": crop, "width": crop}, **IMAGENET
        )
        self.device = device

    def pictures(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        """float64[N, D], each of length 1."""
        return _batched(pictures, self._pictures)

    def _pictures(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        pixels = _pixels(self.images_to, pictures, self.device)
        return self.model(pixel_values=pixels).last_hidden_state[:, 0]


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    """Of two vectors; 0 where one of them is 0."""
    return float(torch.nn.functional.cosine_similarity(a, b, dim=-1, eps=1e-12).clamp(-1, 1))


def _load(kind: Any, folder: Path, **options: Any) -> Any:
    try:
        model, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise BadData(f"the weights in {folder} cannot be loaded ({type(error).__name__}: {error})") from error
    if missing := sorted(info["missing_keys"]):  # transformers would draw them at random and only warn
        raise BadData(f"{len(missing)} weights are not in {folder}, e.g. {missing[0]}; download the model again")
    return model.eval().float()


def _pixels(images_to: Any, pictures: Iterable[Image.Image], device: str) -> torch.Tensor:
    return images_to([to_rgb(p) for p in pictures], return_tensors="pt")["pixel_values"].to(device)


@torch.no_grad()
def _batched(things: Sequence[Any], encode: Callable[[Sequence[Any]], torch.Tensor]) -> torch.Tensor:
    parts = [encode(things[i : i + BATCH]).double().cpu() for i in range(0, len(things), BATCH)]
    return torch.nn.functional.normalize(torch.cat(parts), dim=-1)


__all__ = ["ClipEncoder", "DinoEncoder", "cosine"]
