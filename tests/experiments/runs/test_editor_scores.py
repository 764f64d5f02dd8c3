"""Whether the scores of an editor before and after RL are all there, whatever the benchmark's size."""

from __future__ import annotations

from pathlib import Path

from common.files import write_json
from common.jsonl import Journal
from experiments.evaluation.edit_scores import CARD, FILE, WHEN
from experiments.runs.cli import compose, typed
from experiments.runs.editor_rl import EditorScores
from experiments.runs.run import Run


def test_it_is_done_when_every_request_there_is_has_both_scores(tmp_path: Path) -> None:
    run = Run(typed(compose("run", ["experiment=edit_r1", "scale.test_samples=50"])), tmp_path)
    stage, journal = EditorScores(), Journal(tmp_path / FILE)
    assert not stage.done(run)
    write_json(tmp_path / CARD, {"requests": 3})  # a benchmark of three items
    assert not stage.done(run)
    for when in WHEN:
        for i in range(3):
            assert not stage.done(run)
            journal.append([{"when": when, "i": i}])
    assert stage.done(run)
