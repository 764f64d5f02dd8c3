"""Real requests end to end, on records made up here: supervised phase, GRPO, scores per category, and evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.processes import command, last_of_each
from tests.e2e.test_run import arguments, the_run


def records(folder: Path, n: int = 40) -> None:
    for category in ("cm", "cu"):
        lines = []
        for i in range(n):
            rule = "Set a persistent rule: red only. With this rule active, " if category == "cm" else ""
            said = [f"{rule}Add a lamp {i} here", f"Remove the cup {i}", "Change its color to blue"]
            formatted = [f"Add [lamp {i}]", f"Remove [cup {i}]", f"Change the color of [lamp {i}] to [blue]"]
            tasks = ["subject_add", "subject_remove", "color_alter"]
            lines.append(
                json.dumps({"instruction": said, "task_type": tasks, "formatted_instruction": formatted, "turns": 3})
            )
        (folder / f"{category}_train.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_the_mice_experiment_and_its_evaluation(tiny_vlm_path: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    records(data)
    small = [
        "experiment=mice_text",
        f"benchmark.path={data}",
        "algo.sft.steps=2",
        "algo.sft.batch_size=2",
        "algo.steps=2",
    ]
    command_line = arguments(tiny_vlm_path, *small)
    assert (
        command("experiments.run", command_line, tmp_path, kill_at=12).code == -9
    )  # within the supervised phase or GRPO
    ended = command("experiments.run", command_line, tmp_path)
    assert ended.code == 0, ended.text
    run = the_run(tmp_path)
    assert run.name.startswith("mice_text-")
    result = json.loads((run / "results.json").read_text())
    assert set(result["decomposition"]["by_category"]) == {"cm", "cu"}
    assert result["arms"] == {"editor": {}, "agents": {}, "agents_rl": {}}
    assert (run / "start").is_dir() and (run / "report.html").is_file()

    score = [
        f"run={run}",
        "benchmark=mice_text",
        f"benchmark.path={data}",
        "out=scores",
        "samples=4",
        "engine.threads=1",
    ]
    ended = command("experiments.evaluate", score, tmp_path)
    assert ended.code == 0, ended.text
    scores = json.loads((tmp_path / "scores" / "results.json").read_text())
    assert scores["n"] == 4 and set(scores["decomposition"]) >= {"before", "after", "by_category"}

    (data / "cm_train.jsonl").write_text('{"instruction": ["x"]}\n')
    ended = command("experiments.evaluate", last_of_each([*score, "out=other"]), tmp_path)
    assert ended.code == 2 and "cm_train.jsonl:1" in ended.text and "Traceback" not in ended.text
