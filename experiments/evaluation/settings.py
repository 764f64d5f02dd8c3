"""The settings of parts that stand in results.json."""

from __future__ import annotations

from typing import Any

from conf.schema import EditorConfig


def editor_settings(config: EditorConfig) -> dict[str, Any] | None:
    """The settings that decide what an editor's pictures look like, for results.json; None for an editor without settings."""
    if config.checkpoint:
        names = ("checkpoint", "steps", "true_cfg", "guidance", "area", "dtype", "lora")
        return {n: getattr(config, n) for n in names}
    return {"model": config.api.model, **config.api.parameters} if config.api.model else None


__all__ = ["editor_settings"]
