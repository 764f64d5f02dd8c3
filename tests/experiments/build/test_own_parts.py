"""A run and an evaluation with a user's own part in every group: one class each, from a package that this repository does not
know, named on the command line. Each part leaves a mark where it was used."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.runs import cli
from experiments.runs.identity import run_folder

ASSETS = Path(__file__).parents[3] / "assets"
HEAD = """
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path

def mark(name):
    (Path(__file__).parent / f"{name}.used").touch()
"""
PARTS = {
    "reward": """
class Part:
    def __init__(self, limit: int = 20):
        self.limit = limit

    def __call__(self, samples, texts, seeds):
        mark("reward")
        return [min(1.0, self.limit / (1 + sum(map(ord, text)))) for text in texts]
""",
    "editor": """
class Part:
    def __init__(self, strength: float = 0.5):
        self.strength = strength

    def edit(self, images, instructions, seeds):
        mark("editor")
        return [i.convert("RGB").point(lambda v: int(v * self.strength)) for i in images]
""",
    "judge": """
from judges.base import ASPECTS, Verdict

class Part:
    def __init__(self, scale: float = 10.0):
        self.scale = scale

    def judge(self, before, after, sample):
        mark("judge")
        return Verdict(dict.fromkeys((*ASPECTS, "overall"), self.scale / 2))
""",
    "sequencer": """
from agents.sequencer import Sequenced

class Part:
    def __init__(self, prefix: str = "please "):
        self.prefix = prefix

    def sequence(self, samples, decompositions, execution):
        mark("sequencer")
        return [Sequenced((self.prefix + s.request,), "mine") for s in samples]
""",
    "tracker": """
class Part:
    def __init__(self, every: int = 1):
        self.every = every

    def log(self, metrics):
        mark("tracker")

    def summary(self, values):
        pass

    def finish(self):
        pass
""",
    "benchmark": """
from benchmarks.sandbox.generate import SandboxBenchmark

class Part:
    trainable = True

    def __init__(self, longest: int = 2):
        self.longest = longest

    def pool(self, image_size, seed):
        mark("benchmark")
        return SandboxBenchmark("train", seed=seed, size=image_size, max_edits=self.longest).sample

    def held_out(self, image_size, count, seed, part="test"):
        samples = SandboxBenchmark("test", seed=seed, size=image_size, max_edits=self.longest)
        return [samples.sample(i) for i in range(count or 2)]
""",
    "rollouts": """
class Part:
    def __init__(self, together: int = 4):
        self.together = together

    def build(self, tools):
        from agents.backends.hf import HFBackend

        mark("rollouts")
        return HFBackend(tools.vlm, self.together)
""",
    "engine": """
class Part:
    device = "cpu"

    def __init__(self, shrink: float = 1.0):
        self.shrink = shrink

    def build(self, tools):
        from rl.engine.torch import TorchEngine

        mark("engine")
        return TorchEngine(tools.policy(), tools.optimizer, tools.schedule)
""",
    "launcher": """
class Part:
    def __init__(self, polite: bool = True):
        self.polite = polite

    def launch(self, job):
        mark("launcher")
        job.train()
""",
    "decomposer": """
from experiments.build.decomposers import VLMDecomposer

@dataclass
class Part(VLMDecomposer):
    greeting: str = "hello"

    def build(self, tools):
        mark("decomposer")
        return super().build(tools)
""",
    "algo": """
from rl.parts import GRPO

@dataclass
class Part(GRPO):
    patience: int = 3

    def build(self, tools):
        mark("algo")
        return super().build(tools)
""",
}
OTHERS = {
    "metrics": """
class Part:
    names = ["redness"]

    def __init__(self, channel: int = 0):
        self.channel = channel

    def measure(self, item, edited):
        mark("metrics")
        return {"redness": float(sum(edited.convert("RGB").resize((1, 1)).getpixel((0, 0))))}
""",
    "rubric": """
from judges.rubrics.paper import PaperRubric

class Part(PaperRubric):
    name = "strict"

    def __init__(self, strict: bool = True):
        super().__init__()
        self.strict = strict

    def questions(self, item, before, after):
        mark("rubric")
        return super().questions(item, before, after)
""",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("own")
    (root / "own_parts").mkdir()
    for group, text in (PARTS | OTHERS).items():
        assert len((HEAD + text).splitlines()) < 60
        (root / "own_parts" / f"{group}.py").write_text(HEAD + text)
    sys.path.insert(0, str(root))
    yield root / "own_parts"
    sys.path.remove(str(root))
    for name in [m for m in sys.modules if m.partition(".")[0] == "own_parts"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def finished(package: Path, tiny_vlm_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose every part is a user's own."""
    from experiments.run import main

    words = [f"{group}._target_=own_parts.{group}.Part" for group in PARTS]
    words += [f"paths.outputs={tmp_path_factory.mktemp('outputs')}", f"decomposer.checkpoint={tiny_vlm_path}"]
    words += ["decomposer.name=own", "decomposer.prompt=decompose_tiny", "decomposer.max_new_tokens=8"]
    words += ["algo.steps=1", "algo.prompts_per_step=2", "algo.group_size=2", "algo.lr=1e-2", "reward.limit=5"]
    words += ["scale.test_samples=2", "scale.chunk=2", "scale.strips=1", "scale.editor_calls=0"]
    config = cli.typed(cli.compose("run", words))
    main(config)
    return run_folder(config)


@pytest.mark.parametrize("group", PARTS)
def test_a_run_uses_the_users_part(group: str, package: Path, finished: Path) -> None:
    assert (package / f"{group}.used").exists()
    assert f"_target_: own_parts.{group}.Part" in (finished / "config.yaml").read_text()


def test_the_report_names_the_users_parts(finished: Path) -> None:
    values = json.loads((finished / "results.json").read_text())
    assert (values["reward"], values["editor"]) == ("Part", "Part") and (finished / "report.html").exists()


@pytest.fixture(scope="module")
def evaluated(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation with a user's metrics, and a user's rubric that asks a model over a local service."""
    from experiments.evaluate import main
    from tests.judges.chat_server import ChatServer

    folder = tmp_path_factory.mktemp("evaluated")
    with ChatServer() as service, pytest.MonkeyPatch.context() as patch:
        words = ["run=none", "arms=editor", "editor=sandbox", "benchmark=sandbox", "samples=2", f"out={folder / 'out'}"]
        words += ["metrics._target_=own_parts.metrics.Part", "judge=gpt4o", "judge.keys=[]", "engine.device=cpu"]
        words += ["judge.rubric._target_=own_parts.rubric.Part", "judge.rubric.strict=false"]
        words += [f"judge.base_url={service.url}", f"paths.outputs={folder}", f"paths.assets={ASSETS}"]
        patch.setattr("experiments.runs.given.given_words", lambda: cli.by_class(words))
        main(cli.typed(cli.compose("evaluate", words)))
    return folder / "out"


@pytest.mark.parametrize("group", OTHERS)
def test_an_evaluation_uses_the_users_part(group: str, package: Path, evaluated: Path) -> None:
    assert (package / f"{group}.used").exists()
    values = json.loads((evaluated / "results.json").read_text())
    assert ("redness" if group == "metrics" else "strict") in json.dumps(values)
