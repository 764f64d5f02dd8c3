"""What the `auto` of a diffusion editor's options stands for on a device: options that change how fast it is, and no picture
beyond rounding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from common.errors import BadInput, ImageEditError
from editors.compiling import compiles
from editors.settings import ATTENTION_PACKAGES, MASKED_ATTENTION, Forwards

if TYPE_CHECKING:
    from experiments.build.editors import DiffusionEditor


@dataclass(frozen=True)
class Speed:
    compile: bool
    attention: str  # "" leaves it alone
    channels_last: bool
    forwards: Forwards


def check_speed(editor: DiffusionEditor) -> None:
    """Options that contradict each other. Raises BadInput."""
    padded = [f"{key}=true" for key in ("pad_texts", "cfg_batch") if getattr(editor, key) is True]
    if padded and editor.masks_texts and editor.attention not in ("auto", *MASKED_ATTENTION):
        raise BadInput(
            f"editor.attention={editor.attention} cannot hide the padding of texts that editor.{padded[0]} asks for; leave one out"
        )
    if editor.cache == "none" and editor.cache_threshold is not None:
        raise BadInput(
            f"editor.cache_threshold={editor.cache_threshold} would be ignored: editor.cache=none; set editor.cache=first_block"
        )


def speed_of(editor: DiffusionEditor, device: str, edits: int = 0, trained: bool = False) -> Speed:
    """`edits`: how many will be asked for, 0 where that is not known. `trained`: the denoiser may be trained, so that a kernel
    without gradients is not chosen by itself, and refused by BadInput where it was asked for."""
    cuda = device.startswith("cuda")
    batched = cuda and roomy(editor) if editor.cfg_batch == "auto" else bool(editor.cfg_batch)
    # both branches of Qwen differ in length: who asks for one batch asks for the padding
    padded = not cuda or editor.cfg_batch is True if editor.pad_texts == "auto" else bool(editor.pad_texts)
    last = cuda if editor.vae_channels_last == "auto" else bool(editor.vae_channels_last)
    if trained and editor.attention in ATTENTION_PACKAGES:
        raise BadInput(
            f"editor.attention={editor.attention} has no gradients and this editor may be trained; set native or cudnn"
        )
    return Speed(
        compiles(editor.compile, edits * flops_of(editor) if cuda else 0.0, device, editor.offload),
        "" if editor.attention == "auto" and (trained or not cuda) else editor.attention,
        last,
        Forwards(padded, batched and editor.true_cfg > 1),
    )


def flops_of(editor: DiffusionEditor) -> float:
    """Of the denoising of one edit; 0 for a checkpoint of which nothing is known."""
    from editors.estimate import edit_flops, shapes
    from editors.parts import parts_of
    from experiments.preflight.estimates import workload

    try:
        work, parts = workload(editor, exact=False), parts_of(editor.checkpoint)
        return edit_flops(work, parts, shapes(work, parts))["denoising"]
    except ImageEditError:
        return 0.0  # a hub id or an unknown class: compile=true says it


def roomy(editor: DiffusionEditor) -> bool:
    """Whether the GPU has room for the activations of twice as many rows, by the memory plan."""
    from experiments.preflight.diffusion import need
    from experiments.preflight.machine import free_gpu_memories

    return sum(need(replace(editor, batch_size=2 * editor.batch_size), editor.offload)) <= sum(free_gpu_memories(False))


__all__ = ["Speed", "check_speed", "flops_of", "roomy", "speed_of"]
