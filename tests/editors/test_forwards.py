"""Which rows share a forward changes no picture, and on a GPU's settings never costs more than diffusers' own loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
import torch
from diffusers.models.transformers import transformer_qwenimage
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit as edit_module
from torch.utils.flop_counter import FlopCounterMode

from editors.conditioning import TextEmbeddings
from editors.flow_editor import FlowEditor
from editors.flux_kontext import KontextModel
from editors.forwards import plan_forwards
from editors.qwen import QwenModel
from editors.settings import FlowSettings, Forwards
from tests.editor_pipelines import noise_picture, small_kontext, small_qwen

SETTINGS = FlowSettings(steps=2, area=64 * 64, true_cfg=4.0, max_sequence_length=16)
TEXTS = ["make the sky darker", "add a hat", "make the sky darker", "remove a hat now"]
HOW = [Forwards(padded, both) for padded in (True, False) for both in (True, False)]
ON_GPU = Forwards(padded=False)


@pytest.mark.parametrize("how", HOW, ids=str)
def test_every_row_is_in_one_forward_with_its_own_text(how: Forwards) -> None:
    branches = [
        TextEmbeddings.pad([torch.full((n, 2), float(n)) for n in lengths]) for lengths in ([3, 1, 3], [1, 1, 1])
    ]
    forwards = plan_forwards(branches, how)
    rows = [row for forward in forwards for row in forward.rows]
    assert sorted(rows) == [(b, i) for b in range(2) for i in range(3)]
    for forward in forwards:
        for (b, i), text in zip(forward.rows, forward.text.unpadded(), strict=True):
            assert torch.equal(text, branches[b].unpadded()[i])
        assert how.padded or forward.text.mask is None
    assert len(forwards) == {(True, True): 1, (True, False): 2, (False, True): 2, (False, False): 3}[
        how.padded, how.both_branches
    ]  # fmt: skip
    assert len({forward.name for forward in forwards}) == len(forwards)


@pytest.mark.parametrize("family", ["qwen", "kontext"])
def test_the_velocities_are_the_same_however_rows_are_put_together(tiny_vlm, family) -> None:
    """Texts of three lengths, guided; with gradients to the transformer."""
    pipe = small_qwen(tiny_vlm) if family == "qwen" else small_kontext()
    pictures, times = [noise_picture((64, 64), seed) for seed in range(4)], torch.tensor([0.9, 0.3, 0.5, 0.7])
    found = []
    for how in HOW:
        model: Any = QwenModel(pipe, SETTINGS, forwards=how) if family == "qwen" else KontextModel(pipe, SETTINGS, how)
        prepared = model.prepare(pictures, TEXTS)
        velocity = model.velocity(prepared, model.noise(prepared, range(4)), times)
        weight = next(model.transformer.parameters())
        (grad,) = torch.autograd.grad(velocity.square().sum(), weight)
        found.append((velocity.detach(), grad))
    for velocity, grad in found[1:]:
        assert (velocity - found[0][0]).abs().max() <= 1e-4 * found[0][0].abs().max()
        assert (grad - found[0][1]).abs().max() <= 1e-3 * found[0][1].abs().max()


def flops_of(call: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def loop(pipe, pictures, texts, **more):
    """diffusers' pipeline, once for each picture."""
    for seed, (picture, text) in enumerate(zip(pictures, texts, strict=True)):
        pipe(
            image=picture, prompt=text, negative_prompt=" ", true_cfg_scale=4.0, num_inference_steps=2, width=64, height=64,
            generator=torch.Generator().manual_seed(seed), **more,
        )  # fmt: skip


@pytest.mark.parametrize("family", ["qwen", "kontext"])
def test_it_never_costs_more_flops_than_the_pipeline_in_a_loop(tiny_vlm, monkeypatch, family) -> None:
    """Different pictures and instructions: no more. Variants of one: source and text are encoded once."""
    more = {}
    if family == "qwen":
        own = edit_module.calculate_dimensions
        monkeypatch.setattr(edit_module, "calculate_dimensions", lambda _, ratio: own(64 * 64, ratio))
        pipe = small_qwen(tiny_vlm)
        editor = FlowEditor(QwenModel(pipe, SETTINGS, forwards=ON_GPU))
    else:
        pipe, more = small_kontext(), {"max_area": 64 * 64, "_auto_resize": False, "max_sequence_length": 16}
        editor = FlowEditor(KontextModel(pipe, SETTINGS, ON_GPU))
    pictures, one = [noise_picture((64, 64), seed) for seed in range(2)], noise_picture((64, 64))
    ours = flops_of(lambda: editor.edit(pictures, TEXTS[:2], range(2)))
    theirs = flops_of(lambda: loop(pipe, pictures, TEXTS[:2], **more))
    group = flops_of(lambda: editor.edit([one] * 2, TEXTS[:1] * 2, range(2)))
    theirs_group = flops_of(lambda: loop(pipe, [one] * 2, TEXTS[:1] * 2, **more))
    encoded = flops_of(lambda: editor.model.prepare([one], TEXTS[:1]))
    assert ours <= theirs
    assert group <= theirs_group - encoded < theirs_group


def test_attention_gets_no_mask_and_text_no_padding(tiny_vlm) -> None:
    """A mask keeps PyTorch from its flash kernels: this is what made Qwen slower than the pipeline in a loop on a GPU."""
    pipe, masks, text_rows = small_qwen(tiny_vlm), Counter(), []
    dispatch, forward = transformer_qwenimage.dispatch_attention_fn, pipe.text_encoder.forward

    def counted(*args, attn_mask=None, **kwargs):
        masks[attn_mask is not None] += 1
        return dispatch(*args, attn_mask=attn_mask, **kwargs)

    def watched(*args, **kwargs):
        text_rows.append(bool(kwargs["attention_mask"].bool().all()))
        return forward(*args, **kwargs)

    pictures = [noise_picture((64, 64), seed) for seed in range(4)]
    with (
        patch.object(transformer_qwenimage, "dispatch_attention_fn", counted),
        patch.object(pipe.text_encoder, "forward", watched),
    ):
        FlowEditor(QwenModel(pipe, SETTINGS, forwards=Forwards())).edit(pictures, TEXTS, range(4))
        assert masks == {
            True: 2 * 2,
            False: 2 * 2,
        }  # steps x blocks: of instructions, and of the blank negative prompts
        assert not all(text_rows)
        masks.clear(), text_rows.clear()
        FlowEditor(QwenModel(pipe, SETTINGS, forwards=ON_GPU)).edit(pictures, TEXTS, range(4))
        assert masks == {False: 2 * 2 * (3 + 1)} and all(text_rows)  # three lengths of instructions
        masks.clear()
        FlowEditor(QwenModel(pipe, replace(SETTINGS, true_cfg=1.0))).edit(pictures[:2], [TEXTS[0]] * 2, range(2))
        assert masks == {False: 2 * 2}  # equal lengths need none, wherever they run
