"""An evaluation from its beginning to its report: this process's share, or all of it in several processes, then what all
shards have done so far, read together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import BadInput, RunFailed
from common.files import read_json, write_json
from common.progress import clock, console
from experiments.evaluation.evaluator import Evaluator, open_evaluator, say_shares
from experiments.evaluation.judging import check_share
from experiments.evaluation.layout import LOCKS, Share, held
from experiments.evaluation.load import RESULTS, is_evaluation, load, made_from
from experiments.evaluation.scores import scores
from experiments.evaluation.sources import keep_sources
from experiments.evaluation.spec import EvaluationSpec
from experiments.reports.evaluation.page import write_page
from experiments.reports.evaluation.tables import print_table, write_tables
from experiments.runs.results import editor_settings


def evaluate(asked: EvaluationSpec) -> dict[str, Any]:
    """Everything that was asked for; what results.json then holds. Raises KeyboardInterrupt with a message how to go on,
    RunFailed where the budget was spent or too many verdicts are invalid. The report is written in these cases too."""
    began = time.monotonic()
    check_out(asked.out)
    stages = open_evaluator(asked)
    share = asked.share
    n, turns = len(stages.benchmark), len(stages.listing.items)
    console.print(
        f"[bold]{asked.benchmark_name}[/]: "
        + (f"{n:,} sessions, {turns:,} turns" if turns != n else f"{n:,} item{'' if n == 1 else 's'}")
        + (f", shard {share.name}" if share.shards > 1 else "")
    )
    say_shares(stages, share)
    covered = True
    try:
        if settled(stages) or not stages.check():
            pass
        elif asked.used.launcher.processes > 1:
            from experiments.evaluation.shards import run_shards

            covered = run_shards(asked, stages.remaining(share))
        else:
            covered = work(stages, share)
    except KeyboardInterrupt:
        report(stages)
        raise
    values = report(stages)
    console.print(f"total time: {clock(time.monotonic() - began)}")
    if not covered:
        raise RunFailed(
            f"budget={asked.config.budget} is spent. What was judged is kept in {asked.out} (the report says what is missing); "
            "the same command with a larger budget= goes on from there"
        )
    fail_on_invalid(stages, values)
    return values


def check_out(out: Path) -> None:
    """Raises BadInput where the report would take the place of something else."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"out={out} is a file; choose a folder")
    names = (RESULTS, "report.html", "table.csv", "table.md", "table.tex", "config.yaml", "evaluation.json")
    there = [n for n in names if (out / n).exists()]
    if there and not is_evaluation(out) and not (out / LOCKS).is_dir():
        raise BadInput(f"{out} holds something else ({', '.join(there)}); choose another out=<folder>")


def settled(stages: Evaluator) -> bool:
    """Whether results.json was made from all rows that are there and says that none is missing: then no row need be read."""
    asked = stages.asked
    path = asked.out / RESULTS
    if asked.config.retry or not asked.judged or not path.is_file():
        return False
    values = read_json(path)
    if values.get("made_from") != made_from(asked.out) or not stages.measured(values["metrics"]):
        return False
    known = values["judges"].get(stages.place.benchmark, {}).get(stages.label, {"arms": {}})["arms"]
    return all(arm in known and not known[arm]["partial"] for arm in stages.arms)


def work(stages: Evaluator, share: Share) -> bool:
    """This process's share; False where the budget was spent."""
    with share.working(stages.asked.out):  # in a worker what is missing was checked by its launcher
        stages.edit(share)
        covered = stages.judge(share)
        stages.measure(share)
    return covered


def report(stages: Evaluator) -> dict[str, Any]:
    """Write results.json, the tables and the page from all rows that are there, whoever made them. One process at a time: the
    last one to finish sees everything."""
    asked = stages.asked
    with held(asked.out / LOCKS / "report.lock", wait=True):
        made = made_from(asked.out)
        path = asked.out / RESULTS
        known = read_json(path) if path.is_file() else {}
        if known.get("made_from") == made and (asked.out / "report.html").is_file():
            values: dict[str, Any] = known  # nothing new since it was written
        else:
            sections = load(asked.out)
            values = scores(sections, made, about(asked))
            keep_sources(stages.benchmark, sections, stages.place, asked.config.gallery)
            write_tables(asked.out, values)
            write_page(asked.out, values, sections, asked.config.gallery)
            write_json(path, values)
    print_table(values)
    console.print(f"report: [bold]{asked.out / 'report.html'}[/]")
    return values


def about(asked: EvaluationSpec) -> Mapping[str, Any]:
    used = asked.used
    return {
        "scale": used.scale.name,
        "editor": used.editor.name,
        "editor_settings": editor_settings(used.editor),
        "execution": used.execution.name,
        "seed": used.scale.test_seed,
        "run": asked.config.run,
        "gallery": asked.config.gallery,
    }


def fail_on_invalid(stages: Evaluator, values: Mapping[str, Any]) -> None:
    """RunFailed naming every arm of this judge with too many invalid verdicts, once all of them are there."""
    if not stages.asked.judged:
        return
    column = values["judges"].get(stages.place.benchmark, {}).get(stages.label, {"arms": {}})
    most = stages.asked.used.judge.max_invalid_share
    wrong = []
    for arm, found in column["arms"].items():
        if found["partial"] or found["invalid"] <= most * found["n"]:
            continue
        section = next(s for s in load(stages.asked.out) if s.name == stages.place.benchmark)
        rows = next(c for c in section.columns if c.label == stages.label).rows[arm]
        wrong.append(check_share(f"{stages.label} on {arm}", list(rows.values()), found["n"], most))
    if wrong:
        raise RunFailed("\n".join(wrong))


__all__ = ["evaluate", "report", "work"]
