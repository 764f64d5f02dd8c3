"""An evaluation from its beginning to its numbers: this process's share, or all of it in several processes, then what all shards
have done so far, read together. Tables and pages are the command's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from common.errors import BadInput
from common.files import read_json, write_json
from common.progress import console
from experiments.evaluation.claiming import is_variant
from experiments.evaluation.core import times
from experiments.evaluation.evaluator import Evaluator
from experiments.evaluation.layout import CLAIM, LOCKS
from experiments.evaluation.load import RESULTS, Section, is_evaluation, load, made_from
from experiments.evaluation.pending import all_measured, check, remaining
from experiments.evaluation.scores import scores
from experiments.evaluation.shares import held
from experiments.evaluation.sources import keep_sources
from experiments.evaluation.spec import EvaluationSpec
from experiments.runs.identity import TRAINED

Publish = Callable[[Mapping[str, Any], Sequence[Section]], object]  # writes tables and pages from results and rows
REMEDY = (
    "Mend what it names and give the same command again with retry=true, or allow more with judge.max_invalid_share"
)


def do_work(evaluator: Evaluator) -> bool:
    """Everything that was asked for and is not there yet. Returns False where the judge's budget was spent. Raises
    KeyboardInterrupt with a message how to go on."""
    spec, share = evaluator.spec, evaluator.spec.share
    announce(evaluator)
    if settled(evaluator) or not check(evaluator):
        return True
    if spec.used.launcher.processes > 1:
        from experiments.evaluation.shards import run_shards

        return run_shards(spec, remaining(evaluator, share))
    return evaluator.work(share)  # in a worker, what is missing was checked by its launcher


def announce(evaluator: Evaluator) -> None:
    """Say what is evaluated, and whether there are more shards than blocks."""
    spec, share = evaluator.spec, evaluator.spec.share
    n, turns = len(evaluator.benchmark), len(evaluator.listing.items)
    console.print(
        f"[bold]{spec.benchmark_name}[/]: "
        + (f"{n:,} sessions, {turns:,} turns" if turns != n else f"{n:,} item{'' if n == 1 else 's'}")
        + (f", shard {share.name}" if share.shards > 1 else "")
    )
    blocks = -(-n // spec.chunk)
    if share.shards > blocks:
        console.print(
            f"{share.shards} shards share {blocks} blocks of chunk={spec.chunk} units: some have nothing to do"
        )


def check_out(out: Path) -> None:
    """Raises BadInput where the report would take the place of something else."""
    if out.exists() and not out.is_dir():
        raise BadInput(f"out={out} is a file; choose a folder")
    if (out / TRAINED).is_dir() or (out / "metrics.jsonl").exists():
        raise BadInput(f"{out} is the folder of a run; choose another out=<folder>")
    names = (RESULTS, "report.html", "table.csv", "table.md", "table.tex", "config.yaml", CLAIM)
    existing = [n for n in names if (out / n).exists()]
    if existing and not is_evaluation(out) and not (out / LOCKS).is_dir():
        raise BadInput(f"{out} holds something else ({', '.join(existing)}); choose another out=<folder>")


def settled(evaluator: Evaluator) -> bool:
    """Whether results.json was made from all rows that are there and says that none is missing: then no row need be read."""
    spec = evaluator.spec
    path = spec.out / RESULTS
    if spec.retry or not spec.judged or spec.decompositions or not path.is_file():
        return False
    values = read_json(path)
    if values.get("made_from") != made_from(spec.out) or not all_measured(evaluator, values["metrics"]):
        return False
    judged = values["judges"].get(evaluator.layout.benchmark, {}).get(evaluator.label, {"arms": {}})["arms"]
    return all(arm in judged and not judged[arm]["partial"] for arm in evaluator.arms if not is_variant(arm))


def summarise(evaluator: Evaluator, publish: Publish, beside: Sequence[Evaluator] = ()) -> dict[str, Any]:
    """results.json from all rows of the folder, whoever made them; `publish` writes what is shown. `beside`: other benchmarks of
    the same command. One process at a time: the last one to end sees everything."""
    spec = evaluator.spec
    with held(spec.out / LOCKS / "report.lock", wait=True):
        made = made_from(spec.out)
        path = spec.out / RESULTS
        previous: dict[str, Any] = read_json(path) if path.is_file() else {}
        if previous.get("made_from") == made and (spec.out / "report.html").is_file():
            return previous  # nothing new since it was written
        sections = load(spec.out)
        for one in (evaluator, *beside):
            keep_sources(one.benchmark, sections, one.layout, spec.gallery)
        values = scores(sections, made, about(spec) | {"time_s": times(spec.out)})
        publish(values, sections)
        write_json(path, values)
    return values


def about(spec: EvaluationSpec) -> dict[str, Any]:
    """The last command, for results.json."""
    used = spec.used
    trained = {} if spec.trained is None else {"reward": used.reward.name, "algo": used.algo.name}
    return {
        "scale": used.scale.name,
        "editor": used.editor.name,
        "editor_settings": used.editor.settings(),
        **trained,
        "execution": used.execution.name,
        "seed": used.scale.test_seed if spec.trained is None else used.seed,
        "benchmark": spec.benchmark_name,
        "run": spec.run,
        "gallery": spec.gallery,
    }


__all__ = ["REMEDY", "about", "check_out", "do_work", "summarise"]
