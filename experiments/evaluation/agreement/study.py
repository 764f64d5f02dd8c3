"""How well a judge agrees with people: verdicts on a set of preference data, and the findings they lead to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.preferences import PreferenceSet
from common.errors import BadInput, RunFailed
from common.files import write_json
from conf.schema import AgreementConfig
from experiments.build.judges import takes_rubric
from experiments.evaluation.agreement.answers import write_answers
from experiments.evaluation.agreement.data import carried_scores, check_judge, load_data, with_own_scores
from experiments.evaluation.agreement.judge import keep_settings, make_judge, rubric_name, settings_of
from experiments.evaluation.agreement.verdicts import Verdicts
from judges.answers import answers_from_scores, answers_from_votes
from judges.findings import Findings, findings_from_scores, findings_from_votes
from judges.invalid import too_many_invalid

SOURCES = ("judge", "csv")  # of the scores


@dataclass(frozen=True)
class Study:
    """The outcome for one judge on one set."""

    config: AgreementConfig
    data: PreferenceSet
    findings: Findings
    judge: dict[str, Any]  # counts of verdicts and costs; empty where the file carries the scores
    stopped: str  # why not everything was judged; "" where it was

    def check(self) -> None:
        """Raises RunFailed where the numbers are partial or too many verdicts are invalid."""
        if self.stopped:
            raise RunFailed(
                f"{self.stopped}. The numbers above are partial; the same command goes on after what is judged"
            )
        most = self.config.judge.max_invalid_share
        if self.judge and too_many_invalid(self.judge["invalid"], self.judge["judged"], most):
            raise RunFailed(
                f"{self.judge['invalid']} of {self.judge['judged']} verdicts are invalid, more than judge.max_invalid_share="
                f"{most:g} (the first: {self.judge['first_reason']}). What was left out may be what is hard: remove the cause, "
                "or allow it with a larger share"
            )


def check_config(config: AgreementConfig) -> None:
    """Raises BadInput for values that cannot work, before any data are read."""
    if not config.data:
        raise BadInput("give data=<a set of preference data>, or compare=[<folder>,<folder>] of finished studies")
    if config.scores not in SOURCES:
        raise BadInput(f"scores={config.scores} is unknown; choose {' or '.join(SOURCES)}")
    if config.samples is not None and config.samples < 1:
        raise BadInput(f"samples={config.samples} cannot be used; give 1 or more")


def run_study(config: AgreementConfig, out: Path) -> Study:
    """Judge what has no verdict yet in `out`; write answers.jsonl and agreement.json. Raises BadInput, BadData, MissingFile, and
    whatever the judge raises for all edits alike; what was judged until then is kept in verdicts.jsonl."""
    data = load_data(config, out)
    check_judge(config, data)
    keep_settings(out, settings_of(config, data))
    if config.scores == "csv":
        data = with_own_scores(data)
        scores = carried_scores(data)
        answers, seen = answers_from_scores(data, scores)[0], dict[str, str]()
        study = Study(config, data, findings_from_scores(data, scores, config.seed), {}, "")
    else:
        verdicts, judge = Verdicts(out / "verdicts.jsonl"), make_judge(config)
        if hasattr(judge, "compare"):
            stopped = verdicts.compare_all(data, judge)
            findings = findings_from_votes(data, verdicts.votes, config.seed)
            answers = answers_from_votes(data, verdicts.votes)
        else:
            stopped = verdicts.score_all(data, judge)
            findings = findings_from_scores(data, verdicts.scores, config.seed)
            answers = answers_from_scores(data, verdicts.scores)[0]
        seen = verdicts.seen
        study = Study(config, data, findings, verdicts.summary(judge), stopped)
    write_answers(out, data, answers, seen)
    write_json(out / "agreement.json", document(study))
    return study


def document(study: Study) -> dict[str, Any]:
    """What agreement.json holds."""
    config, data = study.config, study.data
    rubric = rubric_name(config) if takes_rubric(config.judge) else None
    own = {key: value for key in ("scoring", "form", "repeats") if (value := getattr(config.judge, key, None))}
    judge = {"name": config.judge.name, "model": getattr(config.judge, "model", ""), "rubric": rubric, **own}
    return {
        "data": {"name": config.data, "rule": data.rule, **asdict(data.card)},
        "judge": {"name": "scores of the file"} if config.scores == "csv" else judge | study.judge,
        "seed": config.seed,
        **study.findings.as_dict(),
    }


__all__ = ["Study", "check_config", "document", "run_study"]
