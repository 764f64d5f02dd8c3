"""What the supervised start is made of, and the warm-up of the vision tower."""

from __future__ import annotations

from random import Random

import torch
from PIL import Image

from agents.backends.tiny import TinyShape, build_tiny_vlm
from agents.decomposer import load_prompt
from agents.plan import parse_decomposition
from benchmarks.sandbox import templates as T
from benchmarks.sandbox.corpus import open_turn
from benchmarks.sandbox.generate import SandboxSample, random_scene
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene, Thing
from experiments.tiny.coldstart import DESCRIBE, ColdStart, ColdStartMix, corpus, thought
from experiments.tiny.vision import CELL_LABELS, Readout, labels, perception_loss

START = ColdStart(load_prompt("decompose_tiny"), ColdStartMix())


def test_examples_depend_on_the_step_alone():
    again = ColdStart(load_prompt("decompose_tiny"), ColdStartMix())
    assert [(e.request.text, e.answer) for e in again.batch(7, 8)] == [
        (e.request.text, e.answer) for e in START.batch(7, 8)
    ]


def test_every_answer_is_a_decomposition_or_a_description():
    for example in START.batch(0, 400):
        if example.request.text.endswith(DESCRIBE):
            assert example.answer.startswith("seen: ")
        else:
            assert parse_decomposition(example.answer).edits


def test_the_start_has_not_seen_the_later_wordings():
    """GRPO has something to learn: the last wordings of every list are not in the start."""
    said = "\n".join(START.sample(i).request for i in range(1500) if isinstance(START.sample(i), SandboxSample))
    allowed = [t for t in T.CLAUSES["background"] if not t.startswith("!")]
    assert allowed[0].split("{")[0] in said
    assert "for a backdrop" in allowed[-1] and "for a backdrop" not in said


def test_open_turns_copy_names_from_request_or_history():
    """Every subject can be read off what was said: its head noun always, the whole name unless it was changed on the way."""
    for i in range(400):
        turn = open_turn(Random(i))
        said = " ".join((*turn.history, turn.request)).lower()
        for edit in turn.gold:
            if edit.subject not in ("image", "background"):
                assert edit.subject.split()[-1] in said, turn


def test_a_thought_lists_the_picture_only_where_it_is_needed():
    indirect = next(s for s in (START.sandbox.sample(i) for i in range(200)) if s.kind == "indirect")
    direct = next(s for s in (START.sandbox.sample(i) for i in range(200)) if s.kind == "direct")
    assert all(t.phrase in thought(indirect) for t in indirect.before.things)
    assert "seen" not in thought(direct)


def test_corpus_holds_requests_and_answers():
    texts = list(corpus(START, 50))
    assert any("<action>" in t for t in texts) and len(texts) == 160


def test_labels_by_hand():
    scene = Scene(
        "sky", (Thing("star", "red", (0, 1), "dotted", "small", 3), Thing("square", "blue", (2, 2), label="A")), "HI"
    )
    found = labels([scene])
    names = {k: [v[i] for i in found[k][0].tolist()] for k, v in CELL_LABELS.items()}
    assert names["shape"] == ["nothing", "star"] + ["nothing"] * 6 + ["square"]
    assert names["colour"][1] == "red" and names["material"][1] == "dotted" and names["size"][1] == "small"
    assert names["count"] == ["0", "3"] + ["0"] * 6 + ["1"]
    assert names["labelled"][8] == "yes" and found["captioned"].tolist() == [1]


def test_the_vision_tower_learns_to_see():
    vlm = build_tiny_vlm(
        ["a b"], TinyShape(vocab=300, hidden=32, layers=1, heads=2, kv_heads=1, inter=32, vision_hidden=32)
    )
    torch.manual_seed(0)
    readout = Readout(16, 32)
    learning = [*vlm.model.model.visual.parameters(), *readout.parameters()]
    optimizer = torch.optim.AdamW(learning, lr=3e-3)
    scenes = [random_scene(Random(i), "train") for i in range(16)]
    images = [Image.fromarray(render(s, 64)) for s in scenes]
    losses = []
    for _ in range(25):
        loss, accuracy = perception_loss(vlm, readout, images, scenes)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert accuracy["vision/background"] > 0.5
