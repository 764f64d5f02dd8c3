"""Every command refuses what is beyond the machine with the figure, in one line, and accepts its own defaults."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import BadInput
from experiments import single_edits
from experiments.evaluation.resolve import resolve
from experiments.preflight import limits
from experiments.preflight.command_limits import check_edit, check_evaluation, check_pretraining, check_single_edits
from experiments.runs import cli

SFT = "decomposer=tiny_sft"
EDIT = "image=a.png instruction=b"
EVALUATE = "run=none out=b benchmark=sandbox judge=sandbox arms=all"


@pytest.fixture(autouse=True)
def eight_gib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1024, 4096))
    monkeypatch.setattr(limits, "memory_bytes", lambda: 8 * 2**30)


def checked(command: str, words: str) -> None:
    config = cli.typed(cli.compose(command, words.split()))
    if command == "evaluate":
        return check_evaluation(resolve(config, words.split()))
    {"run": limits.check_limits, "edit": check_edit, "pretrain": check_pretraining}[command](config)


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        # 10,000 pictures of 2^26 pixels, before and after, in 12 bytes a pixel, are 15,000 GiB; a chunk of 25 is 37.5 GiB
        ("run", "editor.batch_size=10000 editor.area=67108864 editor.steps=1", "would take at least 38 GiB"),
        ("run", "launcher=torchrun launcher.processes=4096", "4096 processes would take at least 1,024 GiB"),
        ("evaluate", f"{EVALUATE} launcher.processes=4096", "4096 processes would take at least 1,024 GiB"),
        ("evaluate", f"{EVALUATE} chunk=100000 editor.batch_size=10000 editor.area=1048576", "at least 234 GiB"),
        ("evaluate", f"{EVALUATE} samples=1000000000", "samples=1000000000, editor.steps="),
        ("evaluate", f"{EVALUATE} scale.test_samples=1000000 editor.steps=1000", "scale.test_samples=1000000, editor"),
        ("edit", f"{EDIT} editor.steps=1000 editor.area=67108864 scale.chunk=1", None),  # 22 hours: somebody's own time
        ("edit", f"{EDIT} editor=gpt_image editor.api.concurrency=10000", "editor.api.concurrency=10000"),
        # a picture has 64 * 64 * 3 * 4 bytes, twice
        ("pretrain", "vision.batch_size=100000", "vision.batch_size=100000: a batch of pictures would take at least 9 GiB"),
        ("pretrain", f"{SFT} start.micro_batch_size=100000 start.batch_size=100000", "the pictures and logits of one forward"),
        ("pretrain", f"{SFT} start.micro_batch_size=100000", None),  # of a batch of 32
        ("pretrain", "vision.steps=1000000000", "vision.steps=1000000000, vision.batch_size=64: this would take"),
        ("pretrain", f"{SFT} start.second_steps=1000000000 start.batch_size=100", "start.second_steps=1000000000"),
        ("pretrain", "direct.steps=1000000000 direct.batch_size=100", "direct.steps=1000000000"),
        ("pretrain", "start.steps=1000000000 start.batch_size=100", None),  # which this recipe does not use
        ("pretrain", f"{SFT} start.steps=10000 start.validate_every=1 start.validation_samples=1000000", "start.validate_every=1"),
        ("pretrain", "editor=qwen vae.batch_size=100000", "vae.batch_size=100000"),
        ("pretrain", "editor=qwen flow.batch_size=100000", "flow.batch_size=100000"),
        ("pretrain", "editor=qwen flow.steps=1000000000 flow.batch_size=64", "flow.steps=1000000000"),
        ("pretrain", "editor=qwen flow.test_samples=1000000 flow.euler_steps=1000 flow.validate_every=10", "validate_every=10"),
        ("pretrain", "", None),
        ("pretrain", "editor=qwen", None),
        ("pretrain", "editor=flux_kontext", None),
        ("edit", EDIT, None),
        ("evaluate", EVALUATE, None),
        ("evaluate", f"{EVALUATE} launcher.processes=2 scale=tiny", None),
    ],
)  # fmt: skip
def test_a_command_refuses_what_the_machine_cannot_do(command: str, words: str, said: str | None) -> None:
    if said is None:
        return checked(command, words)
    with pytest.raises(BadInput) as caught:
        checked(command, words)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_single_edits_are_counted_with_their_editors() -> None:
    check_single_edits(400, 2)
    # 64 * 64 * 3 bytes of each of 2 * 10^9
    with pytest.raises(BadInput, match="samples=1000000000: the pictures would take at least 22,888 GiB"):
        check_single_edits(10**9, 2)


def test_more_requests_at_a_time_than_connections_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, 4096))
    for words in ("judge=gpt4o judge.concurrency=257", "editor=nano_banana editor.api.concurrency=257"):
        config = cli.typed(cli.compose("run", words.split()))
        with pytest.raises(BadInput, match="concurrency=257: every request .* may have 256 files and connections open"):
            limits.check_limits(config)
    limits.check_limits(cli.typed(cli.compose("run", ["judge=gpt4o", "judge.concurrency=256"])))


def test_single_edits_refuses_before_torch_is_loaded() -> None:
    """One process: what the commands import before their limits is quick, here and in `evaluate`."""
    program = (
        "import sys\nfrom experiments.evaluation import resolve\nfrom experiments.preflight import command_limits\n"
    )
    program += "from experiments import single_edits\nfrom common.errors import BadInput\n"
    program += (
        "try:\n    single_edits.main(['samples=1000000000000'])\nexcept BadInput:\n    print('torch' in sys.modules)"
    )
    root = Path(single_edits.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "False\n"
