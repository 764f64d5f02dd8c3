"""Every number of every configuration has a range; what lies outside it, and what else a command line can get wrong, is refused
in one line before torch is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import pytest
from omegaconf import OmegaConf

from common.errors import BadInput
from common.ranges import Range, check_fields, number
from conf.options import class_at, options_of
from conf.parts import from_values
from conf.ranges import numbers_without_range
from conf.schema import ROOTS
from experiments.preflight import limits
from experiments.runs import cli
from experiments.runs.command_line import check_quotes
from tests.tiny_models import both_families

TARGETS = sorted(
    {
        line.split(":", 1)[1].strip()
        for path in cli.CONF.rglob("*.yaml")
        for line in path.read_text().splitlines()
        if line.strip().startswith("_target_:")
        and "hydra_plugins.imageedit" not in line  # no part; made when a sweep starts
    }
)


@pytest.mark.parametrize("name", ROOTS)
def test_every_number_of_a_command_has_a_range(name: str) -> None:
    assert list(numbers_without_range(ROOTS[name])) == []


@pytest.mark.parametrize("target", TARGETS)
def test_every_number_of_a_part_has_a_range(target: str) -> None:
    assert list(numbers_without_range(options_of(class_at(target, "part")))) == []


WRONG = [
    ("run", "algo.betas=[2,3]", "algo.betas=[2.0, 3.0] cannot be used; give 0 or more and below 1"),
    ("run", "scale.image_size=100000", "give 48 or more and at most 4,096"),
    ("run", "scale.image_size=32", "scale.image_size=32 cannot be used; give 48 or more"),
    ("run", "scale.image_size=47", "scale.image_size=47"),
    ("evaluate", "run=none out=b scale.image_size=40", "scale.image_size=40"),
    ("run", "algo.lr=inf", "algo.lr=inf cannot be used; give 0 or more and at most 10"),
    ("run", "algo.lr=nan", "algo.lr=nan cannot be used"),
    ("run", "algo.lr=-1", "algo.lr=-1"),
    ("run", "algo.sft.lr=nan", "algo.sft.lr=nan"),
    ("run", "algo.lora.rank=100000", "algo.lora.rank=100000"),
    ("run", "engine.threads=10000", "engine.threads=10000"),
    ("run", "engine.threads=0", "give 1 or more"),
    ("run", "scale.test_samples=100000000", "scale.test_samples=100000000"),
    ("run", "scale.test_samples=0", "give 1 or more"),
    ("run", "seed=99999999999999999999", "seed=99999999999999999999"),
    ("run", "seed=-1", "seed=-1"),
    ("run", "verbose=2", "give true or false"),
    ("run", "engine=deepspeed engine.offload_optimizer=7", "engine.offload_optimizer=7 is no boolean"),
    ("run", "tracker.mode=foo", "tracker=wandb has it"),
    ("run", "tracker=wandb tracker.mode=foo", "choose auto, online, offline"),
    ("run", "reward=f1 reward=f1_goal", "reward is given twice: reward=f1 and reward=f1_goal"),
    ("run", "algo.lr=1e-4 algo.lr=2e-4", "algo.lr is given twice"),
    ("run", "editor.steps=0", "editor.steps=0 cannot be used; give 1 or more and at most 1,000"),
    ("run", "editor.true_cfg=0.5", "editor.true_cfg=0.5"),
    ("run", "~editor", "~editor: it cannot be left out; give editor=<choice>"),
    ("run", "~algo.lr", "~algo.lr: it cannot be left out"),
    ("run", "--foo", "there is no option --foo"),
    ("run", "reward.weights.goal=inf", "reward.weights.goal=inf"),
    ("run", "benchmark.max_edits=0", "benchmark.max_edits=0"),
    ("run", "-m algo.lr=1e-4,inf", "algo.lr=inf"),
    ("run", "-m verbose=false,3", "verbose=3"),
    ("evaluate", "run=a out=b budget=-1", "budget=-1"),
    ("evaluate", "run=a out=b benchmark=psr benchmark.samples=0", "benchmark.samples=0"),
    ("evaluate", "run=a out=b judge=gpt4o judge.timeout_s=0", "give above 0 and at most"),
    ("evaluate", "run=a out=b judge=gpt4o judge.top_p=2", "judge.top_p=2"),
    ("plan", "mfu=2", "mfu=2"),
    ("pretrain", "flow.ema=1", "flow.ema=1"),
    ("prepare", "out=a near=nan", "near=nan"),
    ("agreement", "data=a out=b seed=4294967296", "seed=4294967296"),
]


@pytest.mark.parametrize(("name", "words", "said"), WRONG, ids=lambda v: str(v))
def test_a_wrong_setting_is_one_line(name: str, words: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        cli.check(name, words.split())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_setting_ends_a_command_at_once_with_status_2_and_without_torch() -> None:
    """One process for the way from the command line to the exit; everything else is checked above."""
    program = "import sys, atexit; atexit.register(lambda: print('torch' in sys.modules)); sys.argv = ['run', 'algo.lr=inf']\n"
    program += "from experiments.run import command, main\ncommand('run', main)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(cli.CONF).parent)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert done.stderr == "error: algo.lr=inf cannot be used; give 0 or more and at most 10\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("algo.lora.rank=16000 decomposer.checkpoint={big}", "adapters of rank 16000 would take at least"),
        ("scale.test_samples=1000000 scale.image_size=4096", "the held-out pictures would take at least 46,875 GiB"),
        ("algo.steps=1000000000", "days"),
        ("scale.test_samples=1000000 editor.steps=1000", "scale.test_samples=1000000, editor.steps=1000"),
        ("algo.micro_batch_size=1000000 algo.prompts_per_step=1000000 algo.steps=1", "the logits of one forward"),
    ],
)
def test_what_is_beyond_the_machine_is_refused_with_the_figure(
    words: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = {"hidden_size": 8192, "intermediate_size": 32768, "num_attention_heads": 64, "num_key_value_heads": 8}
    text = side | {"num_hidden_layers": 64, "vocab_size": 150000}
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "qwen2_5_vl", "text_config": text, "vision_config": side | {"depth": 32}})
    )
    monkeypatch.setattr(limits, "memory_bytes", lambda: 64 * 2**30)
    config = cli.typed(cli.compose("run", words.format(big=tmp_path).split()))
    with pytest.raises(BadInput, match=said):
        limits.check_limits(config)


@pytest.mark.parametrize("experiment", ["main", "mice_text", "paper"])
def test_the_experiments_of_this_repository_are_within_the_limits(
    experiment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "memory_bytes", lambda: 8 * 2**30 if experiment != "paper" else 256 * 2**30)
    limits.check_limits(cli.typed(cli.compose("run", [f"experiment={experiment}"])))


@both_families
def test_adapters_of_a_known_model_are_counted_exactly(tiny_vlm_path: Path) -> None:
    """Against peft's own count."""
    from agents.backends.vlm import load_vlm
    from rl.policies.lora import Lora, is_adapter

    vlm = load_vlm(tiny_vlm_path)
    Lora(4, 8).attach(vlm.model, vlm.family, vision=True)
    counted = sum(p.numel() for name, p in vlm.model.named_parameters() if is_adapter(name))
    assert 4 * limits.adapter_sides(limits.model_shapes(str(tiny_vlm_path))) == counted


def test_a_request_without_quotes_is_shown_with_them() -> None:
    with pytest.raises(BadInput, match='in quotes: instruction="make the cat blue"'):
        check_quotes(["image=a.png", "instruction=make", "the", "cat", "blue", "out=b.png"], ("instruction", "image"))
    check_quotes(["instruction=make the cat blue", "out=b.png", "-m"], ("instruction",))


def test_a_range_excludes_its_open_ends() -> None:
    closed, open_ended = Range(0, 1), Range(0, 1, above=True, below=True)
    assert [closed.holds(v) for v in (0, 1, -0.1, 1.1)] == [True, True, False, False]
    assert [open_ended.holds(v) for v in (0, 1, 0.5)] == [False, False, True]
    assert not Range(0, 10**30).holds(float("inf")) and not closed.holds(float("nan"))


@dataclass
class Plain:
    count: int = number(3, 1, 5)
    shares: list[float] = number([0.5], 0, 1)
    name: str = "plain"
    other: dict[str, int] = field(default_factory=dict)


class Own:
    """A user's class without dataclass fields."""

    def __init__(self, limit: Annotated[int, Range(1, 9)] = 5, free: float = 1.0) -> None:
        self.limit, self.free = limit, free

    def __call__(self, samples, texts, seeds):  # type: ignore[no-untyped-def]
        return [0.0 for _ in texts]


def test_a_users_own_numbers_are_checked_too() -> None:
    check_fields(Plain(count=5, shares=[0.0, 1.0]))
    with pytest.raises(BadInput, match=r"my.count=6 cannot be used; give 1 or more and at most 5"):
        check_fields(Plain(count=6), "my.")
    with pytest.raises(BadInput, match="2.0 in shares="):
        check_fields(Plain(shares=[0.1, 2.0]))
    target = f"{__name__}.Own"
    sys.modules.setdefault(__name__, sys.modules[Own.__module__])
    assert from_values("reward", {"_target_": target, "limit": 9, "free": 1e300}).limit == 9
    with pytest.raises(BadInput, match=r"reward.limit=10 cannot be used; give 1 or more and at most 9"):
        from_values("reward", {"_target_": target, "limit": 10})
    with pytest.raises(BadInput, match=r"reward.free=nan is no number"):
        from_values("reward", {"_target_": target, "free": float("nan")})


def test_a_free_text_that_is_given_twice_is_shown_as_it_was_typed() -> None:
    texts: list[str] = []
    OmegaConf.register_new_resolver("raw", lambda index: texts[int(index)], replace=True)
    words = cli.hide_texts(["image=a.png", "out=a b.png", "out=c.png", "instruction=x"], ("out", "instruction"), texts)
    with pytest.raises(BadInput, match=r"out is given twice: out=a b\.png and out=c\.png; give it once"):
        cli.check("edit", words)
