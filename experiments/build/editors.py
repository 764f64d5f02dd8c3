"""What changes the pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import BadInput
from conf.schema import ApiConfig, EditorConfig, EngineConfig
from experiments.build.device import device_of

if TYPE_CHECKING:
    from editors.base import Editor
    from editors.flow import FlowModel, FlowSettings


def make_editor(config: EditorConfig, engine: EngineConfig | None = None, reward_path: bool = False) -> Editor:
    """`reward_path`: a score of its pictures trains something, so that what would mislead a judge is refused."""
    match config.kind:  # an editor's libraries are only imported where it is chosen
        case "sandbox":
            from editors.sandbox import SandboxEditor

            return SandboxEditor()
        case "qwen" | "flux_kontext":
            return _flow_editor(config, engine or EngineConfig(), reward_path)
        case "nano_banana":
            from editors import nano_banana

            return nano_banana.NanoBananaEditor(nano_banana.settings(**_api_settings(config.api)))
        case "gpt_image":
            from editors import gpt_image

            return gpt_image.GptImageEditor(gpt_image.settings(**_api_settings(config.api)))
    raise BadInput(
        f"editor.kind={config.kind} is unknown; choose sandbox, qwen, flux_kontext, nano_banana or gpt_image"
    )


def flow_settings(config: EditorConfig) -> FlowSettings:
    """Raises BadInput for settings that contradict each other."""
    from editors.flow import FlowSettings

    return FlowSettings(
        steps=config.steps,
        area=config.area,
        true_cfg=config.true_cfg,
        guidance=config.guidance,
        negative_prompt=config.negative_prompt,
        batch_size=config.batch_size,
        max_sequence_length=config.max_sequence_length,
        multiple=config.multiple,
    )


def _flow_editor(config: EditorConfig, engine: EngineConfig, reward_path: bool) -> Editor:
    import torch

    from editors.fast_gelu import use_fast_gelu
    from editors.flow_editor import FlowEditor
    from editors.loading import LoadOptions, load_pipeline
    from editors.onednn import use_onednn

    settings = flow_settings(config)
    options = LoadOptions(
        dtype=config.dtype,
        device=device_of(engine),
        offload=config.offload,
        device_map=config.device_map,
        lora=config.lora,
        lora_weight_name=config.lora_weight_name,
        lora_scale=config.lora_scale,
        lightning=config.lightning,
        cache_threshold=config.cache_threshold,
        vae_tiling=config.vae_tiling,
        compile=config.compile,
        allow_download=config.allow_download,
    )
    pipe = load_pipeline(config.checkpoint, config.kind, options)
    if not config.compile:  # a compiler chooses its own kernels
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                use_onednn(part)
                use_fast_gelu(part)
    model: FlowModel
    if config.kind == "qwen":
        from editors.qwen import QwenModel

        model = QwenModel(pipe, settings, config.vision_positions, config.condition_area)
    else:
        from editors.flux_cpu import lean_on_cpu
        from editors.flux_kontext import KontextModel

        if options.device == "cpu" and not config.compile and config.cache_threshold == 0:
            lean_on_cpu(pipe.transformer)
        model = KontextModel(pipe, settings)
    return FlowEditor(model, reward_path=reward_path)


def _api_settings(config: ApiConfig) -> dict[str, Any]:
    given = {k: v for k, v in vars(config).items() if v not in ("", {})}  # what is empty keeps the provider's default
    return given | ({"cache": Path(config.cache)} if config.cache else {})


__all__ = ["make_editor", "flow_settings"]
