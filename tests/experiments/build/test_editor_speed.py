"""Options of diffusion editors: what `auto` stands for, pictures that stay as they are, and approximations that are called so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from common.errors import BadInput
from common.weights import stored_bytes
from editors.attention import fault, use_attention
from editors.channels_last import side_by_side
from editors.compiling import SAVED, SPEED, START_S, compiles
from editors.fast_gelu import use_fast_gelu
from editors.flow_editor import FlowEditor
from editors.loading import load_pipeline
from editors.onednn import use_onednn
from editors.parts import Size, count_parameters, parts_of
from editors.quantize import FORMATS, PARTS, lacks, weight_bytes
from editors.settings import Forwards
from experiments.benches.editors.approximate import block_calls, change
from experiments.build.editor_speed import speed_of
from experiments.build.editors import DiffusionEditor, KontextEditor, QwenEditor, make_editor
from experiments.evaluation.load import Section
from experiments.runs.checks import check_exact_editor
from tests.editor_pipelines import noise_picture

TINY = Path(__file__).parents[3] / "assets" / "tiny"
COMMON: dict[str, Any] = {"steps": 2, "area": 64 * 64, "max_sequence_length": 64}
KINDS: dict[str, DiffusionEditor] = {
    "qwen": QwenEditor("qwen", str(TINY / "qwen_image_edit"), true_cfg=2.0, **COMMON),
    "flux_kontext": KontextEditor("flux_kontext", str(TINY / "flux_kontext"), true_cfg=3.0, **COMMON),
}
TEXTS = ["make the star red", "remove the large blue circle"]
LEVELS = 2  # of 255, by which another order of additions may part two pictures


def edited(part: DiffusionEditor) -> np.ndarray:
    editor = make_editor(part)
    return pixels(editor.edit([noise_picture((64, 64), s) for s in (0, 1)], TEXTS, [3, 4]))


def pixels(pictures: Any) -> np.ndarray:
    return np.stack([np.asarray(picture, int) for picture in pictures])


@pytest.mark.parametrize("kind", KINDS)
def test_on_a_cpu_defaults_change_no_bit_and_every_option_keeps_the_pictures(kind: str) -> None:
    part = KINDS[kind]
    speed = speed_of(part, "cpu", edits=10**9)
    assert (speed.compile, speed.attention, speed.channels_last, speed.forwards) == (False, "", False, Forwards())
    pipe = load_pipeline(part.checkpoint, kind)  # as an editor was built before there were options
    for module in (m for m in pipe.components.values() if isinstance(m, torch.nn.Module)):
        use_onednn(module)
        use_fast_gelu(module)
    part.lean(pipe)
    plain = FlowEditor(part.model(pipe)).edit([noise_picture((64, 64), s) for s in (0, 1)], TEXTS, [3, 4])
    default = edited(part)
    assert np.array_equal(pixels(plain), default)
    options = {"attention": "native", "cfg_batch": True, "pad_texts": False, "vae_channels_last": True}
    together = edited(replace(part, **options))
    assert np.abs(together - default).max() <= LEVELS


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_blocks_make_the_same_pictures(kind: str) -> None:
    assert np.abs(edited(replace(KINDS[kind], compile=True)) - edited(KINDS[kind])).max() <= LEVELS


@pytest.mark.parametrize("kind", KINDS)
def test_channels_lie_side_by_side_through_the_whole_autoencoder(kind: str) -> None:
    editor: Any = make_editor(replace(KINDS[kind], vae_channels_last=True))
    seen = []
    for module in editor.model.pipe.vae.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Conv3d) and module.in_channels > 4:
            module.register_forward_hook(lambda m, given, out: seen.append(side_by_side(out)))
    model = editor.model
    prepared = model.prepare([noise_picture((64, 64))], TEXTS[:1])
    model.decode(prepared, model.noise(prepared, [0]))
    assert len(seen) > 10 and sum(seen) >= 0.9 * len(seen)


def test_what_auto_stands_for_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    part = KINDS["qwen"]
    for room in (True, False):
        monkeypatch.setattr("experiments.build.editor_speed.roomy", lambda editor, room=room: room)
        speed = speed_of(part, "cuda")
        assert speed.channels_last and speed.attention == "auto" and not speed.compile
        assert speed.forwards == Forwards(padded=False, both_branches=room)
    assert speed_of(part, "cuda", trained=True).attention == ""  # kernels without gradients are not chosen
    assert speed_of(replace(part, cfg_batch=True), "cuda").forwards == Forwards(
        True, True
    )  # which is asked for, has a price
    assert not speed_of(replace(part, true_cfg=1.0, cfg_batch=True), "cuda").forwards.both_branches
    with pytest.raises(BadInput, match="has no gradients"):
        speed_of(replace(part, attention="flash3"), "cuda", trained=True)


def test_compiling_pays_where_there_is_enough_to_denoise() -> None:
    enough = SPEED * START_S / SAVED
    assert not compiles("auto", 0.99 * enough, "cuda") and compiles("auto", 1.01 * enough, "cuda:0")
    assert not compiles("auto", 2 * enough, "cpu") and not compiles("auto", 2 * enough, "cuda", "sequential")
    assert compiles(True, 0, "cpu") and not compiles(False, 2 * enough, "cuda")


def test_contradictions_are_refused() -> None:
    for changes, said in (
        ({"attention": "flash", "pad_texts": True}, "cannot hide the padding"),
        ({"cache_threshold": 0.2}, "would be ignored"),
    ):
        with pytest.raises(BadInput, match=said):
            replace(KINDS["qwen"], **changes)
    replace(KINDS["flux_kontext"], attention="flash", cfg_batch=True)  # its texts have one length
    for kind, changes, said in (
        ("qwen", {"compile": True, "offload": "sequential"}, "GPU"),
        ("qwen", {"quantization": "int8", "lora": "x"}, "do not go together"),
        ("flux_kontext", {"attention": "flash"}, "for CUDA"),
    ):
        with pytest.raises(BadInput, match=said):
            make_editor(replace(KINDS[kind], **changes))
    with pytest.raises(BadInput, match="must be exact"):
        make_editor(replace(KINDS["qwen"], cache="first_block"), reward_path=True)


def test_an_attention_kernel_is_tried_and_leaves_other_models_alone() -> None:
    from diffusers.models.attention_dispatch import _AttentionBackendRegistry as registry

    assert not fault("native", torch.device("cpu"), torch.float32, 32)
    assert fault("cudnn", torch.device("cpu"), torch.float32, 32)
    before = registry.get_active_backend()[0]
    calls = []
    transformer = SimpleNamespace(
        dtype=torch.float32, config=SimpleNamespace(attention_head_dim=32), set_attention_backend=calls.append
    )
    assert use_attention(transformer, "auto", "cpu") == "native" and calls == []
    assert use_attention(transformer, "native", "cpu") == "native" and calls == ["native"]
    assert registry.get_active_backend()[0] == before
    with pytest.raises(BadInput, match="cannot hide the padding"):
        use_attention(transformer, "sage", "cuda", masks=True)
    with pytest.raises(BadInput, match="unknown"):
        use_attention(transformer, "fast", "cpu")


# ------------------------------------------------------------------------------------------------------ approximations
@pytest.mark.parametrize("kind", KINDS)
def test_a_first_block_cache_computes_less_and_changes_pictures_a_little(kind: str) -> None:
    part = replace(KINDS[kind], steps=8)
    counts, made = [], []
    for one in (part, replace(part, cache="first_block", cache_threshold=0.5)):
        editor: Any = make_editor(one)
        with block_calls(editor.model.blocks) as calls:
            made.append(editor.edit([noise_picture((64, 64))], TEXTS[:1], [3]))
        counts.append(calls[0])
    branches = 2
    assert counts[0] == 8 * branches * len(editor.model.blocks) > counts[1] >= 8 * branches
    apart = change(*made)["mean_difference"]
    assert apart is not None and 0 < apart < 40


def test_approximations_have_names_that_tables_show() -> None:
    part = replace(KINDS["qwen"], quantization="int8", cache="first_block", attention="sage")
    assert part.approximations == ("int8 weights", "first-block cache 0.1", "sage attention")
    assert part.settings()["approximate"] == list(part.approximations)
    assert KINDS["qwen"].approximations == () and "approximate" not in KINDS["qwen"].settings()
    claims = {"a/editor": {"editor": {"approximate": ["int8 weights"]}}, "b/editor": {"editor": {}}}
    section = SimpleNamespace(claims=claims)
    found = [Section.approximate(section, arm) for arm in ("a/editor", "a/editor_best", "b/editor")]  # type: ignore[arg-type]
    assert found == [("int8 weights",), ("int8 weights",), ()]


def test_nothing_is_trained_by_approximate_pictures() -> None:
    algo, sampler = SimpleNamespace(name="grpo"), SimpleNamespace(name="flow_grpo", sampling_steps=4)
    cached = replace(KINDS["qwen"], cache="first_block")

    def config(editor: Any, algo: Any = algo, pictures: bool = False, looped: bool = False) -> Any:
        reward, execution = SimpleNamespace(pictures=pictures), SimpleNamespace(looped=looped)
        return SimpleNamespace(editor=editor, algo=algo, reward=reward, execution=execution)

    check_exact_editor(config(cached))  # it only edits
    check_exact_editor(config(KINDS["qwen"], sampler, True, True))
    for wrong in (config(cached, sampler), config(cached, pictures=True), config(cached, looped=True)):
        with pytest.raises(BadInput, match=r"approximate \(first-block cache 0.1\)"):
            check_exact_editor(wrong)


def test_what_a_quantization_lacks() -> None:
    assert lacks("none", False, None) == "" == lacks("int8", True, None) == lacks("fp8", True, (9, 0))
    assert "make extra-quant" in lacks("int8", False, (9, 0))
    assert "8.9 or more" in lacks("fp8", True, (8, 0)) and "(this one has 8.0)" in lacks("fp8", True, (8, 0))
    assert "torch sees no GPU" in lacks("nf4", True, None)


def test_the_plan_counts_quantised_weights() -> None:
    size = Size(parameters=100, largest_module=50, matrices=80)
    assert weight_bytes(size, "transformer", "qwen", 2, "none") == weight_bytes(size, "vae", "qwen", 2, "int8") == 200
    assert weight_bytes(size, "transformer", "qwen", 2, "int8") == 20 * 2 + 80
    published = {name: count_parameters(part) for name, part in parts_of("Qwen/Qwen-Image-Edit").items()}
    whole = sum(weight_bytes(size, name, "qwen", 2, "none") for name, size in published.items())
    assert whole / 1e9 == pytest.approx(57.7, abs=0.2)
    shares = [sum(weight_bytes(s, n, "qwen", 2, q) for n, s in published.items()) / whole for q in FORMATS]
    assert shares == pytest.approx([0.52, 0.52, 0.29], abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_int8_weights_take_a_quarter_and_the_pictures_hardly_change(kind: str) -> None:
    pytest.importorskip("torchao")
    exact: Any = make_editor(KINDS[kind])
    part = replace(KINDS[kind], quantization="int8")
    small: Any = make_editor(part)
    for name in PARTS[kind]:
        size = count_parameters(parts_of(part.checkpoint)[name])
        module = getattr(small.model.pipe, name)
        counted = weight_bytes(size, name, kind, 4, "int8")
        assert counted <= stored_bytes(module) <= 1.1 * counted < stored_bytes(getattr(exact.model.pipe, name))
    one = ([noise_picture((64, 64))], TEXTS[:1], [3])
    apart = change(exact.edit(*one), small.edit(*one))["mean_difference"]
    assert apart is not None and apart < 5
