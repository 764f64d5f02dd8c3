"""A writer learns the intents of sessions in MICE-Bench's format, a run scores it, and `experiments.evaluate` gives the same
numbers for any such folder."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.sandbox.mice_export import write_sessions
from tests.e2e.processes import command


def test_a_run_and_an_evaluation_of_its_writer(tiny_vlm_path: Path, tmp_path: Path) -> None:
    write_sessions(tmp_path / "mice", 40, 3)
    words = [
        "experiment=mice_intents", f"benchmark.path={tmp_path / 'mice'}", f"intent.checkpoint={tiny_vlm_path}", "engine.device=cpu",
        "intent.sft.steps=2", "intent.sft.batch_size=2", "intent.max_new_tokens=4", "scale.test_samples=20",
    ]  # fmt: skip
    ended = command("experiments.run", words, tmp_path)
    assert ended.code == 0, ended.text
    (run,) = (tmp_path / "outputs").glob("mice_intents-*")
    own = json.loads((run / "results.json").read_text())["intent"]
    assert (
        own["cu_object"] == 0.0 and own["fallback"] == 1.0 and own["turns"] > 0
    )  # a random model writes nothing readable
    assert (run / "intent" / "config.json").is_file()

    again = [
        "run=" + str(run),
        "benchmark=mice_text",
        f"benchmark.path={tmp_path / 'mice'}",
        f"out={tmp_path / 'eval'}",
    ]
    for _ in range(2):  # the second time it is shown again
        shown = command("experiments.evaluate", [*again, "part=test", "samples=20"], tmp_path)
        assert shown.code == 0 and "the object behind a pronoun" in shown.text, shown.text
    assert json.loads((tmp_path / "eval" / "results.json").read_text())["intent"] == own

    other = command("experiments.evaluate", [*again, "part=train"], tmp_path)
    assert other.code == 2 and "another evaluation" in other.text
    wrong = command(
        "experiments.evaluate", ["run=" + str(run), "benchmark=sandbox", f"out={tmp_path / 'other'}"], tmp_path
    )
    assert wrong.code == 2 and "choose benchmark=mice_text" in wrong.text
