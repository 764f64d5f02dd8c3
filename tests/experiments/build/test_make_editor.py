"""From a configuration to an editor that edits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.errors import BadInput
from editors.flow_editor import FlowEditor
from editors.gpt_image import GptImageEditor
from editors.nano_banana import NanoBananaEditor
from editors.sandbox import SandboxEditor
from experiments.build.editors import make_editor
from experiments.build.engines import TorchEngine
from experiments.runs.cli import compose, typed
from tests.saved_editors import save_kontext, save_qwen

CPU = TorchEngine(device="cpu")


def editor_config(*overrides: str) -> Any:
    config = typed(compose("run", list(overrides))).editor
    return config


@pytest.mark.parametrize("family", ["qwen", "flux_kontext"])
def test_a_diffusion_editor_edits_with_the_configured_settings(
    family: str, tmp_path: Path, tiny_vlm_path: Path
) -> None:
    folder = save_qwen(tmp_path, tiny_vlm_path) if family == "qwen" else save_kontext(tmp_path)
    settings = (
        "editor.steps=2",
        "editor.true_cfg=3",
        "editor.batch_size=2",
        "editor.area=1024",
        "editor.max_sequence_length=16",
    )
    editor = make_editor(editor_config(f"editor={family}", f"editor.checkpoint={folder}", *settings), CPU)
    assert isinstance(editor, FlowEditor) and not editor.reward_path
    result = editor.model.settings
    assert (result.steps, result.true_cfg, result.batch_size, result.area, result.max_sequence_length) == (
        2,
        3.0,
        2,
        1024,
        16,
    )
    assert result.guided and result.negative_prompt == " "
    pictures = [Image.new("RGB", size, "teal") for size in ((64, 64), (50, 40), (64, 64))]
    first = editor.edit(pictures, ["make it red", "make it blue", "make it red"], [1, 2, 3])
    assert [p.size for p in first] == [p.size for p in pictures]
    again = editor.edit(pictures[:1], ["make it red"], [1])
    assert np.abs(np.asarray(again[0], int) - np.asarray(first[0], int)).max() <= 1
    assert np.asarray(first[0]).tobytes() != np.asarray(first[2]).tobytes()  # another seed


def test_tiling_is_refused_where_a_reward_looks(tmp_path: Path) -> None:
    config = editor_config(
        "editor=flux_kontext", f"editor.checkpoint={save_kontext(tmp_path)}", "editor.vae_tiling=true"
    )
    assert isinstance(make_editor(config, CPU), FlowEditor)
    with pytest.raises(BadInput, match="tiling"):
        make_editor(config, CPU, reward_path=True)


def test_what_contradicts_itself_is_refused(tmp_path: Path) -> None:
    folder = save_kontext(tmp_path)
    for override, message in (
        ("editor.true_cfg=0.5", "true_cfg"),
        ("editor.guidance=2.5", "guidance"),
        ("editor.offload=model", "GPU"),
    ):
        with pytest.raises(BadInput, match=message):
            make_editor(editor_config("editor=flux_kontext", f"editor.checkpoint={folder}", override), CPU)


def test_api_editors_take_their_settings(tmp_path: Path) -> None:
    """No key and no request is needed to make one."""
    gpt = make_editor(editor_config("editor=gpt_image", f"editor.api.cache={tmp_path}", "editor.api.tries=2"))
    assert isinstance(gpt, GptImageEditor)
    assert (gpt.settings.tries, gpt.settings.cache, gpt.settings.model) == (2, tmp_path, "gpt-image-1")
    assert gpt.settings.parameters["input_fidelity"] == "high"
    banana = make_editor(editor_config("editor=nano_banana", "editor.api.base_url=http://localhost:9/v1"))
    assert isinstance(banana, NanoBananaEditor)
    assert (banana.settings.base_url, banana.settings.timeout_s) == ("http://localhost:9/v1", 120.0)


def test_the_configured_api_values_are_the_providers_own() -> None:
    from editors import gpt_image, nano_banana

    for name, provider in (("gpt_image", gpt_image), ("nano_banana", nano_banana)):
        own, api = provider.settings(), editor_config(f"editor={name}").api
        assert (api.model, api.base_url, api.key_env, api.timeout_s) == (
            own.model,
            own.base_url,
            own.key_env,
            own.timeout_s,
        )
        assert dict(api.parameters) == dict(own.parameters)


def test_qwen_is_the_default() -> None:
    assert editor_config().kind == "qwen"
    assert isinstance(make_editor(editor_config("editor=sandbox")), SandboxEditor)
