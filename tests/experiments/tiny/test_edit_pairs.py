"""The training pairs of the tiny editors."""

from __future__ import annotations

import numpy as np

from experiments.tiny.edit_pairs import EditPairs
from experiments.tiny.editor_model import EMPTY


def test_pairs_are_a_function_of_the_counter_and_stay_in_the_training_split() -> None:
    pairs, again = EditPairs(0), EditPairs(0)
    for a, b in zip(pairs.batch(3, 4), again.batch(3, 4), strict=True):
        assert a.instruction == b.instruction
        assert np.array_equal(a.before, b.before) and np.array_equal(a.after, b.after)
    assert any(p.instruction == EMPTY and np.array_equal(p.before, p.after) for p in pairs.batch(5, 64))
    assert {b.split for b in (pairs.single, pairs.several)} == {"train"}
