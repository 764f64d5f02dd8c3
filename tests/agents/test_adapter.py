"""A published LoRA merged into its base: what peft itself computes, and nothing that goes unnoticed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from agents.backends.adapter import merge_adapter
from agents.backends.vlm import VLM, collate, load_vlm
from common.errors import BadData, MissingFile
from tests.agents.test_hf_backend import requests
from tests.tiny_models import both_families, build_tiny_vlm


def logits(vlm: VLM, model: Any = None) -> torch.Tensor:
    with torch.no_grad():
        return (model or vlm.model)(**collate(vlm, vlm.encode(requests(3)), side="left")).logits[:, -1]


def trained(path: Path, folder: Path) -> torch.Tensor:
    """A LoRA with numbers in it, saved as peft does; what the model says with it."""
    from peft import LoraConfig, get_peft_model

    vlm = load_vlm(path)
    torch.manual_seed(3)
    config = LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "down_proj"])
    model: Any = get_peft_model(vlm.model, config)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "lora_B" in name:
                value.normal_(0, 0.1)
    model.save_pretrained(folder)
    return logits(vlm, model.eval())


@both_families
def test_the_merged_model_says_what_the_model_with_the_adapter_says(tiny_vlm_path: Path, tmp_path: Path) -> None:
    said = trained(tiny_vlm_path, tmp_path / "lora")
    base = load_vlm(tiny_vlm_path)
    before, names = logits(base), [name for name, _ in base.model.named_parameters()]
    merged = merge_adapter(base, tmp_path / "lora")
    assert torch.allclose(logits(merged), said, atol=1e-5) and not torch.allclose(before, said, atol=1e-3)
    assert [name for name, _ in merged.model.named_parameters()] == names  # a plain model again
    assert merged.family is load_vlm(tiny_vlm_path).family


def test_names_of_earlier_versions_of_transformers_are_known(tiny_vlm_path: Path, tmp_path: Path) -> None:
    said = trained(tiny_vlm_path, tmp_path / "lora")
    file = tmp_path / "lora" / "adapter_model.safetensors"
    earlier = {
        name.replace("model.language_model.layers", "model.layers").replace("model.model.visual", "model.visual"): value
        for name, value in load_file(file).items()
    }
    assert set(earlier) != set(load_file(file))
    save_file(earlier, file)
    assert torch.allclose(logits(merge_adapter(load_vlm(tiny_vlm_path), tmp_path / "lora")), said, atol=1e-5)


def test_an_adapter_that_has_no_place_is_refused(tiny_vlm_path: Path, tmp_path: Path) -> None:
    trained(tiny_vlm_path, tmp_path / "lora")
    file = tmp_path / "lora" / "adapter_model.safetensors"
    save_file({name.replace("layers.1", "layers.7"): v for name, v in load_file(file).items()}, file)
    with pytest.raises(BadData, match="have no place"):
        merge_adapter(load_vlm(tiny_vlm_path), tmp_path / "lora")
    trained(build_tiny_vlm(tmp_path / "wide", hidden=128), tmp_path / "other")
    with pytest.raises(BadData, match="does not fit"):
        merge_adapter(load_vlm(tiny_vlm_path), tmp_path / "other")


def test_a_folder_without_an_adapter_is_named(tiny_vlm_path: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="adapter_config.json is missing"):
        merge_adapter(load_vlm(tiny_vlm_path), tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({}))
    with pytest.raises(MissingFile, match="adapter_model.safetensors is missing"):
        merge_adapter(load_vlm(tiny_vlm_path), tmp_path)
