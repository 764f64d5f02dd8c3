"""The vision-language model: loading, and turning (text, images) into tensors. One code path for 3 million and 7 billion weights.

Checkpoints of the families in families.py are read (`config.json`, `*.safetensors`, tokenizer, image processor). The tokenizer
and the PIL image processor are used directly, since the families' own processors want torchvision for videos that nobody
sends here.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import torch
import transformers
from PIL import Image
from torch import Tensor
from transformers import (
    AutoTokenizer,
    PreTrainedTokenizerBase,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLImageProcessorPil,
    Qwen3VLForConditionalGeneration,
)

from agents.backends.base import ModelRequest
from agents.backends.families import Family, family_named, family_of
from agents.backends.memo import Memo
from agents.backends.precision import exact_float32
from agents.backends.prompts import PromptStore
from common.errors import BadData, BadInput, MissingFile
from common.pictures import to_rgb
from common.weights import check_finite

Model: TypeAlias = Qwen2_5_VLForConditionalGeneration | Qwen3VLForConditionalGeneration
MAX_RATIO = 100  # of a picture's sides; Qwen's image processor refuses 200


@dataclass(frozen=True)
class EncodedPrompt:
    """One prompt, ending where the answer starts: ids [T], patches of all its images [N, D], their grids [n_img, 3]."""

    input_ids: Tensor
    pixel_values: Tensor | None = None
    grid_thw: Tensor | None = None

    def __len__(self) -> int:
        return self.input_ids.shape[0]


@dataclass
class VLM:
    """A model with the tokenizer and image processor that belong to it."""

    model: Model
    tokenizer: PreTrainedTokenizerBase
    image_processor: Qwen2VLImageProcessorPil
    path: Path

    @cached_property
    def family(self) -> Family:
        return family_named(self.model.config.model_type, self.path)

    @cached_property
    def eos_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids("<|im_end|>")

    @cached_property
    def pad_id(self) -> int:
        return self.tokenizer.convert_tokens_to_ids("<|endoftext|>")

    @cached_property
    def image_token_id(self) -> int:
        return self.model.config.image_token_id

    @cached_property
    def banned_ids(self) -> tuple[int, ...]:
        """Control tokens (all but the end) and unused rows of the vocabulary, never to be sampled: a completion with an image
        token in it breaks the next forward. A token is a control token by its own mark in the vocabulary, whether or not the
        tokenizer's configuration gives it a role too."""
        vocab = self.model.config.text_config.vocab_size
        marked = {i for i, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        control = marked | set(self.tokenizer.all_special_ids) | set(range(len(self.tokenizer), vocab))
        return tuple(sorted(control - {self.eos_id}))

    def banned_on(self, device: torch.device) -> Tensor:
        """`banned_ids` [K] on a device, sent there once: a copy from the host for every token would hold a GPU up."""
        ids, held = self._banned.get(device, ((), None))
        if held is None or ids is not self.banned_ids:
            held = torch.tensor(self.banned_ids, dtype=torch.long, device=device)
            self._banned[device] = self.banned_ids, held
        return held

    @cached_property
    def _banned(self) -> dict[torch.device, tuple[tuple[int, ...], Tensor]]:
        return {}

    def encode(self, requests: Sequence[ModelRequest]) -> list[EncodedPrompt]:
        """Render each request by the chat template and preprocess its images; image marks are widened to the grid's size.
        The same request object gives the same encoded prompt while it lives: rollouts and training encode it once."""
        return self._encoded.many(requests, lambda missing: [self._encode(r) for r in missing])

    @cached_property
    def _encoded(self) -> Memo[ModelRequest, EncodedPrompt]:
        return Memo()

    @cached_property
    def prompts(self) -> PromptStore:
        """Positions and image features of prompts, each computed once while the prompt lives."""
        return PromptStore(self)

    def _encode(self, request: ModelRequest) -> EncodedPrompt:
        prompt = self._asked(request)
        if not request.answer:
            return prompt
        return replace(prompt, input_ids=torch.cat([prompt.input_ids, torch.tensor(request.answer)]))

    def _asked(self, request: ModelRequest) -> EncodedPrompt:
        content = [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image"} for p in request.content]
        images = [p for p in request.content if not isinstance(p, str)]
        system = [{"role": "system", "content": request.system}] if request.system else []
        text = self.tokenizer.apply_chat_template(
            [*system, {"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        if not images:
            return EncodedPrompt(self._ids(text))
        pixels, grids = self.preprocess(images)
        merge = self.image_processor.merge_size**2
        ids, place = self._ids(text), self.image_token_id
        if (n := int((ids == place).sum())) != len(images):
            raise BadInput(f"the prompt has {n} image marks for {len(images)} images; check the chat template")
        widths = (grids.prod(-1) // merge).tolist()
        repeats = torch.ones_like(ids)
        repeats[ids == place] = torch.tensor(widths)
        return EncodedPrompt(ids.repeat_interleave(repeats), pixels, grids)

    def bounded(self, max_pixels: int) -> VLM:
        """The same model, whose pictures have at most so many pixels (rounded to whole tokens). The model itself is shared."""
        images = copy.deepcopy(self.image_processor)
        images.size = {
            "shortest_edge": min(images.size["shortest_edge"], max_pixels),
            "longest_edge": min(images.size["longest_edge"], max_pixels),
        }
        return VLM(self.model, self.tokenizer, images, self.path)

    def preprocess(self, images: Sequence[Image.Image]) -> tuple[Tensor, Tensor]:
        """Images -> patches [N, D] in fp32 and grids [n, 3] (time, rows, columns of patches)."""
        out = self.image_processor(images=[_seeable(im) for im in images], return_tensors="pt")
        return out["pixel_values"], out["image_grid_thw"]

    def _ids(self, text: str) -> Tensor:
        return torch.tensor(self.tokenizer(text, add_special_tokens=False)["input_ids"], dtype=torch.long)


def _seeable(image: Image.Image) -> Image.Image:
    """RGB; a picture too long for the image processor is squeezed for the model's eyes (the editor gets it as it is)."""
    width, height = image.size
    least = -(-max(width, height) // MAX_RATIO)
    if min(width, height) < least:
        image = to_rgb(image).resize((max(width, least), max(height, least)))
    return to_rgb(image)


def load_vlm(path: str | Path, dtype: str = "float32", device: str = "cpu") -> VLM:
    """Read a checkpoint's folder from disk; its config.json says of which family it is.

    Raises MissingFile when the folder or one of its files is absent, BadInput when its family is none of ours, BadData when
    a file cannot be read or belongs to another model.
    """
    path = Path(path)
    if dtype == "float32" and device.startswith("cuda"):
        exact_float32()
    if not (path / "config.json").is_file():
        raise MissingFile(
            f"no model at {path}: config.json is missing. Rebuild the tiny one with `make tiny`, or name a folder"
        )
    if not any(path.glob("*.safetensors")):
        raise MissingFile(f"no weights at {path}: no *.safetensors file beside config.json")
    family = family_of(path)
    try:
        model: Model = getattr(transformers, family.model_class).from_pretrained(path, dtype=getattr(torch, dtype))
        model = model.to(device).eval()  # type: ignore[arg-type]
        tokenizer = AutoTokenizer.from_pretrained(path)
        images = Qwen2VLImageProcessorPil.from_pretrained(path)
    except Exception as e:  # safetensors, json and transformers each raise kinds of their own
        raise BadData(f"the model in {path} cannot be read ({type(e).__name__}: {e}); is a file truncated?") from e
    check_finite(model, path)
    _check_patches(model, images, path)
    return VLM(model, tokenizer, images, path)


def _check_patches(model: Model, images: Qwen2VLImageProcessorPil, path: Path) -> None:
    """The image processor must cut pictures as the vision tower reads them: sizes of another family break far from here."""
    tower = model.config.vision_config
    for key, theirs in (
        ("patch_size", "patch_size"),
        ("merge_size", "spatial_merge_size"),
        ("temporal_patch_size",) * 2,
    ):
        if getattr(images, key) != getattr(tower, theirs):
            raise BadData(
                f"{path}/preprocessor_config.json says {key}={getattr(images, key)}, and the vision tower in config.json has "
                f"{getattr(tower, theirs)}; get both files of the same checkpoint"
            )


def save_vlm(vlm: VLM, path: str | Path) -> None:
    """Write a folder that `load_vlm` and plain transformers read back."""
    vlm.model.save_pretrained(path)
    vlm.tokenizer.save_pretrained(path)
    vlm.image_processor.save_pretrained(path)


def collate(
    vlm: VLM, prompts: Sequence[EncodedPrompt], completions: Sequence[Sequence[int]] | None = None, side: str = "right"
) -> dict[str, Any]:
    """Pad prompts (+ completions) to one batch of model arguments; `side` is where the padding goes.

    Returns input_ids, attention_mask, mm_token_type_ids [B, T] and, where any prompt has images, pixel_values [ΣN, D]
    and image_grid_thw [Σn, 3], on the model's device.
    """
    rows = [p.input_ids for p in prompts]
    if completions is not None:
        rows = [torch.cat([r, torch.as_tensor(c, dtype=torch.long)]) for r, c in zip(rows, completions, strict=True)]
    device = vlm.model.device
    width = max(len(r) for r in rows)
    ids = torch.full((len(rows), width), vlm.pad_id, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for b, row in enumerate(rows):
        span = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        ids[b, span], mask[b, span] = row, 1
    pictured = [p for p in prompts if p.pixel_values is not None]
    return {
        "input_ids": ids.to(device),
        "attention_mask": mask.to(device),
        "mm_token_type_ids": (ids == vlm.image_token_id).long().to(device),
        "pixel_values": torch.cat([p.pixel_values for p in pictured]).to(device) if pictured else None,
        "image_grid_thw": torch.cat([p.grid_thw for p in pictured]).to(device) if pictured else None,
    }
