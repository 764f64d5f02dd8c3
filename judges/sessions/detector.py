"""Finding named objects in pictures: boxes with scores, from GroundingDINO (arXiv 2303.05499) or anything of the same protocol."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from common.errors import BadData
from common.pictures import to_rgb

SHORTEST, LONGEST = 800, 1333  # pixels: the sides that a picture is brought to, as published
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
MAX_TOKENS = 256  # of a text; what comes after them is not looked for, as published


@dataclass(frozen=True)
class Box:
    """Corners in pixels of the picture that was given, the score from 0 to 1, and the name that the box fits best."""

    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0
    name: str = ""

    @property
    def centre(self) -> tuple[int, int]:
        """Whole pixels, rounded down, as the published server gives them."""
        return int((self.left + self.right) / 2), int((self.top + self.bottom) / 2)


@dataclass(frozen=True)
class Look:
    """What is to be found where. A box counts where some word of the text fits it better than `box_threshold`; it bears the name
    of the best word, or "" where that is not above `text_threshold`. Several names are looked for in one pass."""

    picture: Image.Image
    names: tuple[str, ...]
    box_threshold: float
    text_threshold: float


class Detector(Protocol):
    """Finds objects; many looks are given at once, so that a model can see them in batches."""

    def detect(self, looks: Sequence[Look]) -> list[tuple[Box, ...]]:
        """The boxes of each look in the model's own order, which is not that of their scores."""
        ...


class GroundingDino:
    """GroundingDINO as transformers has it, e.g. the SwinT-OGC checkpoint IDEA-Research/grounding-dino-tiny.

    Looks of pictures of one size with texts of one length are seen together, up to `batch_size`: nothing is padded, so that a
    look's boxes do not depend on what else is looked at.
    """

    def __init__(
        self,
        folder: Path,
        device: str = "cpu",
        batch_size: int = 8,
        shortest: int = SHORTEST,
        longest: int = LONGEST,
    ) -> None:
        """Raises BadData naming the folder for weights that are damaged, incomplete, or of another kind of model."""
        from transformers import AutoTokenizer, GroundingDinoForObjectDetection, GroundingDinoImageProcessorPil

        self.model = load_model(GroundingDinoForObjectDetection, folder).to(device)
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadData(f"the tokenizer in {folder} cannot be read ({error}); download the model again") from error
        size = {"shortest_edge": shortest, "longest_edge": longest}
        self.images_to: Any = GroundingDinoImageProcessorPil(size=size, **IMAGENET)
        self.device, self.batch_size = device, batch_size

    def detect(self, looks: Sequence[Look]) -> list[tuple[Box, ...]]:
        found: list[tuple[Box, ...]] = [()] * len(looks)
        groups: dict[tuple[Any, ...], list[tuple[int, _Text]]] = {}
        for i, look in enumerate(looks):
            if (text := self._text(look.names)) is not None:
                groups.setdefault((look.picture.size, len(text.ids)), []).append((i, text))
        for group in groups.values():
            for start in range(0, len(group), self.batch_size):
                part = group[start : start + self.batch_size]
                answers = self._forward([looks[i] for i, _ in part], [text for _, text in part])
                for (i, text), (fits, corners) in zip(part, answers, strict=True):
                    found[i] = boxes_of(fits, corners, text.owners, text.names, looks[i])
        return found

    def _text(self, names: Sequence[str]) -> _Text | None:
        """None where no name is left to look for."""
        text, cleaned, spans = caption(names)
        if not cleaned:
            return None
        tokens = self.tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_offsets_mapping=True)
        owners = [
            next((k for k, (start, end) in enumerate(spans) if start <= first and last <= end and first < last), -1)
            for first, last in tokens["offset_mapping"]
        ]
        return _Text(tuple(tokens["input_ids"]), tuple(owners), cleaned)

    @torch.no_grad()
    def _forward(self, looks: Sequence[Look], texts: Sequence[_Text]) -> list[tuple[Tensor, Tensor]]:
        """For each look how well each token fits each query, float[Q, T] from 0 to 1, and the boxes, float[Q, 4]: centre, width
        and height as shares of the picture."""
        seen = self.images_to([to_rgb(look.picture) for look in looks], return_tensors="pt")
        ids = torch.tensor([text.ids for text in texts], device=self.device)
        out = self.model(
            pixel_values=seen["pixel_values"].to(self.device),
            pixel_mask=seen["pixel_mask"].to(self.device),
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            token_type_ids=torch.zeros_like(ids),
        )
        fits = out.logits.float().sigmoid()[..., : ids.shape[1]].cpu()  # what follows the text is padding
        return list(zip(fits, out.pred_boxes.float().cpu(), strict=True))


@dataclass(frozen=True)
class _Text:
    ids: tuple[int, ...]
    owners: tuple[int, ...]  # of each token: the number of its name, -1 for none
    names: tuple[str, ...]


def caption(names: Sequence[str]) -> tuple[str, tuple[str, ...], list[tuple[int, int]]]:
    """The text that is looked for, "a dog . a tree .": lower case, without full stops within a name; the names as they stand in it,
    and where each begins and ends. Empty names are left out."""
    cleaned = tuple(c for name in names if (c := " ".join(name.lower().replace(".", "").split())))
    spans, at = [], 0
    for name in cleaned:
        spans.append((at, at + len(name)))
        at += len(name) + len(" . ")
    return " . ".join(cleaned) + " ." if cleaned else "", cleaned, spans


def boxes_of(fits: Tensor, corners: Tensor, owners: Sequence[int], names: Sequence[str], look: Look) -> tuple[Box, ...]:
    """The boxes above the look's threshold. `fits`: float[Q, T], `corners`: float[Q, 4] as shares (centre, width, height),
    `owners`: of each token the number of its name or -1."""
    width, height = look.picture.size
    found = []
    for fit, (x, y, w, h) in zip(fits, corners.tolist(), strict=True):
        score = float(fit.max())
        if score <= look.box_threshold:
            continue
        best, owner = max(
            ((float(f), owner) for f, owner in zip(fit, owners, strict=True) if owner >= 0), default=(0.0, -1)
        )
        name = names[owner] if best > look.text_threshold else ""
        left, right = (x - w / 2) * width, (x + w / 2) * width
        top, bottom = (y - h / 2) * height, (y + h / 2) * height
        found.append(Box(left, top, right, bottom, score, name))
    return tuple(found)


def load_model(kind: Any, folder: Path) -> Any:
    """A model of transformers in float32, for inference. Raises BadData naming the folder."""
    wanted = kind.config_class.model_type
    try:
        model_type = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise BadData(f"{folder / 'config.json'} cannot be read ({error}); download the model again") from error
    if model_type != wanted:
        raise BadData(f"{folder} holds a {model_type} where a {wanted} is needed")
    try:
        model, info = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise BadData(f"the weights in {folder} cannot be loaded ({type(error).__name__}: {error})") from error
    if missing := sorted(info["missing_keys"]):  # transformers would draw them at random and only warn
        raise BadData(f"{len(missing)} weights are not in {folder}, e.g. {missing[0]}; download the model again")
    return model.eval().float()


__all__ = ["Box", "Detector", "GroundingDino", "Look", "boxes_of", "caption", "load_model"]
