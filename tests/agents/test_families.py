"""Every family that is run: which one a checkpoint is, its files, its positions, its pictures; others are refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from PIL import Image

from agents.backends.base import ModelRequest, Sampling
from agents.backends.families import FAMILIES, expected_family, family_named, family_of
from agents.backends.hf import HFBackend
from agents.backends.prompts import compute_features
from agents.backends.vlm import VLM, collate, load_vlm, save_vlm
from common.errors import BadData, BadInput
from editors.published import PUBLISHED
from experiments.build.decomposers import VLMDecomposer
from experiments.build.judges import LocalJudge
from experiments.preflight.machine import missing_of
from rl.policies.text import TextBatch, TextPolicy
from tests.tiny_models import both_families

RED, WIDE = Image.new("RGB", (64, 64), (200, 9, 9)), Image.new("RGB", (64, 32), (9, 9, 200))
REQUESTS = [
    ModelRequest("recolor", (RED,)),
    ModelRequest("a longer one without a picture"),
    ModelRequest(parts=("this", WIDE, RED, "or that", WIDE)),
]


def changed(source: Path, target: Path, file: str, **values: Any) -> Path:
    """A copy of a checkpoint with other values in one of its files."""
    shutil.copytree(source, target)
    path = target / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return target


def test_the_table_agrees_with_the_libraries() -> None:
    """Classes that transformers has, under the names that it gives their configurations, and repositories whose sizes are known."""
    for family in FAMILIES:
        config = getattr(transformers, family.model_class).config_class
        assert config.model_type == family.model_type and family_named(family.model_type, "") is family
        for name in family.published:
            (part,) = PUBLISHED[name].values()
            tower = part.config["vision_config"]
            assert part.kind == family.model_class and expected_family(f"models/{name.partition('/')[2]}") is family
            assert (tower["patch_size"], tower["spatial_merge_size"]) == (family.patch, family.merge)
            assert bool(tower.get("deepstack_visual_indexes")) == family.deepstack


@both_families
def test_config_json_decides_and_the_table_describes_the_model(tiny_vlm: VLM, tiny_vlm_path: Path) -> None:
    family, body = family_of(tiny_vlm_path), tiny_vlm.model.model
    assert tiny_vlm.family is family is expected_family(tiny_vlm_path)
    assert type(tiny_vlm.model).__name__ == family.model_class
    names = {n.partition(".")[2] for n, m in body.visual.blocks.named_modules() if isinstance(m, torch.nn.Linear)}
    assert names == set(family.vision_linear) and sum(n.startswith("mlp.") for n in names) == family.vision_mlp
    assert hasattr(body.language_model.layers[0].self_attn, "q_norm") == family.head_norm
    assert hasattr(body.visual, "deepstack_merger_list") == family.deepstack


@both_families
def test_saved_and_loaded_by_us_and_by_plain_transformers(tiny_vlm: VLM, tmp_path: Path) -> None:
    save_vlm(tiny_vlm, tmp_path)
    ours = load_vlm(tmp_path)
    theirs = transformers.AutoModelForImageTextToText.from_pretrained(tmp_path)
    assert type(theirs) is type(ours.model)
    for a, b, c in zip(tiny_vlm.model.parameters(), ours.model.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)
    for a, b in zip(ours.encode(REQUESTS), tiny_vlm.encode(REQUESTS), strict=True):
        assert torch.equal(a.input_ids, b.input_ids) and (
            a.pixel_values is None or torch.equal(a.pixel_values, b.pixel_values)
        )


@both_families
@torch.no_grad()
def test_positions_and_features_are_those_of_the_models_own_forward(tiny_vlm: VLM, tiny_vlm_path: Path) -> None:
    """Several pictures in a prompt too: their order, their shapes, and which level goes where."""
    plain, seen = load_vlm(tiny_vlm_path), {}
    decoder = plain.model.model.language_model
    decoder.register_forward_pre_hook(lambda _, args, kw: seen.update(kw), with_kwargs=True)
    for prompt, other in zip(tiny_vlm.encode(REQUESTS), plain.encode(REQUESTS), strict=True):
        plain.model.model(**collate(plain, [other]), use_cache=False)
        (positions,) = tiny_vlm.prompts.positions([prompt])
        theirs = seen["position_ids"]
        theirs = torch.arange(len(prompt)).expand(3, -1) if theirs is None else theirs[-3:, 0]
        assert torch.equal(positions.prompt_3T, theirs) and positions.after == int(theirs.max()) + 1
        places = prompt.input_ids == tiny_vlm.image_token_id
        (features,) = compute_features(tiny_vlm, [prompt])
        assert sum(map(len, features)) == int(places.sum())
        levels = [seen["inputs_embeds"][0, places], *(seen.get("deepstack_visual_embeds") or ())]
        if features:
            assert torch.allclose(torch.cat(features), torch.cat(levels, -1), atol=1e-5)


@both_families
@torch.no_grad()
def test_padding_side_does_not_change_the_last_hidden_state(tiny_vlm: VLM) -> None:
    prompts = tiny_vlm.encode(REQUESTS)
    body = tiny_vlm.model.model
    left = body(**collate(tiny_vlm, prompts, side="left"), use_cache=False).last_hidden_state[:, -1]
    alone = [body(**collate(tiny_vlm, [p]), use_cache=False).last_hidden_state[0, -1] for p in prompts]
    assert (left - torch.stack(alone)).abs().max() < 1e-4


@torch.no_grad()
def test_features_of_every_level_reach_the_log_probs(tiny_vlm_paths: Any) -> None:
    """So that the comparisons with transformers would notice a level that is lost or swapped."""
    vlm = load_vlm(tiny_vlm_paths("qwen3_vl"))
    policy, prompts = TextPolicy(vlm), vlm.encode(REQUESTS[:1])
    ((whole,),) = features = vlm.prompts.features(prompts)
    levels = list(whole.split(vlm.model.config.text_config.hidden_size, -1))
    assert len(levels) == 3
    found = []
    for order in ([0, 1, 2], [0, 2, 1], [1, 0, 2]):
        features[0] = (torch.cat([levels[k] for k in order], -1),)
        vlm.prompts.features = lambda prompts: features
        found.append(policy(TextBatch(prompts, [[20, 30, 40]])).logp_BT)
    assert min((found[0] - other).abs().max() for other in found[1:]) > 1e-3


@both_families
def test_two_pictures_in_one_request_are_told_apart(tiny_vlm: VLM) -> None:
    """The order counts, and answers do not depend on whether the features were computed together."""
    backend, greedy = HFBackend(tiny_vlm), Sampling(6, temperature=0.0)
    orders = [ModelRequest("which one?", pictures) for pictures in ((RED, WIDE), (WIDE, RED), (RED, RED), (RED,))]
    ((one,), (two,), (three,), (four,)) = backend.generate(orders, 1, greedy)
    assert len({one.logprobs, two.logprobs, three.logprobs, four.logprobs}) == 4
    assert backend.generate(orders[:1], 1, greedy)[0][0].token_ids == one.token_ids


def test_an_unknown_family_is_refused_with_the_known_ones(tiny_vlm_path: Path, tmp_path: Path) -> None:
    other = changed(tiny_vlm_path, tmp_path / "other", "config.json", model_type="llava_next")
    said = r"llava_next; the known families are Qwen2.5-VL \(model_type qwen2_5_vl\), Qwen3-VL \(model_type qwen3_vl\)"
    with pytest.raises(BadInput, match=said):
        load_vlm(other)
    for part in (VLMDecomposer("mine", str(other)), LocalJudge("vlm", str(other))):  # before anything is loaded
        (line,) = missing_of(part)
        assert "llava_next" in line and "Qwen3-VL" in line and str(other) in line
    (other / "config.json").write_text('{"model_type": ')
    with pytest.raises(BadData, match="config.json"):
        load_vlm(other)


@both_families
def test_a_picture_processor_of_another_model_is_refused(tiny_vlm_path: Path, tmp_path: Path) -> None:
    other = changed(tiny_vlm_path, tmp_path / "other", "preprocessor_config.json", patch_size=14)
    with pytest.raises(BadData, match="preprocessor_config.json says patch_size=14, and the vision tower .* has 8"):
        load_vlm(other)


@both_families
def test_as_decomposer_it_is_bounded_in_whole_tokens(tiny_vlm_path: Path) -> None:
    vlm = VLMDecomposer("mine", str(tiny_vlm_path), max_pixels=784).load("cpu")
    (prompt,) = vlm.encode([ModelRequest("x", (Image.new("RGB", (640, 480)),))])
    assert 1 <= int((prompt.input_ids == vlm.image_token_id).sum()) <= 784 // 16**2
