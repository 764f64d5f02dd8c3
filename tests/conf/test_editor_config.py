"""One name per editor; the scale chooses its checkpoint and settings, in every command and in sweeps."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import BadInput
from editors.published import PUBLISHED
from experiments.runs import cli
from experiments.runs.identity import identity, run_hash

REQUIRED = {"run": [], "edit": ["image=a.png", "instruction=b"], "plan": []}
CLASSES = {
    "qwen": ("QwenImageEditPipeline", 50, 4.0, None),
    "qwen_2509": ("QwenImageEditPlusPipeline", 40, 4.0, None),
    "qwen_2511": ("QwenImageEditPlusPipeline", 40, 4.0, None),
    "qwen_lightning": ("QwenImageEditPipeline", 8, 1.0, None),
    "flux_kontext": ("FluxKontextPipeline", 28, 1.0, 2.5),
}


def editor(*overrides: str, command: str = "run") -> Any:
    return cli.typed(cli.compose(command, [*REQUIRED[command], *overrides])).editor


@pytest.mark.parametrize("command", REQUIRED)
@pytest.mark.parametrize(("name", "folder"), [("qwen", "qwen_image_edit"), ("flux_kontext", "flux_kontext")])
def test_at_tiny_scale_it_is_the_repositorys_own(command: str, name: str, folder: str) -> None:
    config = editor(f"editor={name}", command=command)
    assert (config.checkpoint, config.area, config.dtype, config.steps) == (
        f"assets/tiny/{folder}",
        64 * 64,
        "float32",
        4,
    )
    assert (config.guidance, config.offload) == (None, "none")
    assert config.true_cfg > 1 and config.negative_prompt == " "
    assert editor(f"editor={name}", "scale=tiny", command=command) == config


@pytest.mark.parametrize("command", REQUIRED)
@pytest.mark.parametrize("name", CLASSES)
def test_at_paper_scale_it_is_the_published_one(command: str, name: str) -> None:
    config = editor(f"editor={name}", "scale=paper", command=command)
    assert (config.pipeline, config.steps, config.true_cfg, config.guidance) == CLASSES[name]
    assert (config.area, config.dtype, config.name) == (1024 * 1024, "bfloat16", name)
    assert config.negative_prompt == " "  # without one the pipelines leave guidance out
    assert config.checkpoint in PUBLISHED and config.checkpoint in config.source
    assert config.licence


def test_what_only_exists_as_published_is_the_same_at_every_scale() -> None:
    for name in ("qwen_2509", "qwen_2511", "qwen_lightning", "nano_banana", "gpt_image", "served", "sandbox"):
        assert editor(f"editor={name}") == editor(f"editor={name}", "scale=paper")


def test_lightning_comes_with_its_lora_and_schedule() -> None:
    config = editor("editor=qwen_lightning", "scale=paper")
    assert config.lightning and config.lora and config.lora_weight_name and "8steps" in config.lora_weight_name


@pytest.mark.parametrize(
    "order", [("scale=paper", "editor=qwen", "editor.steps=4"), ("editor.steps=4", "editor=qwen", "scale=paper")]
)
def test_the_command_line_wins_over_the_scale(order: tuple[str, ...]) -> None:
    config = editor(*order)
    assert (config.steps, config.true_cfg) == (4, 4.0)


def test_the_published_sizes_are_those_in_the_memory_check() -> None:
    from editors.parts import count_parameters

    for name in ("qwen", "flux_kontext"):
        config = editor(f"editor={name}", "scale=paper")
        sizes = [count_parameters(part).parameters for part in PUBLISHED[config.checkpoint].values()]
        assert config.parameters == pytest.approx(sum(sizes), rel=0.001)
        assert config.largest == pytest.approx(max(sizes), rel=0.001)


def test_a_sweep_over_editors_and_scales_composes() -> None:
    cli.check("run", ["-m", "editor=qwen,flux_kontext", "scale=tiny,paper", "editor.steps=2,4"])


@pytest.mark.parametrize(
    ("command", "argument", "expected"),
    [
        ("run", "editor.stepz=1", "'editor.steps'"),
        ("run", "editor=gpt_image editor.api.modl=x", "'editor.api.model'"),
        ("run", "editor=qwn", "'editor=qwen'"),
        ("run", "editor.steps=many", "'many'"),
        ("edit", "algo.lr=1", "no key 'algo.lr'"),
        ("plan", "gpuu=h100", "'gpu'"),
    ],
)
def test_mistakes_are_named(command: str, argument: str, expected: str) -> None:
    with pytest.raises(BadInput) as caught:
        cli.check(command, [*REQUIRED[command], *argument.split()])
    assert expected in str(caught.value)


def test_the_resolved_values_define_a_run() -> None:
    def hashed(*overrides: str) -> str:
        return run_hash(identity(cli.typed(cli.compose("run", list(overrides)))))

    runs = {
        hashed(f"editor={name}", *more)
        for name in ("qwen", "flux_kontext", "sandbox")
        for more in ((), ("editor.steps=9",))
        if not (name == "sandbox" and more)
    }
    assert len(runs) == 5
    values = identity(cli.typed(cli.compose("run", ["editor=qwen"])))["editor"]
    assert (values["steps"], values["true_cfg"], values["area"], values["dtype"]) == (4, 2.0, 4096, "float32")


def test_api_editors_name_their_service_and_key() -> None:
    for name, key in (("nano_banana", "GEMINI_API_KEY"), ("gpt_image", "OPENAI_API_KEY")):
        api = editor(f"editor={name}", "paths.outputs=there", "editor.api.tries=2").api
        assert (api.key_env, api.tries) == (key, 2)
        assert api.model and api.base_url.startswith("https://") and api.cache.startswith("there/")
