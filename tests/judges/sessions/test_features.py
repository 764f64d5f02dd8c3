"""DINOv3's tokens, from a tiny random model of the real class."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from common.errors import BadData
from judges.sessions.features import DinoV3
from tests.judges.sessions.tiny_sight import save_dinov3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dinov3(tmp_path_factory.mktemp("dinov3"))


@pytest.fixture(scope="module")
def features(folder: Path) -> DinoV3:
    return DinoV3(folder, side=32, batch_size=2)


def striped(size: tuple[int, int], colour: tuple[int, int, int]) -> Image.Image:
    picture = Image.new("RGB", size, (20, 40, 60))
    picture.paste(colour, (0, 0, size[0] // 2, size[1]))
    return picture


def test_tokens_are_split_into_cls_registers_and_patches(features: DinoV3) -> None:
    pictures = [striped((40, 30), c) for c in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    tokens = features.tokens(pictures)
    assert tokens.cls.shape == (3, 16) and tokens.registers.shape == (3, 4, 16)
    assert tokens.patches.shape == (3, 16, 16) and tokens.grid == (4, 4)
    with torch.no_grad():
        pixels = features.stretch(pictures, return_tensors="pt")["pixel_values"]
        whole = features.model(pixel_values=pixels).last_hidden_state
    assert torch.allclose(torch.cat([tokens.cls[:, None], tokens.registers, tokens.patches], 1), whole, atol=1e-5)
    alone = features.tokens(pictures[2:])
    assert torch.allclose(alone.patches[0], tokens.patches[2], atol=1e-5)


def test_a_crop_loses_the_ends_of_a_long_picture_and_stretching_does_not(features: DinoV3) -> None:
    long = Image.new("RGB", (128, 32), (20, 40, 60))
    changed = long.copy()
    changed.paste((255, 0, 0), (0, 0, 20, 32))
    stretched, cropped = (features.tokens([long, changed], crop=c).cls for c in (False, True))
    assert torch.equal(cropped[0], cropped[1]) and not torch.allclose(stretched[0], stretched[1], atol=1e-3)


def test_a_side_that_patches_do_not_fill_and_a_damaged_folder_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="patches of 8"):
        DinoV3(folder, side=30)
    with pytest.raises(BadData, match=str(tmp_path)):
        DinoV3(tmp_path)
