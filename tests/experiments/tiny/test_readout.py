"""Read-outs of the scene: where they look, what they weigh, and that they leave nothing behind."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from benchmarks.sandbox.generate import SandboxBenchmark
from benchmarks.sandbox.render import cell_centre
from benchmarks.sandbox.scene import CELLS, COLOURS
from editors.conditioning import Conditioning
from experiments.tiny.editor_model import SIDE, tiny_kontext
from experiments.tiny.readout import CHANGED_WEIGHT, BlockOutputs, SceneReadout, readout_loss
from experiments.tiny.scene_labels import CELL_LABELS, PICTURE_LABELS, labels

SCENES = [SandboxBenchmark("train", 3).sample(i).before for i in range(4)]
SCENES = [replace(scene, zoom="") for scene in SCENES]


def logits_for(scenes, sure: float) -> dict[str, torch.Tensor]:
    """Logits whose right class is `sure` above the others."""
    target, names = labels(scenes), CELL_LABELS | PICTURE_LABELS
    return {k: torch.nn.functional.one_hot(v, len(names[k])).float() * sure for k, v in target.items()}


def test_every_window_holds_the_token_of_its_cells_centre():
    near = SceneReadout(8).near
    for cell, window in zip(CELLS, near.tolist(), strict=True):
        y, x = cell_centre(cell, 64)
        assert (y // 8) * 8 + x // 8 in window and len(set(window)) == 9


def test_a_cell_is_read_from_its_own_tokens_alone():
    readout, tokens = SceneReadout(8), torch.randn(1, 64, 8)
    other = tokens.clone()
    other[0, 6 * 8 + 7] += 1  # in no window but the last row's and column's
    before, after = (readout(x)["shape"] for x in (tokens, other))
    inside = torch.tensor([6 * 8 + 7 in window for window in readout.near.tolist()])
    assert inside.tolist() == [False] * 8 + [True]
    assert torch.equal(before[0, ~inside], after[0, ~inside])


def test_certain_and_right_costs_nothing_and_guessing_costs_the_logarithms():
    assert float(readout_loss(logits_for(SCENES, 50.0), SCENES, SCENES, [True] * 4)) < 1e-6
    guess = readout_loss(logits_for(SCENES, 0.0), SCENES, SCENES, [True] * 4)
    expected = sum(math.log(len(names)) for names in (CELL_LABELS | PICTURE_LABELS).values())
    assert float(guess) == pytest.approx(expected, rel=1e-5)


def test_samples_that_are_zoomed_or_not_used_do_not_count():
    logits = logits_for(SCENES, 3.0)
    scenes = [*SCENES[:2], replace(SCENES[2], zoom="center"), SCENES[3]]
    used = [True, True, True, False]
    before = readout_loss(logits, scenes, scenes, used)
    spoilt = {k: torch.cat([v[:2], torch.randn_like(v[2:])]) for k, v in logits.items()}
    assert float(readout_loss(spoilt, scenes, scenes, used)) == pytest.approx(float(before))
    assert float(readout_loss(logits, scenes, scenes, [False] * 4)) == 0


def test_what_changes_weighs_more():
    """One cell of nine changes colour and is got wrong: its share of the colour term is 5 in 13."""
    scene = SCENES[0]
    thing = scene.things[0]
    colour = next(c for c in COLOURS if c != thing.colour)
    after = scene.with_thing(thing, replace(thing, colour=colour))
    logits = logits_for([scene], 50.0)  # sure of the old colour
    loss = float(readout_loss(logits, [after], [scene], [True]))
    assert loss == pytest.approx(50 * (1 + CHANGED_WEIGHT) / (9 + CHANGED_WEIGHT), rel=1e-4)


def test_block_outputs_hold_both_pictures_tokens_and_leave_no_hooks():
    editor = tiny_kontext(["remove", "the", "tree"], steps=3)
    x = torch.randn(2, 64, 64)
    text = editor.model.encode_text([], ["remove the tree", "add a star"])
    conditioning, t = Conditioning((SIDE, SIDE), x, text), torch.tensor([0.5, 0.9])
    hooks = [len(block._forward_hooks) for block in editor.readout_blocks]
    with BlockOutputs(*editor.readout_blocks) as outputs:
        velocity = editor.model.velocity(conditioning, x, t)
    width = editor.model.pipe.transformer.inner_dim
    assert tuple(outputs.early.shape) == tuple(outputs.late.shape) == (2, 128, width)
    assert [len(block._forward_hooks) for block in editor.readout_blocks] == hooks
    assert torch.equal(velocity, editor.model.velocity(conditioning, x, t))
