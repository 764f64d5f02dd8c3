"""Learning rates: up, constant, down, or along a cosine; and a resumed run keeps its schedule."""

from dataclasses import replace
from pathlib import Path

import pytest

from common.errors import BadInput
from common.jsonl import read_jsonl
from rl.schedule import Cosine, Trapezoid
from tests.rl.runs import CONFIG, outcome, run


def rates(folder: Path) -> list[float]:
    return [row["lr"] for row in read_jsonl(folder / "metrics.jsonl")]


def test_up_constant_down(tiny_vlm_path: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=6, lr=1e-3, warmup_steps=2, decay_share=0.5)
    run(tiny_vlm_path, tmp_path, config)
    assert rates(tmp_path) == pytest.approx([0.5e-3, 1e-3, 1e-3, 1e-3, 2 / 3 * 1e-3, 1 / 3 * 1e-3])


def test_without_decay_the_end_does_not_matter_and_with_it_it_does(tiny_vlm_path: Path, tmp_path: Path) -> None:
    constant = replace(CONFIG, steps=3, decay_share=0.0)
    run(tiny_vlm_path, tmp_path / "a", constant)
    run(tiny_vlm_path, tmp_path / "a", replace(constant, steps=4))
    falling = replace(CONFIG, steps=3, decay_share=0.5)
    run(tiny_vlm_path, tmp_path / "b", falling)
    with pytest.raises(BadInput, match="decays_to"):
        run(tiny_vlm_path, tmp_path / "b", replace(falling, steps=4))


def test_a_resumed_run_keeps_its_schedule(tiny_vlm_path: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=6, lr=1e-3, decay_share=1.0, checkpoint_every=2)
    whole = run(tiny_vlm_path, tmp_path / "a", config)

    def die(metrics: dict[str, float]) -> None:
        if metrics["step"] == 5:
            raise SystemError

    with pytest.raises(SystemError):
        run(tiny_vlm_path, tmp_path / "b", config, log=die)
    again = run(tiny_vlm_path, tmp_path / "b", config)
    assert outcome(whole, tmp_path / "a") == outcome(again, tmp_path / "b")


def test_a_cosine_warms_up_and_decays_to_its_share() -> None:
    schedule = Cosine(1.0, updates=110, warmup=10, final_share=0.1)
    assert schedule.lr_at(0) == pytest.approx(0.1)
    assert schedule.lr_at(9) == schedule.lr_at(10) == pytest.approx(1.0)
    assert schedule.lr_at(60) == pytest.approx(0.55)  # half-way: the cosine is 0
    assert schedule.lr_at(110) == schedule.lr_at(500) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "kw", [dict(decay_share=1.5), dict(decay_share=0.5, updates=0), dict(lr=-1.0), dict(warmup=-1)]
)
def test_nonsense_is_refused(kw: dict) -> None:
    with pytest.raises(BadInput):
        Trapezoid(**{"lr": 1.0, "updates": 4} | kw)
