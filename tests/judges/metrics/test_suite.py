"""Metrics by name on a benchmark's items: keys, reasons, what is opened, what is missing, configuration."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from benchmarks.item import Item
from common.errors import BadInput, MissingFile
from conf.parts import from_values
from experiments.build.metrics import MetricSet
from experiments.runs.cli import CONF
from judges.metrics import ALWAYS, CHEAP, NAMES, TABLE, Weights, make_metrics, missing_metric_weights
from judges.metrics.drift import KEYS as DRIFT
from judges.metrics.names import parse
from judges.metrics.weights import BACKBONES, MODEL_NAMES
from tests.judges.metrics.photographs import photograph, shifted
from tests.judges.metrics.tiny_encoders import save_clip, save_dino

CAT, CUP = photograph("chelsea"), photograph("coffee")


def item(**more: Any) -> Item:
    return Item("1", "a request", (), source=lambda: CAT, **more)


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    return Weights(clip=str(save_clip(tmp_path / "clip")), dino=str(save_dino(tmp_path / "dino")))


# ------------------------------------------------------------------------------------------------------------ measuring
def test_cheap_metrics_and_drift_of_an_item() -> None:
    metrics = make_metrics(CHEAP)
    assert metrics.keys == (*CHEAP, *DRIFT)
    row = metrics.measure(item(), shifted(CAT, 2, 0))
    assert tuple(row) == metrics.keys
    assert row["l1"] is row["psnr"] is row["ssim"] is None
    assert row["l1@source"] > 0
    assert row["drift_dx"] == pytest.approx(2, abs=0.05)
    assert json.loads(json.dumps(row, allow_nan=False)) == row


def test_readings_say_why_there_is_no_number() -> None:
    row = make_metrics(["l1"]).readings([item()], [CAT])[0]
    assert row["l1"].reason == "the item has no reference picture"
    text_only = make_metrics(["l1@source"]).readings([Item("2", "x", ())], [CAT])[0]
    assert {r.reason for r in text_only.values()} == {"the item has no source picture"}


def test_everything_at_once_is_finite_also_for_an_unchanged_picture(weights: Weights) -> None:
    names = [n for n in NAMES if TABLE[n].family != "lpips"]
    metrics = make_metrics(names, "cpu", weights)
    mask = Image.new("L", CAT.size)
    mask.paste(255, (50, 50, 150, 150))
    facts = {"source_caption": "a cat", "target_caption": "a dog"}
    whole = item(reference=lambda: CAT, mask=lambda: mask, facts=facts)
    rows = metrics.measure_batch([whole, whole], [CAT, CUP])
    for row in rows:
        json.dumps(row, allow_nan=False)
    assert all(v is not None for v in rows[0].values())
    assert rows[0]["psnr"] == rows[0]["bg_psnr"] == 100
    assert rows[0]["clip_i"] == pytest.approx(1) == rows[0]["dino"]
    assert rows[1]["clip_i"] < rows[0]["clip_i"]
    assert rows[1]["drift_px"] is None  # another picture altogether


def test_emu_edits_own_names_for_captions_are_known(weights: Weights) -> None:
    metrics = make_metrics(["clip_t", "clip_dir"], "cpu", weights)
    a = metrics.measure(item(facts={"input_caption": "a cat", "output_caption": "a dog"}), CUP)
    b = metrics.measure(item(facts={"source_caption": "a cat", "target_caption": "a dog"}), CUP)
    assert a == b
    assert a["clip_dir"] is not None


def test_only_pictures_that_are_needed_are_opened() -> None:
    def closed() -> Image.Image:
        raise AssertionError("nobody needs this picture")

    row = make_metrics(["l1@source"]).measure(item(reference=closed, mask=closed), CUP)
    assert row["l1@source"] > 0


def test_the_source_of_a_later_turn_is_what_the_editor_was_given() -> None:
    later = Item("1", "x", (), picture=CUP, source=lambda: CAT, turn=1)
    assert make_metrics(["l1@source"]).measure(later, CUP)["l1@source"] == 0


def test_no_names_no_metrics() -> None:
    metrics = make_metrics([])
    assert metrics.keys == ()
    assert metrics.measure(item(), CAT) == {}


def test_a_batch_must_have_one_picture_per_item() -> None:
    with pytest.raises(ValueError):
        make_metrics(["l1"]).measure_batch([item()], [CAT, CUP])


# ---------------------------------------------------------------------------------------------------------------- names
@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["l3"], "there is no metric 'l3'"),
        (["clip_dri"], "did you mean 'clip_dir'"),
        (["l1@target"], "write l1@reference or l1@source"),
        (["drift@reference"], "write drift alone"),
        (["l1", "l1@reference"], "'l1' and 'l1@reference' are the same"),
    ],
)
def test_a_wrong_name_is_refused(names: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words.replace("?", r"\?")):
        parse(names)


def test_drift_is_always_there_and_never_twice() -> None:
    assert ALWAYS == ("drift",)
    assert make_metrics(["l1"]).keys == ("l1", *DRIFT)
    assert make_metrics(["drift", "l1"]).keys == (*DRIFT, "l1")


# -------------------------------------------------------------------------------------------------------------- weights
def test_metrics_without_a_model_lack_nothing() -> None:
    assert missing_metric_weights([*CHEAP, "bg_ssim", "drift"]) == []


def test_what_is_missing_is_said_before_anything_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    nowhere = Weights(clip="nobody/no-clip", dino=str(tmp_path / "no-dino"))
    lines = missing_metric_weights(NAMES, nowhere)
    text = "\n".join(lines)
    assert "weights of the metric clip_i: nobody/no-clip" in text
    assert "hf download nobody/no-clip" in text
    assert "weights of the metric dino" in text
    assert "alexnet-owt-7be5be79.pth" in text
    assert "torchvision.models.alexnet(weights='DEFAULT')" in text
    assert not any("\n" in line for line in lines)
    with pytest.raises(MissingFile, match="nobody/no-clip"):
        make_metrics(["clip_i"], "cpu", nowhere)


def test_an_incomplete_or_wrong_folder_is_named(weights: Weights) -> None:
    assert missing_metric_weights(["clip_i", "dino"], weights) == []
    clip = Path(weights.clip)
    (clip / "vocab.json").rename(clip / "away.json")
    (clip / "model.safetensors").unlink()
    lines = missing_metric_weights(["clip_dir"], weights)
    assert len(lines) == 2
    assert "none of model.safetensors" in lines[0]
    assert lines[1].startswith("tokenizer of the metric clip_dir")
    swapped = missing_metric_weights(["clip_i"], Weights(clip=weights.dino))
    assert "holds a vit" in swapped[0]


def test_an_unknown_backbone_is_refused() -> None:
    assert "choose alex, vgg, squeeze" in missing_metric_weights(["lpips"], Weights(lpips="resnet"))[0]


@pytest.mark.parametrize("net", BACKBONES)
def test_the_backbones_files_are_those_that_torchvision_loads(net: str) -> None:
    models = pytest.importorskip("torchvision.models")
    assert models.get_model_weights(MODEL_NAMES[net]).DEFAULT.url.endswith(BACKBONES[net])


# -------------------------------------------------------------------------------------------------------- configuration
@pytest.mark.parametrize("choice", ["none", "basic", "full"])
def test_the_groups_choices_are_typed_and_known(choice: str) -> None:
    config = from_values("metrics", OmegaConf.to_container(OmegaConf.load(CONF / "metrics" / f"{choice}.yaml")))
    assert isinstance(config, MetricSet)
    assert config.name == choice
    parse(config.names)
    assert ("drift" in config.names) == (choice != "none")
    if choice == "full":
        assert {n.base for n in parse(config.names)} >= set(NAMES) - {"l2"}


def test_defaults_of_the_configuration_are_those_of_the_code() -> None:
    config = MetricSet("x")
    assert {f.name: getattr(config, f.name) for f in fields(Weights)} == vars(Weights())
