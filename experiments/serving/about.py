"""What the page says of the team that works behind it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from conf.schema import DemoConfig

CALLS = {
    "single": "all edits in one call of the editor",
    "multi": "one call of the editor for each edit",
    "loop": "a look at the picture after each call",
}


@dataclass(frozen=True)
class About:
    """`parts` and `limits` are HTML. `plans`: whether there is a plan before the first call; `sandbox`: whether the page offers
    scenes of the sandbox; `tiny`: whether that is all that the models know."""

    parts: str
    limits: str
    plans: bool = True
    sandbox: bool = False
    tiny: bool = False


def about(config: DemoConfig) -> About:
    """Of the parts as they are chosen."""
    small = any(getattr(part, "sandbox_only", False) for part in (config.decomposer, config.editor))
    execution = config.execution.name
    parts = [
        ("decomposer", config.decomposer.name + (f" of {config.run}" if config.run else "")),
        *([("intents", config.intent.name)] if config.intent is not None else []),
        ("sequencer", config.sequencer.name),
        ("editor", config.editor.name),
        ("execution", f"{execution}: {CALLS.get(execution, execution)}"),
    ]
    return About(
        parts=" · ".join(f"{name} <b>{escape(str(value))}</b>" for name, value in parts),
        limits=f"PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF, up to {config.max_upload_mb:g} MB and {config.max_pixels:,} pixels",
        plans=not config.execution.looped,
        sandbox=small or config.editor.name == "sandbox",
        tiny=small and not config.allow_tiny,
    )


__all__ = ["About", "about"]
