"""The arms of a run: resumed they are the same, and the editor alone gets as many calls as the team made."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.editing import call_seed
from common.errors import RunFailed
from common.progress import bar
from conf.schema import RunConfig
from editors.flow_editor import FlowEditor
from editors.sandbox import SandboxEditor
from experiments.build.editors import make_editor
from experiments.evaluation.claims import claim
from experiments.evaluation.editing import edit
from experiments.evaluation.equal_calls import best_by_judge, by_chance, call_counts, calls_made, variant_blocks
from experiments.evaluation.evaluator import Evaluator, open_evaluator
from experiments.evaluation.layout import Layout
from experiments.evaluation.load import load
from experiments.evaluation.makers import watched
from experiments.evaluation.pending import check_invalid
from experiments.evaluation.rows import RowFile, read_rows
from experiments.evaluation.shares import Share
from experiments.runs.cli import compose, typed
from experiments.runs.results import Evaluation
from experiments.runs.run import Run
from tests.experiments.evaluation.little import Brighter, Little, set_up
from tests.saved_editors import save_kontext

SAMPLES = 5
WHOLE = Share()


def config(*overrides: str) -> RunConfig:
    small = (f"scale.test_samples={SAMPLES}", "scale.chunk=2", "scale.strips=1", "engine.device=cpu")
    return typed(compose("run", [*small, *overrides]))


def evaluator(
    config: RunConfig, folder: Path, calls: int | None = None, arms: tuple[str, ...] = ("editor",)
) -> Evaluator:
    spec = replace(Run(config, folder).spec(), arms=arms, editor_calls=calls)
    return open_evaluator(spec)


def team_made(work: Evaluator, calls: list[int]) -> None:
    """Rows of the trained team that made so many calls; from then on the evaluation has its arm."""
    layout = work.layout
    claim(layout.edits("agents_rl"), {"arm": "agents_rl"}, "pictures", "")
    with RowFile(layout.edits("agents_rl") / "0-of-1.jsonl") as file:
        file.append(
            {"unit": i, "turn": 0, "id": item.id, "calls": ["do it"] * k, "failure": ""}
            for i, (item, k) in enumerate(zip(work.listing.items, calls, strict=True))
        )


def with_team(work: Evaluator) -> None:
    """The variants, as after an edit of the team's arm."""
    work.spec = replace(work.spec, arms=(*work.spec.arms, "agents_rl"))
    work.edit_variants(WHOLE)


def verdicts(work: Evaluator, arm: str) -> dict[Any, Any]:
    return {k: (r["scores"], r["valid"]) for k, r in read_rows(work.layout.verdicts("sandbox", arm)).items()}


@pytest.fixture(scope="module")
def kontext(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_kontext(tmp_path_factory.mktemp("kontext"))


@pytest.fixture(scope="module")
def diffusion(kontext: Path) -> RunConfig:
    """A diffusion editor with random weights: every seed another picture."""
    return config("editor=flux_kontext", f"editor.checkpoint={kontext}", "editor.steps=2", "editor.area=1024")


@pytest.fixture(scope="module")
def fivefold(diffusion: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    """The editor alone, once and with as many calls as a team that made 1, 2, 1, 3 and 1."""
    return fill(evaluator(diffusion, tmp_path_factory.mktemp("fivefold")), [1, 2, 1, 3, 1])


def fill(work: Evaluator, calls: list[int]) -> Evaluator:
    work.edit(WHOLE)
    team_made(work, calls)
    with_team(work)
    work.arms = tuple(a for a in work.arms if a != "agents_rl")  # it has rows and no pictures here
    assert work.judge(WHOLE)
    return work


def test_one_call_is_the_arm_of_the_editor_alone(fivefold: Evaluator, diffusion: RunConfig, tmp_path: Path) -> None:
    work = fill(evaluator(diffusion, tmp_path, calls=1), [3] * SAMPLES)
    assert verdicts(work, "editor_calls.0") == verdicts(work, "editor") == verdicts(fivefold, "editor")
    (section,) = load(tmp_path)
    rows = section.columns[0].rows
    for extra in ("editor_chance", "editor_best"):
        assert {k: r["scores"] for k, r in rows[extra].items()} == {k: r["scores"] for k, r in rows["editor"].items()}


def test_every_sample_has_as_many_variants_as_the_team_made_calls_each_with_its_own_seed(fivefold: Evaluator) -> None:
    (section,) = load(fivefold.spec.out)
    variants = section.columns[0].variants[""]
    assert [len(several) for several in variants.values()] == [1, 2, 1, 3, 1]
    assert [several[0]["id"] for several in variants.values()] == [i.id for i in section.listing.items]
    for several in variants.values():
        assert len({str(v["scores"]) for v in several}) == len(several)  # no two pictures are the same
    assert len({call_seed(0, "a", j) for j in range(9)}) == 9
    assert section.arms == ("agents_rl", "editor") or section.arms == ("editor", "agents_rl")


def test_killed_between_two_files_the_whole_block_is_made_again(
    fivefold: Evaluator, diffusion: RunConfig, tmp_path: Path
) -> None:
    shutil.copytree(fivefold.spec.out / "sandbox", tmp_path / "sandbox")
    once = {p.name: p.read_bytes() for p in sorted((tmp_path / "sandbox/pictures/editor_calls.1").iterdir())}
    path = tmp_path / "sandbox/edits/editor_calls.2/0-of-1.jsonl"
    assert path.read_text().count("\n") == 1  # sample 3 alone had three calls
    path.write_text("")
    work = evaluator(diffusion, tmp_path)
    with_team(work)
    assert path.read_text().count("\n") == 1
    lines = (tmp_path / "sandbox/edits/editor_calls.1/0-of-1.jsonl").read_text().count("\n")
    assert lines == 2 + 1  # sample 3 of the same block once more
    assert {p.name: p.read_bytes() for p in sorted((tmp_path / "sandbox/pictures/editor_calls.1").iterdir())} == once


def test_an_editor_that_ignores_its_seed_gains_nothing_by_more_calls(tmp_path: Path) -> None:
    work = fill(evaluator(config("execution=multi", "editor=sandbox"), tmp_path), [2, 1, 3, 1, 1])
    (section,) = load(work.spec.out)
    rows = section.columns[0].rows
    for extra in ("editor_chance", "editor_best"):
        for key, row in rows[extra].items():
            assert row["scores"] == pytest.approx(rows["editor"][key]["scores"])


@pytest.mark.parametrize(("made", "override"), [([1] * SAMPLES, None), ([2] * SAMPLES, 0)])
def test_nothing_is_run_where_the_team_made_one_call_each_or_the_arm_is_off(
    made: list[int], override: int | None, tmp_path: Path
) -> None:
    work = evaluator(config("editor=sandbox"), tmp_path, calls=override)
    team_made(work, made)
    with_team(work)
    assert not list((tmp_path / "sandbox" / "edits").glob("editor_calls*"))


def test_in_a_session_every_variant_goes_on_with_its_own_picture(tmp_path: Path) -> None:
    benchmark, lengths = Little(2, turns=2), [2, 2]
    names = ["editor_calls.0", "editor_calls.1"]
    layout = set_up(tmp_path, benchmark, names)

    class Variants(Brighter):
        def __call__(self, items, variants=(), within=None):  # type: ignore[no-untyped-def]
            self.seen += [(f"{i.id}/{j}", j) for i, j in zip(items, variants, strict=True)]
            return super().__call__(items)

    maker = Variants()
    blocks = variant_blocks([1, 2], lengths, names, layout, WHOLE, 2)
    edit(layout, benchmark, lambda: maker, blocks, WHOLE)
    rows = {name: list(read_rows(layout.edits(name))) for name in names}
    assert rows == {"editor_calls.0": [(0, 0), (0, 1), (1, 0), (1, 1)], "editor_calls.1": [(1, 0), (1, 1)]}
    assert variant_blocks([1, 2], lengths, names, layout, WHOLE, 2) == []


def scored(*overall: float | None) -> list[dict[str, Any]]:
    return [
        {"scores": {}, "valid": False, "reason": "no picture"}
        if x is None
        else {"scores": {"overall": x, "quality": 10 - x}, "valid": True, "reason": ""}
        for x in overall
    ]


def test_chance_is_the_mean_and_best_the_highest_of_the_valid_variants() -> None:
    assert by_chance(scored(2.0, 7.0, 3.0))["scores"] == {"overall": 4.0, "quality": 6.0}
    assert best_by_judge(scored(2.0, 7.0, 3.0))["scores"] == {"overall": 7.0, "quality": 3.0}
    assert by_chance(scored(None, 2.0, 4.0))["scores"]["overall"] == 3.0
    assert best_by_judge(scored(None, 2.0, 4.0))["scores"]["overall"] == 4.0
    for of in (by_chance, best_by_judge):
        assert of(scored(None, None)) == {"scores": {}, "valid": False, "reason": "no picture"}


@pytest.mark.parametrize(
    ("calls", "failure", "made"),
    [(3, "", 3), (0, "", 1), (3, "call 2: refused by the content filter: no", 2), (3, "the judge gave no number", 3)],
)
def test_calls_made_are_those_up_to_a_failed_one(calls: int, failure: str, made: int, tmp_path: Path) -> None:
    row: Mapping[str, Any] = {"calls": ["x"] * calls, "failure": failure}
    assert calls_made(row) == made
    layout = Layout(tmp_path, "little")
    with RowFile(layout.edits("agents_rl") / "0-of-1.jsonl") as file:
        file.append([{"unit": 0, "turn": 0, **row}])
    assert call_counts(layout, "agents_rl", 1, None) == [made] and call_counts(layout, "agents_rl", 1, 4) == [4]


def test_too_many_invalid_verdicts_stop_a_run_each_time_until_they_are_mended(
    fivefold: Evaluator, tmp_path: Path
) -> None:
    shutil.copytree(fivefold.spec.out / "sandbox", tmp_path / "sandbox")
    work = evaluator(fivefold.spec.used, tmp_path)
    work.arms = tuple(a for a in work.arms if a != "agents_rl")  # it has rows and no pictures here
    path = tmp_path / "sandbox/verdicts/sandbox/editor/0-of-1.jsonl"
    rows = [r | {"valid": False, "scores": {}, "reason": "refused"} for r in read_rows(path.parent).values()]
    path.unlink()
    with RowFile(path) as file:
        file.append(rows)
    for _ in range(2):  # the rows are complete, and still no result
        assert work.judge(WHOLE)
        with pytest.raises(RunFailed, match="arm editor: 5 of 5 verdicts are invalid.*refused.*do this"):
            check_invalid(work, "do this")


def test_the_editor_reports_how_far_it_is_where_it_can(diffusion: RunConfig) -> None:
    editor = make_editor(diffusion.editor, diffusion.engine)
    reached: list[tuple[int, int]] = []
    told = watched(editor, lambda done, total: reached.append((done, total)))
    assert isinstance(told, FlowEditor) and told.on_progress is not None and told.model is editor.model  # type: ignore[attr-defined]
    told.on_progress(2, 10)
    assert reached == [(2, 10)]
    plain = SandboxEditor()
    assert watched(plain, lambda done, total: None) is plain
    with bar("arm", 20) as b:
        b.update(3)


def test_results_say_with_which_settings_the_editor_worked(diffusion: RunConfig, kontext: Path) -> None:
    settings = diffusion.editor.settings()
    assert settings is not None
    assert (settings["checkpoint"], settings["steps"], settings["area"], settings["true_cfg"]) == (
        str(kontext),
        2,
        1024,
        3.0,
    )
    assert config("editor=sandbox").editor.settings() is None
    assert config("editor=gpt_image").editor.settings()["model"] == "gpt-image-1"  # type: ignore[index]


def test_traces_of_the_shown_samples_are_kept_and_rows_are_joined_for_reports(fivefold: Evaluator) -> None:
    folder = fivefold.spec.out
    kept = list((folder / "traces" / "editor").glob("*/trace.json"))
    assert len(kept) == 1 and (kept[0].parent / "target.png").is_file()
    from common.files import write_text
    from experiments.runs.identity import config_text

    write_text(folder / "config.yaml", config_text(fivefold.spec.used))
    rows = Evaluation.load(folder)
    assert [r["i"] for r in rows.arms["editor"]] == list(range(SAMPLES))
    assert all(r["request"] and r["kind"] and len(r["calls"]) == 1 for r in rows.arms["editor"])
    assert [len(r["variants"]) for r in rows.calls] == [1, 2, 1, 3, 1]
