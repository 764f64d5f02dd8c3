"""The examples of docs/extending, written as the pages say and used together in one run."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.jsonl import read_jsonl
from common.places import ROOT
from experiments.runs import cli
from experiments.runs.identity import run_folder

KINDS = ("editor", "reward", "benchmark", "judge", "algorithm")
SMALL = [
    "algo.steps=1", "algo.prompts_per_step=2", "decomposer.name=own", "decomposer.prompt=decompose_tiny",
    "decomposer.max_new_tokens=8", "scale.test_samples=2", "scale.chunk=2", "scale.strips=1", "scale.editor_calls=0",
    "scale.pass_at=0",
]  # fmt: skip


def example(kind: str) -> tuple[str, str, list[str]]:
    """(file name, code, words of the command) of a page's example."""
    text = (ROOT / "docs" / "extending" / f"{kind}.md").read_text(encoding="utf-8")
    part = text.partition(f"<!-- example: {kind} -->")[2].partition("<!-- /example -->")[0]
    (_, code), (_, command) = re.findall(r"```(\w*)\n(.*?)```", part, flags=re.DOTALL)
    return (
        code.splitlines()[0].removeprefix("# "),
        code,
        command.strip().removeprefix("python -m experiments.run ").split(),
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("examples")
    (root / "mypkg").mkdir()
    for kind in KINDS:
        name, code, _ = example(kind)
        (root / name).write_text(code, encoding="utf-8")
    sys.path.insert(0, str(root))
    yield root
    sys.path.remove(str(root))
    for name in [m for m in sys.modules if m.partition(".")[0] == "mypkg"]:
        del sys.modules[name]


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_of_a_page_composes(kind: str, package: Path) -> None:
    _, _, words = example(kind)
    config = cli.typed(cli.compose("run", words))
    part = {"algorithm": "algo"}.get(kind, kind)
    assert getattr(config, part) is not None and any(word.startswith(f"{part}._target_=mypkg.") for word in words)
    assert cli.check("run", words) is not None  # as on the command line


def test_a_run_of_all_examples_together(package: Path, tiny_vlm_path: Path, tmp_path: Path) -> None:
    from experiments.run import main

    words = [word for kind in KINDS for word in example(kind)[2] if not word.startswith("algo.steps")]
    words += [*SMALL, f"paths.outputs={tmp_path}", f"decomposer.checkpoint={tiny_vlm_path}"]
    config = cli.typed(cli.compose("run", words))
    main(config)
    folder = run_folder(config)
    results = json.loads((folder / "results.json").read_text())
    assert (results["reward"], results["editor"], results["algo"]) == ("RightNumber", "Faded", "cautious")
    assert list(results["arms"]["editor"]) == ["Squares"]
    assert 0 <= results["arms"]["agents_rl"]["Squares"]["overall"] <= 10
    (step,) = read_jsonl(folder / "metrics.jsonl")
    assert 0 <= step["reward/mean"] <= 1
    assert config.algo.group_size == 4 and config.algo.kl_coef == 0.05
