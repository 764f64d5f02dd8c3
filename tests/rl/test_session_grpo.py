"""Training on sessions: both sides move under one objective, either side alone, resumed bit for bit, filtered as configured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from common.errors import BadInput
from common.jsonl import read_jsonl
from rl.clock import Clock
from rl.session_rollouts import FOLLOWS
from rl.session_training import SessionTraining
from tests.rl.session_runs import Scored, config, reddening, training


def flow_weights(own: SessionTraining) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in own.flow.transformer.named_parameters()}


def text_weights(own: SessionTraining) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in own.vlm.model.named_parameters()}


def moved(after: dict[str, torch.Tensor], before: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(after[n], before[n]) for n in before)


def by_place(sessions: Any, pictures: Any) -> Any:
    """A random model writes nothing that could be read, so that trajectories differ only where edits have noise; here they differ
    by their place."""
    return [[Scored((7 * i + k) % 5 / 5, {FOLLOWS: 1.0}) for k, _ in enumerate(own)] for i, own in enumerate(pictures)]


def ended(path: Path, folder: Path, own: Any, **changes: Any) -> SessionTraining:
    made = training(path, own, **changes)
    made.run(folder)
    return made


def test_both_sides_learn_and_the_metrics_say_so(tiny_vlm_path: Path, tmp_path: Path) -> None:
    own = training(tiny_vlm_path, config(filter="none"))
    flow, text = flow_weights(own), text_weights(own)
    own.run(tmp_path)
    assert moved(flow_weights(own), flow) and moved(text_weights(own), text)
    rows = read_jsonl(tmp_path / "metrics.jsonl")
    assert len(rows) == 4 and rows[0]["edit/trained/ratio_first"] == 0
    assert {"text/grad_norm", "edit/grad_norm", "turns/corrupted", "corrupted/edit", "turn_3/red"} <= set(rows[0])
    assert len(read_jsonl(tmp_path / "samples.jsonl")) == 4 * 2 * 3 * 3


def test_a_side_with_weight_0_stays_as_it_is(tiny_vlm_path: Path, tmp_path: Path) -> None:
    alone = training(tiny_vlm_path, config(flow={"weight": 0.0}, steps=2), reward=by_place)
    flow, text = flow_weights(alone), text_weights(alone)
    alone.run(tmp_path / "text")
    assert moved(text_weights(alone), text) and not moved(flow_weights(alone), flow)
    alone = training(tiny_vlm_path, config(text={"weight": 0.0}, steps=2))
    flow, text = flow_weights(alone), text_weights(alone)
    alone.run(tmp_path / "flow")
    assert moved(flow_weights(alone), flow) and not moved(text_weights(alone), text)
    assert "text/grad_norm" not in read_jsonl(tmp_path / "flow" / "metrics.jsonl")[0]


def test_an_editor_that_is_not_trained_makes_its_own_edits(tiny_vlm_path: Path) -> None:
    own = training(tiny_vlm_path, config(flow={"weight": 0.0}))
    (group,) = own.algorithm.sampler.draw(0, [0], Clock())
    assert all(len(r.edit.trajectory.steps) == 0 for turns in group.rollouts for r in turns)


def test_stopped_and_resumed_is_one_training(tiny_vlm_path: Path, tmp_path: Path) -> None:
    whole = ended(tiny_vlm_path, tmp_path / "whole", config())
    ended(tiny_vlm_path, tmp_path / "parts", config(steps=2))
    parts = ended(tiny_vlm_path, tmp_path / "parts", config())
    for one, other in ((flow_weights(whole), flow_weights(parts)), (text_weights(whole), text_weights(parts))):
        assert all(torch.equal(one[n], other[n]) for n in one)
    names = ("metrics.jsonl", "samples.jsonl")
    rows = [[read_jsonl(tmp_path / f / n) for n in names] for f in ("whole", "parts")]
    assert rows[0][1] == rows[1][1]
    assert [r["reward/mean"] for r in rows[0][0]] == [r["reward/mean"] for r in rows[1][0]]


def test_how_micro_batches_are_cut_does_not_matter(tiny_vlm_path: Path, tmp_path: Path) -> None:
    sizes = {"text": {"micro_batch_size": 50}, "flow": {"micro_batch_size": 50}}
    one = ended(tiny_vlm_path, tmp_path / "a", config(steps=1))
    other = ended(tiny_vlm_path, tmp_path / "b", config(steps=1, **sizes))
    for a, b in ((flow_weights(one), flow_weights(other)), (text_weights(one), text_weights(other))):
        assert all(torch.allclose(a[n], b[n], atol=1e-5) for n in a)


@pytest.mark.parametrize("rule", ["published", "intended"])
def test_what_is_filtered_has_no_gradient_not_even_of_a_kl_term(tiny_vlm_path: Path, tmp_path: Path, rule: str) -> None:
    """With every later turn corrupted, training with the filter is training whose later edits have no loss."""

    def never(sessions: Any, pictures: Any) -> Any:
        return [
            [Scored(s.total, {FOLLOWS: 0.0}) for s in own] for own in reddening(sessions, pictures)
        ]  # fmt: skip

    own = training(tiny_vlm_path, config(steps=1, filter=rule, flow={"kl_coef": 0.1}), reward=never)
    own.run(tmp_path)
    (row,) = read_jsonl(tmp_path / "metrics.jsonl")
    assert row["turns/corrupted"] == 1.0
    assert (
        row["edit/edits"] == 6.0
    )  # the first turns of 2 x 3 trajectories; with a KL term all that counts has a gradient
    assert row["corrupted/edit"] == 0.0 and row["corrupted/edit_unfiltered"] > 0
    assert row["text/sequences"] == (0.0 if rule == "published" else 12.0)


def test_more_processes_than_sessions_and_another_training_are_refused(tiny_vlm_path: Path, tmp_path: Path) -> None:
    ended(tiny_vlm_path, tmp_path, config(steps=1))
    with pytest.raises(BadInput, match="differs in baseline"):
        ended(tiny_vlm_path, tmp_path, config(steps=1, baseline="turn"))
    made = training(tiny_vlm_path, config())
    many: Any = type("Many", (), {"rank": 0, "world_size": 3, "all_gather": lambda self, value: [value] * 3})()
    with pytest.raises(BadInput, match="3 ranks cannot share 2 sessions"):
        type(made.algorithm)(made.config, many, made.algorithm.sampler, None, None)


def test_settings_that_train_nothing_are_refused() -> None:
    with pytest.raises(BadInput, match="both 0"):
        config(text={"weight": 0.0}, flow={"weight": 0.0})
    with pytest.raises(BadInput, match="no intents"):
        config(turns=1)
    with pytest.raises(BadInput, match="filter"):
        config(filter="some")
    assert replace(config(), turns=1, text=config(text={"weight": 0.0}).text).turns == 1
