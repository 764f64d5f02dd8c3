"""The arms on test samples: resumed they are the same, and the editor alone gets as many calls as the team made."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.editing import call_seed
from common.errors import BadInput, RunFailed
from common.jsonl import Journal, read_jsonl
from common.progress import bar
from conf.schema import RunConfig
from editors.flow_editor import FlowEditor
from editors.sandbox import SandboxEditor
from experiments.build.benchmarks import held_out_samples
from experiments.build.editors import make_editor
from experiments.evaluation.names import CALLS
from experiments.runs.arms import Arms, call_counts, check_calls, check_verdicts, equal_calls, run_arm, watched
from experiments.runs.cli import compose, typed
from experiments.runs.results import Evaluation, best_by_judge, by_chance, calls_made, editor_settings
from tests.saved_editors import save_kontext

SAMPLES = 5


def config(*overrides: str) -> RunConfig:
    small = (f"scale.test_samples={SAMPLES}", "scale.chunk=2", "scale.strips=1", "engine.device=cpu")
    return typed(compose("run", [*small, *overrides]))


def arms(config: RunConfig, folder: Path) -> Arms:
    samples = held_out_samples(config.benchmark, config.scale.image_size, SAMPLES, config.scale.test_seed)
    return Arms(config, folder, samples, Path("no start"), Path("no trained"))


def team_made(work: Arms, calls: list[int]) -> None:
    """Rows of the trained team that made so many calls."""
    Journal(work.folder / "eval" / "agents_rl.jsonl").append(
        {"i": i, "id": s.id, "kind": s.kind, "request": s.request, "calls": ["do it"] * k, "valid": True, "reason": ""}
        | {"scores": {"overall": 5.0}}
        for i, (s, k) in enumerate(zip(work.samples, calls, strict=True))
    )


def verdict(row: dict[str, Any]) -> dict[str, Any]:
    return {k: row[k] for k in ("scores", "valid", "reason")}


@pytest.fixture(scope="module")
def kontext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_kontext(tmp_path_factory.mktemp("kontext"))


@pytest.fixture(scope="module")
def diffusion(kontext: Path) -> RunConfig:
    """A diffusion editor with random weights: every seed another picture."""
    return config("editor=flux_kontext", f"editor.checkpoint={kontext}", "editor.steps=2", "editor.area=1024")


@pytest.fixture(scope="module")
def fivefold(diffusion: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Arms:
    """The editor alone, once and with as many calls as a team that made 1, 2, 1, 3 and 1."""
    work = arms(diffusion, tmp_path_factory.mktemp("fivefold"))
    run_arm(work, "editor", None)
    team_made(work, [1, 2, 1, 3, 1])
    equal_calls(work)
    return work


def test_one_call_is_the_arm_of_the_editor_alone(fivefold: Arms, tmp_path: Path) -> None:
    one = replace(fivefold.config, scale=replace(fivefold.config.scale, editor_calls=1))
    work = replace(fivefold, config=one, folder=tmp_path)
    team_made(work, [3] * SAMPLES)
    equal_calls(work)
    rows, alone = work.rows(CALLS).rows, fivefold.rows("editor").rows
    assert [[verdict(v) for v in r["variants"]] for r in rows] == [[verdict(a)] for a in alone]
    found = Evaluation.load(tmp_path)
    for extra in ("editor_chance", "editor_best"):
        keys = found.arms[extra][0].keys()
        assert found.arms[extra] == [{k: a[k] for k in keys} for a in alone]


def test_every_sample_has_as_many_variants_as_the_team_made_calls_each_with_its_own_seed(fivefold: Arms) -> None:
    rows = fivefold.rows(CALLS).rows
    assert [len(r["variants"]) for r in rows] == [1, 2, 1, 3, 1]
    assert [r["id"] for r in rows] == [s.id for s in fivefold.samples]
    for row in rows:
        scores = [json.dumps(v["scores"]) for v in row["variants"]]
        assert len(set(scores)) == len(scores)  # no two pictures are the same
    assert len({call_seed(0, "a", j) for j in range(9)}) == 9


def test_killed_in_the_middle_and_resumed_the_file_is_the_same(fivefold: Arms, tmp_path: Path) -> None:
    work = replace(fivefold, folder=tmp_path)
    (tmp_path / "eval").mkdir()
    for name in ("editor", "agents_rl", CALLS):
        whole = (fivefold.folder / "eval" / f"{name}.jsonl").read_bytes()
        cut = len(whole) if name == "agents_rl" else len(whole) * 2 // 3  # in the second chunk of two, in a line
        (tmp_path / "eval" / f"{name}.jsonl").write_bytes(whole[:cut])
    run_arm(work, "editor", None)
    equal_calls(work)
    for name in ("editor", CALLS):
        once = (fivefold.folder / "eval" / f"{name}.jsonl").read_bytes()
        assert (tmp_path / "eval" / f"{name}.jsonl").read_bytes() == once


def test_an_editor_that_ignores_its_seed_gains_nothing_by_more_calls(tmp_path: Path) -> None:
    work = arms(config("execution=multi", "editor=sandbox"), tmp_path)
    run_arm(work, "editor", None)
    team_made(work, [2, 1, 3, 1, 1])
    equal_calls(work)
    found = Evaluation.load(tmp_path)
    for extra in ("editor_chance", "editor_best"):
        for mine, alone in zip(found.arms[extra], found.arms["editor"], strict=True):
            assert mine["scores"] == pytest.approx(alone["scores"]) and mine["id"] == alone["id"]


@pytest.mark.parametrize(("made", "override"), [([1] * SAMPLES, None), ([2] * SAMPLES, 0)])
def test_nothing_is_run_where_the_team_made_one_call_each_or_the_arm_is_off(
    made: list[int], override: int | None, tmp_path: Path
) -> None:
    work = arms(config(f"scale.editor_calls={'null' if override is None else override}"), tmp_path)
    team_made(work, made)
    equal_calls(work)
    assert not (tmp_path / "eval" / f"{CALLS}.jsonl").exists()


def row(*overall: float | None) -> dict[str, Any]:
    variants = [
        {"scores": {}, "valid": False, "reason": "no picture"}
        if x is None
        else {"scores": {"overall": x, "quality": 10 - x}, "valid": True, "reason": ""}
        for x in overall
    ]
    return {"i": 0, "id": "a", "kind": "direct", "request": "do", "variants": variants}


def test_chance_is_the_mean_and_best_the_highest_of_the_valid_variants() -> None:
    assert by_chance(row(2.0, 7.0, 3.0))["scores"] == {"overall": 4.0, "quality": 6.0}
    assert best_by_judge(row(2.0, 7.0, 3.0))["scores"] == {"overall": 7.0, "quality": 3.0}
    assert by_chance(row(None, 2.0, 4.0))["scores"]["overall"] == 3.0
    assert best_by_judge(row(None, 2.0, 4.0)) | {"scores": {}} == {
        "i": 0, "id": "a", "kind": "direct", "request": "do", "scores": {}, "valid": True, "reason": "",
    }  # fmt: skip
    for of in (by_chance, best_by_judge):
        nothing = of(row(None, None))
        assert (nothing["valid"], nothing["scores"], nothing["reason"]) == (False, {}, "no picture")


@pytest.mark.parametrize(
    ("calls", "reason", "made"),
    [(3, "", 3), (0, "", 1), (3, "call 2: refused by the content filter: no", 2), (3, "the judge gave no number", 3)],
)
def test_calls_made_are_those_up_to_a_failed_one(calls: int, reason: str, made: int) -> None:
    team = {"calls": ["x"] * calls, "valid": not reason, "reason": reason}
    assert calls_made(team) == made
    assert call_counts([team], None) == [made] and call_counts([team], 4) == [4]


def test_too_many_invalid_verdicts_stop_a_run_each_time_until_they_are_mended(fivefold: Arms, tmp_path: Path) -> None:
    rows = [{"valid": i > 0, "reason": "refused"} for i in range(4)]
    check_verdicts("editor", rows, 0.25)
    with pytest.raises(RunFailed, match="1 of 4 verdicts are invalid.*refused"):
        check_verdicts("editor", rows, 0.2)
    bad = [r | {"valid": False, "reason": "refused"} for r in fivefold.rows("editor").rows]
    Journal(tmp_path / "eval" / "editor.jsonl").append(bad)
    with pytest.raises(RunFailed, match="arm editor: 5 of 5"):  # the file is whole and still no result
        run_arm(replace(fivefold, folder=tmp_path), "editor", None)


def test_a_negative_number_of_calls_is_refused() -> None:
    check_calls(None)
    check_calls(0)
    with pytest.raises(BadInput, match="editor_calls=-1"):
        check_calls(-1)


def test_the_bar_moves_within_a_chunk_and_never_back(diffusion: RunConfig) -> None:
    editor = make_editor(diffusion.editor, diffusion.engine)
    with bar("arm", 20) as b:
        told = watched(editor, b, range(10, 20))
        assert isinstance(told, FlowEditor) and told.on_progress is not None and told.model is editor.model  # type: ignore[attr-defined]
        reached = []
        for done, total in ((2, 10), (8, 10), (10, 10), (1, 4)):  # a second round of multi execution has fewer
            told.on_progress(done, total)
            reached.append(b.done)
    assert reached == [12, 18, 19, 19]
    with bar("arm", 20) as b:
        plain = SandboxEditor()
        assert watched(plain, b, range(10)) is plain


def test_results_say_with_which_settings_the_editor_worked(diffusion: RunConfig, kontext: Path) -> None:
    found = editor_settings(diffusion.editor)
    assert found is not None
    assert (found["checkpoint"], found["steps"], found["area"], found["true_cfg"]) == (str(kontext), 2, 1024, 3.0)
    assert editor_settings(config("editor=sandbox").editor) is None
    assert editor_settings(config("editor=gpt_image").editor)["model"] == "gpt-image-1"  # type: ignore[index]


def test_traces_of_the_shown_samples_are_kept(fivefold: Arms) -> None:
    kept = list((fivefold.folder / "traces" / "editor").glob("*/trace.json"))
    assert len(kept) == 1
    assert [r["i"] for r in read_jsonl(fivefold.folder / "eval" / "editor.jsonl")] == list(range(SAMPLES))
