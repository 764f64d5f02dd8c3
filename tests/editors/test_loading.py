"""Loading pipeline folders: whole ones with every option, broken ones with the broken file's name."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from common.errors import BadData, BadInput, MissingFile
from editors.checkpoint import check_pipeline, read_header
from editors.flow_editor import FlowEditor
from editors.flux_kontext import KontextModel
from editors.loading import LIGHTNING_SCHEDULER, LoadOptions, load_pipeline
from editors.qwen import QwenModel
from editors.settings import FlowSettings
from tests.editor_pipelines import noise_picture, small_kontext, small_qwen

SETTINGS = FlowSettings(steps=2, area=64 * 64, max_sequence_length=16)
MODELS = {"qwen": QwenModel, "flux_kontext": KontextModel}


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_vlm_path) -> dict[str, Path]:
    """Saved pipelines: {kind: folder}, "plus" for QwenImageEditPlus."""
    from agents.backends.vlm import load_vlm

    root, vlm = tmp_path_factory.mktemp("pipelines"), load_vlm(tiny_vlm_path)
    small_qwen(vlm).save_pretrained(root / "qwen")
    small_qwen(vlm, plus=True).save_pretrained(root / "plus")
    small_kontext().save_pretrained(root / "flux_kontext")
    return {kind: root / kind for kind in ("qwen", "plus", "flux_kontext")}


@pytest.fixture
def broken(folders, tmp_path):
    """A copy of a folder to break."""

    def copy(kind: str) -> Path:
        return Path(shutil.copytree(folders[kind], tmp_path / kind))

    return copy


def edit(pipe, kind: str = "flux_kontext") -> np.ndarray:
    (image,) = FlowEditor(MODELS[kind](pipe, SETTINGS)).edit([noise_picture((64, 64))], ["add a red hat"], [0])
    return np.asarray(image, int)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Up to one level of rounding: where weights lie in memory decides the last bits of a product."""
    return int(np.abs(one - other).max()) <= 1


# -------------------------------------------------------------------------------------------------------------- whole
@pytest.mark.parametrize("kind", ["qwen", "flux_kontext"])
def test_what_is_loaded_is_what_was_saved(folders, tiny_vlm, kind):
    loaded = load_pipeline(folders[kind], kind)
    made = small_qwen(tiny_vlm) if kind == "qwen" else small_kontext()
    for part, module in made.components.items():
        if isinstance(module, torch.nn.Module):
            other = getattr(loaded, part)
            assert not other.training
            for (name, a), b in zip(module.state_dict().items(), other.state_dict().values(), strict=True):
                assert torch.equal(a, b), f"{part}.{name}"
    if kind == "qwen":  # the short template of the tests is no part of a checkpoint
        loaded.prompt_template_encode = made.prompt_template_encode
        loaded.prompt_template_encode_start_idx = made.prompt_template_encode_start_idx
    assert same(edit(loaded, kind), edit(made, kind))


def test_the_plus_line_is_loaded_as_such(folders):
    assert QwenModel(load_pipeline(folders["plus"], "qwen"), SETTINGS).plus
    assert check_pipeline(folders["plus"], "qwen") == "QwenImageEditPlusPipeline"


def test_number_formats(folders):
    pipe = load_pipeline(folders["flux_kontext"], "flux_kontext", LoadOptions(dtype="bfloat16"))
    assert pipe.transformer.dtype == pipe.vae.dtype == pipe.text_encoder_2.dtype == torch.bfloat16
    assert edit(pipe).shape == (64, 64, 3)


def test_options_reach_the_pipeline(folders):
    kind = "flux_kontext"
    plain = load_pipeline(folders[kind], kind)
    cached = load_pipeline(folders[kind], kind, LoadOptions(cache_threshold=1e-9, vae_tiling=True))
    assert cached.transformer.is_cache_enabled and not plain.transformer.is_cache_enabled
    with pytest.raises(BadInput, match="tiling"):
        FlowEditor(KontextModel(cached, SETTINGS), reward_path=True)
    assert same(edit(cached), edit(plain))  # a threshold that nothing passes, and a picture of one tile
    compiled = load_pipeline(folders[kind], kind, LoadOptions(compile=True))
    blocks = [*compiled.transformer.transformer_blocks, *compiled.transformer.single_transformer_blocks]
    assert all(block._compiled_call_impl is not None for block in blocks)


def test_lightning_brings_its_schedule(folders):
    pipe = load_pipeline(folders["qwen"], "qwen", LoadOptions(lightning=True))
    assert {key: pipe.scheduler.config[key] for key in LIGHTNING_SCHEDULER} == LIGHTNING_SCHEDULER
    model = QwenModel(pipe, replace(SETTINGS, steps=4))
    prepared = model.prepare([noise_picture((64, 64))], ["x"])
    sigmas = model.sigmas(prepared, 4).tolist()  # shift 3 at any size: s = 3u / (1 + 2u) for u = 1, 3/4, 1/2, 1/4
    assert sigmas == pytest.approx([1.0, 0.9, 0.75, 0.5, 0.0], abs=1e-6)
    with pytest.raises(BadInput, match="lightning"):
        load_pipeline(folders["flux_kontext"], "flux_kontext", LoadOptions(lightning=True))


# --------------------------------------------------------------------------------------------------------------- LoRA
@pytest.fixture
def lora(tmp_path) -> Path:
    """A random LoRA for the small FLUX Kontext."""
    pipe = small_kontext()
    torch.manual_seed(1)
    pipe.transformer.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    pipe.save_lora_weights(tmp_path / "lora", get_peft_model_state_dict(pipe.transformer))
    return tmp_path / "lora"


def test_a_lora_changes_the_picture_by_its_scale(folders, lora):
    kind = "flux_kontext"
    plain = edit(load_pipeline(folders[kind], kind))
    full = load_pipeline(folders[kind], kind, LoadOptions(lora=str(lora)))
    assert not same(edit(full), plain)
    name = "pytorch_lora_weights.safetensors"
    named = load_pipeline(folders[kind], kind, LoadOptions(lora=str(lora), lora_weight_name=name, lora_scale=0.0))
    assert same(edit(named), plain)
    half = load_pipeline(folders[kind], kind, LoadOptions(lora=str(lora / name), lora_scale=0.5))
    assert not same(edit(half), plain) and not same(edit(half), edit(full))


def test_loras_that_do_not_fit_are_refused(folders, lora, tmp_path):
    kind, name = "flux_kontext", "pytorch_lora_weights.safetensors"
    with pytest.raises(BadData, match="of another model"):  # half of it would go in, and the rest be forgotten
        load_pipeline(folders["qwen"], "qwen", LoadOptions(lora=str(lora)))
    with pytest.raises(MissingFile, match="none.safetensors"):
        load_pipeline(folders[kind], kind, LoadOptions(lora=str(lora), lora_weight_name="none.safetensors"))
    shutil.copy(lora / name, lora / "second.safetensors")
    with pytest.raises(BadInput, match="2 safetensors files"):
        load_pipeline(folders[kind], kind, LoadOptions(lora=str(lora)))
    (lora / name).write_bytes((lora / name).read_bytes()[:-100])
    with pytest.raises(BadData, match=f"{name} is cut short"):
        load_pipeline(folders[kind], kind, LoadOptions(lora=str(lora), lora_weight_name=name))
    with pytest.raises(MissingFile, match="no folder"):
        load_pipeline(folders[kind], kind, LoadOptions(lora=str(tmp_path / "nowhere")))


NAME = "pytorch_lora_weights.safetensors"


def changed(lora, change):
    file = lora / NAME
    save_file({k: v.contiguous() for k, v in change(load_file(file)).items()}, file)
    return LoadOptions(lora=str(file))


@pytest.mark.parametrize("shape", [(), (1,)])
def test_the_scale_of_an_adapter_may_be_a_number_or_a_list_of_one(folders, lora, shape):
    """alpha = rank leaves an adapter as it is, and its half halves it, whatever the shape alpha is saved in."""
    kind, file = "flux_kontext", lora / NAME
    whole = edit(load_pipeline(folders[kind], kind, LoadOptions(lora=str(file))))
    plain = load_file(file)

    def with_alpha(alpha):
        names = [k for k in plain if k.endswith("lora_A.weight")]
        alphas = {k.replace("lora_A.weight", "alpha"): torch.full(shape, alpha) for k in names}
        return edit(load_pipeline(folders[kind], kind, changed(lora, lambda _: {**plain, **alphas})))

    assert same(with_alpha(2.0), whole)
    assert not same(with_alpha(1.0), whole)


def test_an_adapter_that_changes_no_picture_is_said(folders, lora, caplog):
    kind, file = "flux_kontext", lora / NAME
    plain = load_file(file)
    load_pipeline(folders[kind], kind, LoadOptions(lora=str(file)))
    assert "changes no picture" not in caplog.text
    load_pipeline(folders[kind], kind, LoadOptions(lora=str(file), lora_scale=0.0))
    assert "lora_scale is 0" in caplog.text
    for part, needle in (("lora_B", "its B matrices are all zero"), ("lora_A", "its A or its B is zero")):
        caplog.clear()
        options = changed(lora, lambda _, part=part: {k: v * (part not in k) for k, v in plain.items()})
        load_pipeline(folders[kind], kind, options)
        assert "changes no picture" in caplog.text and needle in caplog.text


# ------------------------------------------------------------------------------------------------------------- broken
def test_what_is_no_pipeline_folder(folders, tmp_path):
    with pytest.raises(MissingFile, match="there is no folder"):
        load_pipeline(tmp_path / "none", "qwen")
    with pytest.raises(MissingFile, match="hf download Some/Model"):
        load_pipeline("Some/Model", "qwen")
    with pytest.raises(MissingFile, match="model_index.json"):
        load_pipeline(tmp_path, "qwen")
    with pytest.raises(BadInput, match="is a file"):
        load_pipeline(folders["qwen"] / "model_index.json", "qwen")
    with pytest.raises(BadInput, match="unknown kind"):
        load_pipeline(folders["qwen"], "sdxl")


def test_a_wrong_class_names_both(folders):
    with pytest.raises(BadData, match="is of a QwenImageEditPipeline; .* needs a FluxKontextPipeline"):
        load_pipeline(folders["qwen"], "flux_kontext")
    with pytest.raises(BadData, match="is of a FluxKontextPipeline; .* needs a QwenImageEditPipeline or QwenImage"):
        load_pipeline(folders["flux_kontext"], "qwen")


@pytest.mark.parametrize(
    "kind,gone",
    [
        ("qwen", "transformer"),
        ("qwen", "processor/processor_config.json"),
        ("qwen", "scheduler/scheduler_config.json"),
        ("flux_kontext", "vae/config.json"),
        ("flux_kontext", "tokenizer_2/tokenizer_config.json"),
        ("flux_kontext", "text_encoder_2/model.safetensors"),
    ],
)
def test_what_is_missing_is_named(broken, kind, gone):
    folder = broken(kind)
    path = folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(MissingFile, match=gone.rpartition("/")[0] or gone):
        load_pipeline(folder, kind)


@pytest.mark.parametrize("kind", ["qwen", "flux_kontext"])
@pytest.mark.parametrize("part", ["transformer", "text_encoder", "vae"])
def test_truncated_weights_are_named(broken, kind, part):
    folder = broken(kind)
    file = next((folder / part).glob("*.safetensors"))
    whole = file.read_bytes()
    for cut in (whole[:-1], whole[: len(whole) // 2], whole[:100], b""):
        file.write_bytes(cut)
        with pytest.raises(BadData, match=f"{part}/{file.name}"):
            load_pipeline(folder, kind)


@pytest.mark.parametrize("kind,part", [("qwen", "text_encoder"), ("qwen", "transformer"), ("flux_kontext", "vae")])
def test_missing_tensors_are_not_made_up(broken, kind, part):
    """Loaders fill them with random numbers and a warning."""
    folder = broken(kind)
    file = next((folder / part).glob("*.safetensors"))
    tensors = load_file(file)
    tensors.pop(next(name for name in tensors if name.endswith("weight")))
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(BadData, match=f"{part} .*(tensors are missing|cannot be loaded)|cannot be loaded"):
        load_pipeline(folder, kind)


def test_a_missing_shard_is_named(broken):
    folder = broken("flux_kontext")
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    names = list(load_file(file))
    index = {"weight_map": {name: f"part-{i % 2}.safetensors" for i, name in enumerate(names)}}
    (folder / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    file.rename(folder / "transformer" / "part-0.safetensors")
    with pytest.raises(MissingFile, match="transformer lacks part-1.safetensors"):
        load_pipeline(folder, "flux_kontext")


def test_damaged_configurations_are_named(broken):
    folder = broken("flux_kontext")
    (folder / "transformer" / "config.json").write_text('{"_class_name": ')
    with pytest.raises(BadData, match=r"transformer/config.json is damaged"):
        load_pipeline(folder, "flux_kontext")
    (folder / "model_index.json").write_text("[]")
    with pytest.raises(BadData, match=r"model_index.json is damaged"):
        load_pipeline(folder, "flux_kontext")


def test_a_configuration_of_another_size_does_not_load(broken):
    folder = broken("flux_kontext")
    path = folder / "transformer" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "num_single_layers": 5}))
    with pytest.raises(BadData, match="transformer"):
        load_pipeline(folder, "flux_kontext")


def test_a_header_says_how_long_a_file_is(tmp_path):
    file = tmp_path / "a.safetensors"
    save_file({"x": torch.zeros(3, 2)}, file)
    assert read_header(file)["x"]["shape"] == [3, 2]
    file.write_bytes(file.read_bytes() + b"more")
    with pytest.raises(BadData, match="too long"):
        read_header(file)
    file.write_bytes(b"no safetensors at all, but long enough to have a header")
    with pytest.raises(BadData, match="no whole safetensors"):
        read_header(file)


@pytest.mark.parametrize(
    "options,match",
    [
        ({"dtype": "int8"}, "dtype=int8"),
        ({"offload": "disk"}, "offload=disk"),
        ({"offload": "model"}, "need a GPU"),
        ({"device_map": "balanced"}, "need a GPU"),
        ({"cache_threshold": -1}, "cache_threshold"),
        ({"lora_weight_name": "x"}, "set lora too"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, match):
    with pytest.raises(BadInput, match=match):
        LoadOptions(**options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(BadInput, match="torch sees no GPU"):
        LoadOptions(device="cuda")
