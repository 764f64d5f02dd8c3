"""The judge of an agreement study: made from the configuration, and the settings that its verdicts depend on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.preferences import PreferenceSet
from common.errors import BadInput
from common.files import read_json, write_json
from conf.schema import AgreementConfig
from experiments.build.judges import make_client, make_judge_of, sampling_of
from judges.comparing import LLMComparison
from judges.rubrics import PairRubric, make_rubric
from judges.sandbox import SandboxJudge

SANDBOX = "sandbox"
PAIRWISE = "pairwise"
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


def rubric_name(config: AgreementConfig) -> str:
    """The judge's own rubric goes before that of the command."""
    return config.judge.rubric or config.rubric


def make_judge(config: AgreementConfig) -> Any:
    """A judge of single edits (`judge`), or of pairs (`compare`) with judge.rubric=pairwise."""
    name = rubric_name(config)
    if config.judge.kind == SANDBOX and name != PAIRWISE:
        return SandboxJudge()
    cache = Path(config.judge.cache or Path(config.paths.outputs) / "cache" / "judge")
    if name != PAIRWISE:
        return make_judge_of(config.judge, config.engine, make_rubric(name), cache, config.budget)
    rubric = PairRubric(config.seed)
    client = make_client(config.judge, config.engine, cache, config.budget)
    return LLMComparison(client, rubric, sampling_of(config.judge, rubric.sampling), config.judge.repeats)


def settings_of(config: AgreementConfig, data: PreferenceSet) -> dict[str, Any]:
    """What the verdicts in a folder depend on; the same in every run that goes on with them."""
    judge = {k: getattr(config.judge, k) for k in IDENTITY}
    name, prompts = rubric_name(config), ""
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
    path = out / "settings.json"
    if path.is_file():
        existing = read_json(path)
        if other := [k for k in settings if existing.get(k) != settings[k]]:
            raise BadInput(
                f"{out} holds verdicts under another {', '.join(other)}; choose another out=<folder>, or delete it"
            )
    else:
        write_json(path, settings)


__all__ = ["PAIRWISE", "SANDBOX", "keep_settings", "make_judge", "rubric_name", "settings_of"]
