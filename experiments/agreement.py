"""`python -m experiments.agreement data=… path=… judge=… out=<folder>`: how well a judge agrees with people.

Scores every edit of a set of preference data (or takes the scores that a CSV carries: scores=csv) and writes
agreement.json, agreement.md and agreement.html: accuracy by the set's own rule, tie-aware accuracy, rank correlations,
kappas and a self-preference check, each with its interval. Rows are kept as they come, in verdicts.jsonl; the same command
again goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from conf.schema import AgreementConfig, TrackerConfig
from experiments.runs.cli import command

if TYPE_CHECKING:
    from benchmarks.preferences import PreferenceSet

FREE_TEXT = ("path", "out")  # keys whose values are taken as they are
SOURCES = ("judge", "csv")
SANDBOX = "sandbox"
PAIRWISE = "pairwise"
LOCAL = ("vlm", "rrm")  # kinds of judges that load a model here
IDENTITY = (
    "name",
    "kind",
    "model",
    "base_url",
    "repeats",
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "extra",
    "dtype",
)


def main(config: AgreementConfig) -> None:
    from common.errors import BadInput, RunFailed
    from common.files import locked, write_json
    from common.progress import console
    from experiments.evaluation.agreement_verdicts import Verdicts
    from experiments.reports.agreement_page import write_reports
    from judges.findings import Findings, findings_from_scores, findings_from_votes

    if config.scores not in SOURCES:
        raise BadInput(f"scores={config.scores} is unknown; choose {' or '.join(SOURCES)}")
    if config.samples is not None and config.samples < 1:
        raise BadInput(f"samples={config.samples} cannot be used; give 1 or more")
    if config.judge.kind in LOCAL:
        from experiments.runs.libraries import quiet_libraries

        quiet_libraries(config.verbose)
    out = Path(config.out)
    with locked(out):
        data = load_data(config, out)
        check_judge(config, data)
        keep_settings(out, settings_of(config, data))
        stopped, spent = "", {}
        found: Findings
        if config.scores == "csv":
            found = findings_from_scores(data, carried_scores(data), config.seed)
        else:
            verdicts = Verdicts(out / "verdicts.jsonl")
            judge = make_judge(config)
            compares = hasattr(judge, "compare")
            stopped = verdicts.compare_all(data, judge) if compares else verdicts.score_all(data, judge)
            find: Any = findings_from_votes if compares else findings_from_scores
            found = find(data, verdicts.votes if compares else verdicts.scores, config.seed)
            spent = verdicts.summary(judge)
        write_json(out / "agreement.json", document(config, data, found, spent))
        paths = write_reports(out, config, data, found, spent)
    stars = sorted({m.cell.note for m in found.measures if m.cell.note})
    for line in [*summary_lines(data, found), *(f"  * {note}" for note in stars)]:
        console.print(line, markup=False, soft_wrap=True)
    console.print("\n".join(f"written: {p}" for p in [out / "agreement.json", *paths]), markup=False, soft_wrap=True)
    if stopped:
        raise RunFailed(f"{stopped}. The numbers above are partial; the same command goes on after what is judged")
    if spent.get("invalid_share", 0.0) > config.judge.max_invalid_share:
        raise RunFailed(
            f"{spent['invalid']} of {spent['judged']} verdicts are invalid, more than judge.max_invalid_share="
            f"{config.judge.max_invalid_share:g} (the first: {spent['first_reason']}). What was left out may be what is hard: "
            "mend the cause, or allow it with a larger share"
        )


def load_data(config: AgreementConfig, out: Path) -> PreferenceSet:
    """The set; that of the sandbox is written first."""
    from dataclasses import replace

    from benchmarks.preferences import load, sandbox
    from common.errors import ImageEditError

    given = {"hub": config.hub, "revision": config.revision, "split": config.split, "config": config.subset}
    if config.data == SANDBOX:
        rows = config.samples or 40
        path = sandbox.write(out / f"data-{rows}-{config.seed}", rows, config.seed)
        data = load("csv", path=str(path))
        return replace(
            data, card=replace(data.card, title="the sandbox's comparisons", source=f"sandbox, seed {config.seed}")
        )
    try:
        return load(config.data, path=config.path, samples=config.samples, seed=config.seed, **given)  # type: ignore[arg-type]
    except ImageEditError as error:  # what reads tables names the keys of benchmark=…; here they are the command's own
        raise type(error)(str(error).replace("benchmark.config", "subset").replace("benchmark.", "")) from error


def check_judge(config: AgreementConfig, data: PreferenceSet) -> None:
    """What can be known to be wrong before the first verdict is paid for."""
    from benchmarks.preferences.base import RATINGS
    from common.errors import BadInput

    if config.scores == "csv":
        if all(c.score is None for g in data.groups for c in g.candidates):
            raise BadInput("scores=csv takes the columns score_a and score_b of data=csv, and there are none")
        return
    from experiments.preflight.run import missing_keys

    if lacking := list(missing_keys(config.judge, TrackerConfig(name="jsonl"))):
        raise BadInput("; ".join(lacking))
    pairwise = (config.judge.rubric or config.rubric) == PAIRWISE
    if config.judge.kind == SANDBOX and pairwise:
        raise BadInput("judge=sandbox scores single edits; rubric=pairwise needs a judge that is a model")
    if config.judge.kind == SANDBOX and not any(g.item.gold for g in data.groups):
        raise BadInput(
            "judge=sandbox compares with the wanted edits, which these data do not carry (column gold of a CSV)"
        )
    if pairwise and data.rule == RATINGS:
        raise BadInput(f"data={config.data} rates single edits, for which rubric=pairwise has no score")
    bare = next((k for k, (g, c) in data.candidates.items() if c.picture is None or g.item.source is None), None)
    if bare is not None:
        raise BadInput(f"edit {bare} has no pictures to judge; give them, or take the scores of the file: scores=csv")


def make_judge(config: AgreementConfig) -> Any:
    """A judge of single edits (`judge`), or of pairs (`compare`) with judge.rubric=pairwise."""
    name = config.judge.rubric or config.rubric
    if config.judge.kind == SANDBOX and name != PAIRWISE:
        from judges.sandbox import SandboxJudge

        return SandboxJudge()
    from experiments.build.judges import make_client, make_judge_of, sampling_of
    from judges.comparing import LLMComparison
    from judges.rubrics import PairRubric, make_rubric

    cache = Path(config.judge.cache or Path(config.paths.outputs) / "cache" / "judge")
    if name != PAIRWISE:
        return make_judge_of(config.judge, config.engine, make_rubric(name), cache, config.budget)
    rubric = PairRubric(config.seed)
    client = make_client(config.judge, config.engine, cache, config.budget)
    return LLMComparison(client, rubric, sampling_of(config.judge, rubric.sampling), config.judge.repeats)


def settings_of(config: AgreementConfig, data: PreferenceSet) -> dict[str, Any]:
    """What the verdicts in a folder depend on; the same in every run that goes on with them."""
    from judges.rubrics import PairRubric, make_rubric

    judge = {k: getattr(config.judge, k) for k in IDENTITY}
    name, prompts = config.judge.rubric or config.rubric, ""
    if config.scores == "csv":
        judge = {}
    elif name == PAIRWISE or config.judge.kind != SANDBOX:
        prompts = (PairRubric() if name == PAIRWISE else make_rubric(name)).version
    return {
        "data": config.data,
        "source": data.card.source,
        "revision": config.revision,
        "sampling": data.card.sampling,
        "scores": config.scores,
        "rubric": name,
        "prompts": prompts,
        "judge": judge,
    }


def keep_settings(out: Path, settings: dict[str, Any]) -> None:
    """Raises BadInput where the folder holds verdicts under other settings."""
    from common.errors import BadInput
    from common.files import read_json, write_json

    path = out / "settings.json"
    if path.is_file():
        known = read_json(path)
        if other := [k for k in settings if known.get(k) != settings[k]]:
            raise BadInput(
                f"{out} holds verdicts under another {', '.join(other)}; choose another out=<folder>, or delete it"
            )
    else:
        write_json(path, settings)


def carried_scores(data: PreferenceSet) -> dict[str, dict[str, float] | None]:
    """The scores of a CSV; an empty one is an invalid verdict."""
    found = {k: c.score for k, (_, c) in data.candidates.items()}
    return {k: None if s is None else {"overall": s} for k, s in found.items()}


def document(config: AgreementConfig, data: PreferenceSet, found: Any, spent: dict[str, Any]) -> dict[str, Any]:
    """What agreement.json holds."""
    from dataclasses import asdict

    rubric = None if config.judge.kind == SANDBOX else config.judge.rubric or config.rubric
    judge = {"name": config.judge.name, "model": config.judge.model, "rubric": rubric}
    return {
        "data": {"name": config.data, "rule": data.rule, **asdict(data.card)},
        "judge": {"name": "scores of the file"} if config.scores == "csv" else judge | spent,
        "seed": config.seed,
        **found.as_dict(),
    }


def summary_lines(data: PreferenceSet, found: Any) -> list[str]:
    """The table on the terminal: within 110 columns."""
    title = f"{data.card.title}: {len(data.groups)} requests, {found.comparisons['all']} rows"
    lines = [title, ""]
    for m in found.measures:
        lines.append(f"  {m.title:<38}{m.text():>24}   {m.cell.counts()}")
    if found.ties is not None and found.ties.epsilon is not None:
        lines.append(f"  epsilon {found.ties.epsilon:.4g}, chosen on {found.ties.half}")
    for s in found.shares:
        if not s.excess.cell.partial and s.excess.cell.value is not None:
            p = s.excess.adjusted
            lines.append(
                f"  wins of {s.model}: judge {s.judge.text(1, percent=True)}, people {s.people.text(1, percent=True)}, "
                f"excess {s.excess.cell.text(1, True, True)}" + (f", p {p:.3g} (Holm)" if p is not None else "")
            )
    return [*lines, *(f"  note: {n}" for n in found.notes)]


if __name__ == "__main__":
    command("agreement", main, FREE_TEXT)
