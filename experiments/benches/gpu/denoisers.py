"""A published denoiser with random weights, and the inputs that its pipeline would give it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from common.places import assets_folder
from editors.costs import transformer_flops
from editors.published import PublishedModel

TEXT = 512  # tokens of an instruction


def forward_of(part: PublishedModel, side: int, batch: int, device: str) -> tuple[Callable[[], Any], float]:
    """(one forward without gradients, its FLOPs) of an edit of `side` x `side` pixels: the result's tokens and the reference's."""
    import diffusers

    rows = side // 16  # a token is two latents of eight pixels
    tokens, dtype = 2 * rows * rows, torch.bfloat16
    with torch.device(device):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            model = getattr(diffusers, part.kind)(**part.config).eval()
        finally:
            torch.set_default_dtype(before)
        config = model.config
        image = torch.randn(batch, tokens, config.in_channels, dtype=dtype)
        text = torch.randn(batch, TEXT, config.joint_attention_dim, dtype=dtype)
        time = torch.full((batch,), 0.5, dtype=dtype)
        inputs: dict[str, Any] = {"hidden_states": image, "encoder_hidden_states": text, "timestep": time}
        if part.kind == "FluxTransformer2DModel":
            inputs |= {
                "pooled_projections": torch.randn(batch, config.pooled_projection_dim, dtype=dtype),
                "img_ids": _places(rows),
                "txt_ids": torch.zeros(TEXT, 3),
            }
            if config.guidance_embeds:
                inputs["guidance"] = torch.full((batch,), 2.5, dtype=dtype)
        else:
            inputs["img_shapes"] = [[(1, rows, rows), (1, rows, rows)]] * batch
    flops = batch * transformer_flops(part.kind, part.config, tokens, TEXT)

    @torch.no_grad()
    def run() -> Any:
        return model(**inputs, return_dict=False)[0]

    return run, flops


def _places(rows: int) -> torch.Tensor:
    """[2 rows^2, 3]: which picture, row and column of each token."""
    grid = torch.cartesian_prod(torch.arange(rows), torch.arange(rows)).float()
    return torch.cat([torch.cat([torch.full((len(grid), 1), float(k)), grid], 1) for k in (0, 1)])


TINY = {"black-forest-labs/FLUX.1-Kontext-dev": "flux_kontext", "Qwen/Qwen-Image-Edit": "qwen_image_edit"}


def tiny_parts(name: str) -> dict[str, PublishedModel]:
    """The tiny model of the same class as a published denoiser's."""
    folder = Path(assets_folder()) / "tiny" / TINY[name] / "transformer"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    own = {key: value for key, value in config.items() if not key.startswith("_")}
    return {"transformer": PublishedModel(config["_class_name"], own)}


__all__ = ["forward_of", "tiny_parts"]
