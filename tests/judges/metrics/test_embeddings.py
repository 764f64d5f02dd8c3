"""CLIP and DINO metrics: the models' own outputs put through the formulas by hand, on tiny random models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPModel, CLIPTokenizer, Dinov2Model, ViTConfig, ViTModel

from common.errors import BadData
from judges.metrics.base import Case
from judges.metrics.embeddings import EmbeddingMetric
from judges.metrics.encoders import ClipEncoder, DinoEncoder, cosine
from judges.metrics.names import parse
from tests.judges.metrics.photographs import photograph
from tests.judges.metrics.tiny_encoders import SIDE, save_clip, save_dino, save_dinov2

PHOTOS = [photograph(n) for n in ("astronaut", "coffee", "chelsea")]
FROM, TO = "a cat on a chair", "a dog on a chair"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_dino(tmp_path_factory.mktemp("dino"))


def prepared(picture: Image.Image, shorter: int, crop: int, mean: list[float], std: list[float]) -> torch.Tensor:
    """Shorter side bicubic to `shorter`, centre crop, (x / 255 - mean) / std, in plain PIL and numpy."""
    w, h = picture.size
    size = (shorter, int(shorter * h / w)) if w <= h else (int(shorter * w / h), shorter)
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = ((side - crop) // 2 for side in size)
    a = np.asarray(picture.crop((left, top, left + crop, top + crop)), dtype=np.float64) / 255
    return torch.from_numpy((a - mean) / std).permute(2, 0, 1)[None].float()


def unit(v: torch.Tensor) -> torch.Tensor:
    v = v.detach().double()
    return v / (v**2).sum(-1, keepdim=True).sqrt()


@pytest.fixture(scope="module")
def by_hand(clip: Path) -> dict[str, torch.Tensor]:
    """Unit embeddings of the three photographs and two captions from the model itself."""
    model = CLIPModel.from_pretrained(clip).eval()
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]  # CLIP's
    tokenizer = CLIPTokenizer.from_pretrained(clip)
    result = {}
    for i, photo in enumerate(PHOTOS):
        pixels = prepared(photo, SIDE, SIDE, mean, std)
        result[str(i)] = unit(model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output))[0]
    for text in (FROM, TO):
        tokens = tokenizer(text, return_tensors="pt")["input_ids"]
        result[text] = unit(model.text_projection(model.text_model(input_ids=tokens).pooler_output))[0]
    return result


def test_clip_by_hand(clip: Path, by_hand: dict[str, torch.Tensor]) -> None:
    names = ("clip_i", "clip_i@source", "clip_t", "clip_dir")
    metric = EmbeddingMetric(parse(names), ClipEncoder(clip))
    case = Case(PHOTOS[0], source=PHOTOS[1], reference=PHOTOS[2], source_caption=FROM, target_caption=TO)
    row = metric.measure([case])[0]
    edited, source, reference = (by_hand[str(i)] for i in range(3))
    went, wanted = edited - source, by_hand[TO] - by_hand[FROM]
    expected = {
        "clip_i": float(edited @ reference),
        "clip_i@source": float(edited @ source),
        "clip_t": float(edited @ by_hand[TO]),
        "clip_dir": float(went @ wanted / went.norm() / wanted.norm()),
    }
    assert {k: r.value for k, r in row.items()} == pytest.approx(expected, abs=2e-3)
    assert max(expected.values()) - min(expected.values()) > 0.05  # the four are not the same number by accident


def test_a_batch_gives_what_its_cases_give_alone(clip: Path) -> None:
    metric = EmbeddingMetric(parse(["clip_i", "clip_t", "clip_dir"]), ClipEncoder(clip))
    cases = [
        Case(PHOTOS[i], source=PHOTOS[j], reference=PHOTOS[3 - i - j], source_caption=FROM, target_caption=TO * (i + 1))
        for i, j in ((0, 1), (1, 2), (2, 0))
    ]
    together = metric.measure(cases)
    for case, row in zip(cases, together, strict=True):
        alone = metric.measure([case])[0]
        assert {k: r.value for k, r in row.items()} == pytest.approx({k: r.value for k, r in alone.items()}, abs=1e-5)
    assert metric.measure([]) == []


def test_the_direction_turns_round_with_the_captions_and_is_0_where_nothing_happened(clip: Path) -> None:
    metric = EmbeddingMetric(parse(["clip_dir"]), ClipEncoder(clip))
    rows = metric.measure(
        [
            Case(PHOTOS[0], source=PHOTOS[1], source_caption=FROM, target_caption=TO),
            Case(PHOTOS[0], source=PHOTOS[1], source_caption=TO, target_caption=FROM),
            Case(PHOTOS[0], source=PHOTOS[0], source_caption=FROM, target_caption=TO),
        ]
    )
    there, back, nowhere = (row["clip_dir"].value for row in rows)
    assert there == pytest.approx(-back, abs=1e-9)
    assert nowhere == 0


def test_what_does_not_apply_is_none_with_a_reason(clip: Path) -> None:
    metric = EmbeddingMetric(parse(["clip_i", "clip_t", "clip_dir"]), ClipEncoder(clip))
    bare = metric.measure([Case(PHOTOS[0])])[0]
    assert [r.value for r in bare.values()] == [None] * 3
    assert bare["clip_i"].reason == "the item has no reference picture"
    assert bare["clip_t"].reason == "the item has no caption of the target"
    assert bare["clip_dir"].reason == "the item has no source picture"
    half = metric.measure([Case(PHOTOS[0], source=PHOTOS[1], target_caption=TO)])[0]
    assert half["clip_dir"].reason == "the item has no captions of source and target"
    same = metric.measure([Case(PHOTOS[0], source=PHOTOS[1], source_caption=TO, target_caption=TO)])[0]
    assert same["clip_dir"].reason == "the captions of source and target are the same"


def test_a_long_caption_is_cut_and_not_refused(clip: Path) -> None:
    encoder = ClipEncoder(clip)
    long = encoder.captions(["a cat " * 100, "a cat " * 200])
    assert torch.allclose(long[0], long[1])


def test_dino_by_hand(dino: Path) -> None:
    """The class token after the last norm. 32 pixels cut out of 36 = 32 * 8 / 7 rounded down."""
    model = ViTModel.from_pretrained(dino, add_pooling_layer=False).eval()
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    a, b = (unit(model(prepared(p, 36, SIDE, mean, std)).last_hidden_state[0, 0]) for p in PHOTOS[:2])
    row = EmbeddingMetric(parse(["dino"]), DinoEncoder(dino)).measure([Case(PHOTOS[0], reference=PHOTOS[1])])[0]
    assert row["dino"].value == pytest.approx(float(a @ b), abs=2e-3)


def test_dinov2_is_told_by_its_config(tmp_path: Path) -> None:
    encoder = DinoEncoder(save_dinov2(tmp_path))
    assert isinstance(encoder.model, Dinov2Model)
    row = EmbeddingMetric(parse(["dino", "dino@source"]), encoder).measure(
        [Case(PHOTOS[0], source=PHOTOS[0].copy(), reference=PHOTOS[1])]
    )[0]
    assert row["dino@source"].value == pytest.approx(1, abs=1e-9)
    assert -1 <= row["dino"].value < 1


def test_a_model_of_the_published_size_gets_224_of_256_pixels(tmp_path: Path) -> None:
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ViTModel(ViTConfig(**shape, image_size=224, patch_size=16), add_pooling_layer=False).save_pretrained(tmp_path)
    steps = DinoEncoder(tmp_path).images_to
    assert (steps.size["shortest_edge"], steps.crop_size["height"], steps.crop_size["width"]) == (256, 224, 224)


def test_identical_pictures_are_as_near_as_can_be(clip: Path, dino: Path) -> None:
    case = Case(PHOTOS[0], reference=PHOTOS[0].copy())
    for name, encoder in (("clip_i", ClipEncoder(clip)), ("dino", DinoEncoder(dino))):
        assert EmbeddingMetric(parse([name]), encoder).measure([case])[0][name].value == pytest.approx(1, abs=1e-6)


def test_a_model_with_missing_weights_is_refused_and_not_filled_at_random(dino: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(dino / "model.safetensors")
    gone = next(k for k in weights if "layernorm" in k)
    weights.pop(gone)
    (tmp_path / "config.json").write_bytes((dino / "config.json").read_bytes())
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadData, match="1 weights are not in"):
        DinoEncoder(tmp_path)


def test_cosine_by_hand() -> None:
    """(1, 2) and (2, 1): 4 / 5. A vector of length 0 points nowhere."""
    assert cosine(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0])) == pytest.approx(0.8)
    assert cosine(torch.zeros(2), torch.ones(2)) == 0
