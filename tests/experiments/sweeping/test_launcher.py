"""Which launcher a sweep gets, what its jobs are called, and the files of a job with very many words."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import BadInput
from experiments.runs import cli
from experiments.sweeping import launcher
from experiments.sweeping.job import Job, own_words
from experiments.sweeping.view import in_view, line, table


@pytest.fixture(autouse=True)
def known() -> None:
    launcher.register()


def test_a_sweep_of_runs_gets_a_process_for_every_job_unless_another_launcher_is_chosen() -> None:
    assert launcher.words_for("run", ["reward=f1"], []) == ["hydra/launcher=processes"]
    parallel = ["hydra.launcher.max_parallel=2"]
    assert launcher.words_for("run", [], parallel) == ["hydra/launcher=processes", *parallel]
    assert launcher.words_for("run", ["hydra/launcher=processes"], parallel) == parallel
    assert launcher.words_for("run", ["hydra/launcher=basic"], []) == []
    assert launcher.words_for("evaluate", ["run=none", "out=x"], []) == []


@pytest.mark.parametrize("words", ["hydra/launcher=joblib", "launcher=slurm"])
def test_launchers_of_hydra_go_on_working(words: str) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs `make extra-slurm`")
    pytest.importorskip("submitit", reason="needs `make extra-slurm`")
    assert launcher.words_for("run", [words], []) == []
    with pytest.raises(BadInput, match=r"sweep\.max_parallel"):
        launcher.words_for("run", [words], ["hydra.launcher.max_parallel=2"])


def test_the_launchers_own_keys_define_no_sweep() -> None:
    left, mine = launcher.taken_out(["-m", "seed=1,2", "sweep.max_parallel=3"])
    assert left == ["-m", "seed=1,2"] and mine == ["hydra.launcher.max_parallel=3"]
    for value in ("0", "two", "-1", "1.5", ""):
        with pytest.raises(BadInput, match=rf"sweep\.max_parallel={value} cannot"):
            launcher.words_for("run", [], [f"hydra.launcher.max_parallel={value}"])


def test_a_job_is_called_by_the_words_that_tell_it_from_the_others() -> None:
    words = [("a=1", "seed=0", "b=2"), ("a=1", "seed=1", "b=2"), ("a=1", "seed=1", "b=3")]
    assert own_words(words) == ["seed=0 b=2", "seed=1 b=2", "seed=1 b=3"]
    assert own_words(words[:1]) == ["a=1 seed=0 b=2"]
    assert own_words([("a=1",), ("a=1",)]) == ["a=1", "a=1"]


def test_sixty_overrides_make_no_name_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are numbers and hashes, whatever the words."""
    numbers = {
        f"reward.weights.{k}": 0.1 for k in ("format", "action", "subject", "goal", "linked", "soft", "exact", "outcome")
    }  # fmt: skip
    keys = [
        k for k in cli.all_keys("run", []) if k.startswith(("algo.", "unlike.", "scale.", "sessions.", "execution."))
    ]
    config = cli.compose("run", [])
    words = [f"{k}={v}" for k, v in numbers.items()]
    for key in keys:
        value = cli.OmegaConf.select(config, key)
        if isinstance(value, int | float) and len(words) < 60:
            words.append(f"{key}={str(value).lower()}")
    assert len(words) == 60
    cli.check("run", ["-m", *words, "seed=0,1"])
    sweep = cli.sweep_id("run", ["-m", *words, "seed=0,1"])
    made = launcher.ProcessLauncher().jobs(
        [(*words, f"seed={i}") for i in (0, 1)], 0, tmp_path / "sweeps" / sweep, sweep
    )
    assert [job.own for job in made] == ["seed=0", "seed=1"]
    for job in made:
        assert job.folder is not None
        for name in (*job.log.parts, *job.folder.parts, *(p.key for p in job.phases)):
            assert len(name) < 80, name
    assert len({job.log for job in made}) == len({job.folder for job in made}) == 2


def test_a_low_screen_shows_what_runs() -> None:
    jobs = [Job(i, (f"seed={i}",), f"seed={i}", Path("log")) for i in range(1, 31)]
    for job in jobs[:20]:
        job.end("finished")
    seen = in_view(jobs, 9)
    assert jobs[20] in seen and jobs[19] in seen and len(seen) == 9
    assert list(in_view(jobs, 30)) == jobs
    assert table(jobs, 14).row_count == 10  # nine, and how many more there are


def test_a_failed_job_is_one_line_with_its_reason_and_log(tmp_path: Path) -> None:
    job = Job(2, ("seed=1",), "seed=1", tmp_path / "x.log")
    job.log.write_text("…")
    job.end("failed", "no colour")
    said = line(job, 3)
    assert said.startswith("[2/3] seed=1: failed after") and "no colour" in said and str(job.log) in said
