"""Stages of Edit-R1 and Edit-R2 that a run takes from another one: what they find out is what a run that shares nothing does, and
a kill while they are made or taken leaves nothing half."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from common.files import read_json
from common.jsonl import read_jsonl
from tests.e2e.processes import command
from tests.e2e.test_edit_r1 import SMALL as EDIT_R1
from tests.e2e.test_edit_r2 import SMALL as EDIT_R2
from tests.saved_editors import save_kontext

TIMES = ("time/", "memory/", "seconds", "turns_per_s", "tokens_per_s", "pictures_per_s", "per_s")
OF_THE_RUN = (
    "config.yaml",
    "results.json",
    "report.html",
    "status.json",
    "timing.jsonl",
    "shared.json",
    "trainings.json",
)


def found_out(outputs: Path, key: str) -> dict[str, Any]:
    """Every file of the run whose configuration has this line, without what tells its times."""
    (run,) = (p.parent for p in outputs.glob("*/config.yaml") if key in p.read_text())
    values: dict[str, Any] = {}
    for path in sorted(p for p in run.rglob("*") if p.is_file() and not p.is_symlink()):
        name = str(path.relative_to(run))
        if (
            name in OF_THE_RUN
            or name.startswith((".", "checkpoints"))
            or "/checkpoints" in name
            or name.endswith(".log")
        ):
            continue
        values[name] = path.read_bytes()
        if path.suffix == ".jsonl":
            values[name] = [
                {k: v for k, v in row.items() if not any(t in k for t in TIMES)} for row in read_jsonl(path)
            ]
    results = read_json(run / "results.json")
    results.pop("time_s")
    return values | {"results": results}


def compared(words: list[str], second: list[str], key: str, folder: Path) -> tuple[str, Path]:
    """The job `words`, then the one with `second` besides, sharing; and the latter alone. Returns what the sharing one printed,
    and its outputs."""
    together, apart = folder / "together", folder / "apart"
    together.mkdir(), apart.mkdir()
    assert command("experiments.run", words, together, kill_at=30).code == -9  # nothing half is offered to others
    for more in ([], second):
        ended = command("experiments.run", [*words, *more], together)
        assert ended.code == 0, ended.text
    alone = command("experiments.run", [*words, *second, "share=false"], apart)
    assert alone.code == 0 and "taken from" not in alone.text, alone.text
    one, other = found_out(together / "outputs", key), found_out(apart / "outputs", key)
    assert one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []
    return ended.text, together / "outputs"


@pytest.mark.slow
def test_edit_r1(tiny_vlm_path: Path, tmp_path: Path) -> None:
    words = [*EDIT_R1, "reward=rrm", f"rrm.base={tiny_vlm_path}"]
    words.append(f"editor.checkpoint={save_kontext(tmp_path / 'kontext')}")
    text, outputs = compared(words, ["scale.test_samples=3"], "test_samples: 3\n", tmp_path)
    for phase in ("rrm_data", "rrm-holistic", "rrm-sft", "gcpo", "rrm_accuracy", "editor_rl"):
        assert f"{phase}: taken from" in text, text
    (taken,) = (p.parent for p in outputs.glob("*/config.yaml") if "test_samples: 3\n" in p.read_text())
    assert (taken / "editor" / "vae").is_symlink() and (taken / "editor" / "vae" / "config.json").is_file()


@pytest.mark.slow
def test_edit_r2(tiny_vlm_path: Path, tmp_path: Path) -> None:
    """Another seed has the arms without training in common; another number of held-out sessions all trainings."""
    words = [*EDIT_R2, f"intent.checkpoint={tiny_vlm_path}"]
    words.append(f"editor.checkpoint={save_kontext(tmp_path / 'kontext')}")
    text, outputs = compared(words, ["sessions.held_out=2"], "held_out: 2\n", tmp_path)
    for phase in ("session_rl_text", "session_rl_flow", "session_rl_no_filter", "session_rl"):
        assert f"  {phase}: taken from" in text, text
    other = command("experiments.run", [*words, "seed=4", "stages=[session_scores]"], outputs.parent)
    assert other.code == 0, other.text
    for arm in ("raw", "intent_no_rl"):
        assert f"session-scores-{arm}: taken from" in other.text, other.text
