"""The judge of an agreement study: made from the configuration, and the settings that its verdicts depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.preferences import PreferenceSet
from common.errors import BadInput
from common.files import read_json, write_json
from conf.schema import AgreementConfig
from experiments.build.judges import (
    cache_of,
    judge_tools,
    make_client,
    make_judge_of,
    own_rubric,
    rubric_of,
    takes_rubric,
)
from experiments.runs.contents import values_with_content
from judges.comparing import LLMComparison
from judges.rubrics import PairRubric

PAIRWISE = "pairwise"


def rubric_name(config: AgreementConfig) -> str:
    """The judge's own rubric goes before that of the command."""
    return own_rubric(config.judge) or config.rubric


def make_judge(config: AgreementConfig) -> Any:
    """A judge of single edits (`judge`), or of pairs (`compare`) with judge.rubric=pairwise."""
    judge, outputs = config.judge, config.paths.outputs
    if rubric_name(config) != PAIRWISE:
        return make_judge_of(judge, judge_tools(judge, config.engine, outputs, config.rubric, config.budget))
    rubric = PairRubric(config.seed)
    client = make_client(judge, config.engine, cache_of(judge, outputs), config.budget)
    return LLMComparison(client, rubric, judge.sampling(rubric.sampling), judge.repeats)


def settings_of(config: AgreementConfig, data: PreferenceSet) -> dict[str, Any]:
    """What the verdicts in a folder depend on; the same in every run that goes on with them."""
    judge = {k: v for k, v in values_with_content(config.judge).items() if k != "rubric"}
    name, prompts = rubric_name(config), ""
    if config.scores == "csv":
        judge = {}
    elif name == PAIRWISE or takes_rubric(config.judge):
        prompts = (PairRubric() if name == PAIRWISE else rubric_of(config.judge, config.rubric)).version
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
    path = out / "settings.json"
    if path.is_file():
        existing = read_json(path)
        if other := [k for k in settings if existing.get(k) != settings[k]]:
            raise BadInput(
                f"{out} holds verdicts under another {', '.join(other)}; choose another out=<folder>, or delete it"
            )
    else:
        write_json(path, settings)


__all__ = ["PAIRWISE", "keep_settings", "make_judge", "rubric_name", "settings_of"]
