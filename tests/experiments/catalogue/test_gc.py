"""`experiments.gc`: what goes by which rule, and what never does."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from common.errors import BadInput, SaveFailed
from common.files import locked
from experiments import gc
from tests.experiments.catalogue.folders import add_checkpoints, add_run, make_older


def trained(folder: Path) -> Path:
    """A finished run with everything that a run has."""
    run = add_run(folder, overall=5.0)
    add_checkpoints(run)
    add_checkpoints(run, name="checkpoints-sft")
    for name in ("decomposer", "start", "rrm/gcpo", "sandbox/edits/agents", "traces/agents"):
        (run / name).mkdir(parents=True)
        (run / name / "model.safetensors").write_bytes(b"m" * 500)
    (run / "report.html").write_text("report")
    return run


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def test_without_apply_nothing_changes_and_the_freed_size_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path / "o" / "main-a")
    before = files(run)
    gc.main([str(tmp_path / "o"), "keep=none"])
    assert files(run) == before
    assert "would free 4.0 kB; nothing was removed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keep", "stays"),
    [("last", {"step-00000020"}), ("best", {"step-00000010"}), ("none", set())],
)
def test_which_checkpoint_stays(tmp_path: Path, keep: str, stays: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "o" / "main-a")
    (run / "sft.jsonl").write_text("".join(f'{{"step": {s}, "sft/loss": {s / 10}}}\n' for s in range(1, 21)))
    before = files(run)
    gc.main([str(tmp_path / "o"), f"keep={keep}", "apply=true"])
    for place in ("checkpoints", "checkpoints-sft"):
        assert {p.name for p in (run / place).glob("*")} == stays
    gone = before - files(run)
    assert all(name.startswith("checkpoints") for name in gone) and len(gone) == 4 - 2 * len(stays)
    assert "freed" in capsys.readouterr().out


def test_trained_models_go_when_asked_and_results_never(tmp_path: Path) -> None:
    run = trained(tmp_path / "o" / "main-a")
    gc.main([str(tmp_path / "o"), "keep=none", "trained=true", "apply=true"])
    assert files(run) == {
        "config.yaml", "results.json", "report.html", "metrics.jsonl",
        "sandbox/edits/agents/model.safetensors", "traces/agents/model.safetensors",
    }  # fmt: skip


def test_a_running_run_is_not_touched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path / "o" / "main-a")
    before = files(run)
    with locked(run):
        gc.main([str(tmp_path / "o"), "keep=none", "state=all", "trained=true", "apply=true"])
    assert files(run) == before and "main-a is running" in capsys.readouterr().out


def test_a_run_that_starts_between_plan_and_removal_is_skipped(tmp_path: Path) -> None:
    from experiments.catalogue.cleaning import Rule, plan, remove
    from experiments.catalogue.entry import read_entry

    run = trained(tmp_path / "o" / "main-a")
    planned = plan([read_entry(run)], Rule("none", ("finished",), 0.0, True), [])
    before = files(run)
    with locked(run):
        (line,) = remove(planned)
    assert "in use by another process" in line and files(run) == before
    assert remove(planned) == [] and len(files(run)) < len(before)


def test_only_runs_of_the_state_and_age_that_were_asked_for(tmp_path: Path) -> None:
    old, young, failed = (trained(tmp_path / "o" / name) for name in ("old", "young", "failed"))
    make_older(old, 8 * 86400)
    (failed / "results.json").unlink()
    (failed / "status.json").write_text(json.dumps({"state": "failed", "error": "x"}))
    gc.main([str(tmp_path / "o"), "keep=none", "older_than=7d", "apply=true"])
    assert not (old / "checkpoints").exists() and (young / "checkpoints").exists() and (failed / "checkpoints").exists()
    gc.main([str(tmp_path / "o"), "keep=none", "state=failed", "apply=true"])
    assert not (failed / "checkpoints").exists() and (young / "checkpoints").exists()


def test_what_another_run_points_to_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "o"
    a, b, c, d = (trained(out / name) for name in "abcd")
    add_run(out / "user", decomposer={"checkpoint": str(a / "decomposer")}, paths={"outputs": str(out)})
    sharing = add_run(out / "sharing")
    (sharing / "shared.json").write_text(json.dumps({"supervised": {"from": "../b/start"}, "run": {"origin": str(c)}}))
    (out / "user" / "editor").mkdir()
    (out / "user" / "editor" / "vae").symlink_to(d / "rrm")
    gc.main([str(out), "keep=none", "trained=true", "apply=true"])
    assert (a / "decomposer").is_dir() and not (a / "start").exists()
    assert (b / "start").is_dir() and not (b / "decomposer").exists()
    assert (c / "start").is_dir() and (c / "decomposer").is_dir() and not (c / "checkpoints").exists()
    assert (d / "rrm" / "gcpo").is_dir() and not (d / "decomposer").exists()
    assert f"{a / 'decomposer'}: user points to it" in capsys.readouterr().out


def test_an_index_of_shared_phases_protects_what_it_names(tmp_path: Path) -> None:
    a = trained(tmp_path / "o" / "a")
    (tmp_path / "o" / "shared").mkdir()
    (tmp_path / "o" / "shared" / "grpo-1.json").write_text(json.dumps({"folder": str(a / "decomposer")}))
    gc.main([str(tmp_path / "o"), "trained=true", "apply=true"])
    assert (a / "decomposer").is_dir() and not (a / "start").exists()


def test_a_hard_link_of_another_run_frees_nothing_and_survives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = trained(tmp_path / "o" / "a"), add_run(tmp_path / "o" / "b")
    (b / "decomposer").mkdir()
    (b / "decomposer" / "model.safetensors").hardlink_to(a / "decomposer" / "model.safetensors")
    gc.main([str(tmp_path / "o"), "trained=true", "apply=true"])
    assert "freed 3.0 kB" in capsys.readouterr().out  # two checkpoints, start and rrm; of the decomposer a name alone
    assert (b / "decomposer" / "model.safetensors").read_bytes() == b"m" * 500


def test_leftovers_of_kills_go_and_an_interrupted_removal_is_ended(tmp_path: Path) -> None:
    run = trained(tmp_path / "o" / "a")
    left = [run / ".removing-decomposer-1", run / "checkpoints" / ".draft-step-00000030"]
    for folder in left:
        folder.mkdir()
        (folder / "state.pt").write_bytes(b"x")
    (run / ".results.json.part").write_text("{")
    gc.main([str(tmp_path / "o"), "apply=true"])
    assert not any(p.exists() for p in left) and not (run / ".results.json.part").exists()
    assert (run / "decomposer").is_dir()


def test_runs_that_were_moved_aside_are_cleaned_too(tmp_path: Path) -> None:
    run = trained(tmp_path / "o" / "main-a.old-1")
    gc.main([str(tmp_path / "o"), "keep=none", "apply=true"])
    assert not (run / "checkpoints").exists()


def test_cached_replies_need_an_age(tmp_path: Path) -> None:
    run = trained(tmp_path / "o" / "a")
    cache = tmp_path / "o" / "cache" / "judge"
    cache.mkdir(parents=True)
    for name in ("old", "new"):
        (cache / f"{name}.replies.jsonl").write_text("{}")
    make_older(cache, 8 * 86400)
    (cache / "new.replies.jsonl").write_text("{} ")
    with pytest.raises(BadInput, match="older_than"):
        gc.main([str(tmp_path / "o"), "caches=true", "apply=true"])
    gc.main([str(tmp_path / "o"), "caches=true", "older_than=7d", "apply=true"])
    assert [p.name for p in cache.iterdir()] == ["new.replies.jsonl"] and (run / "checkpoints").is_dir()


def test_nothing_to_do_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_run(tmp_path / "o" / "a", overall=1.0)
    gc.main([str(tmp_path / "o"), "keep=none"])
    assert "nothing to remove" in capsys.readouterr().out


def test_a_full_disk_is_freed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no room for the few bytes that a lock writes; who does not free space is told."""
    run = trained(tmp_path / "o" / "main-a")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("common.files.os.write", full)
    gc.main([str(tmp_path / "o"), "keep=none", "apply=true"])
    assert not [name for name in files(run) if name.startswith("checkpoints")]
    with pytest.raises(SaveFailed, match="No space left"), locked(run):
        pass
