"""From the command line of `python -m experiments.evaluate` to an EvaluationSpec: a run's own parts, with what the command line
names in their place, or the parts of the command line alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import BadInput, MissingFile
from common.progress import console
from conf.parts import with_keys
from conf.schema import EvaluateConfig, RunConfig
from experiments.evaluation.names import ARMS, WHEN, arm_name
from experiments.evaluation.shares import Share
from experiments.evaluation.spec import EvaluationSpec, check
from experiments.runs.identity import TRAINED, load_config
from experiments.runs.trained import start_in

NONE = ("", "none", "null")  # how a command line says that there is none
SWAPPED = ("editor", "execution", "sequencer", "judge", "benchmark", "engine")  # parts of a run that may be replaced
GROUPS = ("scale", "decomposer", "rollouts", "launcher", *SWAPPED)
CHUNK = 8  # units, on a benchmark that no run trains on


def resolve(config: EvaluateConfig, words: Sequence[str]) -> EvaluationSpec:
    """`words` is the command line as Hydra read it: which keys were given matters here, not only their values. Raises BadInput,
    MissingFile for what cannot be evaluated."""
    run = None if config.run.strip().lower() in NONE else Path(config.run)
    if run is None:
        used = composed([w for w in words if _group(w) in (*GROUPS, "paths") or w.startswith("hydra.searchpath")])
        start, trained = Path(used.decomposer.checkpoint), None
    else:
        used, start, trained = _of_run(run, config, words)
    if config.samples is not None and config.samples < 1:
        raise BadInput(f"samples={config.samples} cannot be used; give 1 or more")
    arms, everything = chosen_arms(config, trained is not None)
    if arms and everything and trained is None:
        why = "run=none has no trained decomposer" if run is None else f"{run} has no trained decomposer yet"
        console.print(
            f"arms=all: {' and '.join(map(arm_name, arms))}; {why}, so there is no team after RL", soft_wrap=True
        )
    own = used.benchmark.trainable  # a benchmark that runs train on, which has gold decompositions
    text_only = used.benchmark.text_only
    if not arms and not config.pictures:
        _refuse_unused(words, text_only)
    if config.editor_calls is not None and not (arms and everything and run is not None):
        raise BadInput(
            "editor_calls is for arms=all of a run: the editor alone with as many calls as the team after RL"
        )
    calls: int | None = 0
    if arms and everything and run is not None:
        calls = used.scale.editor_calls if config.editor_calls is None and own else config.editor_calls or 0
    decompose = own and everything and not config.pictures and (run is not None or text_only)
    beside = used.scale.complex_samples if config.complex_samples is None else config.complex_samples
    if not decompose:
        beside = 0  # only what is evaluated as a run evaluates itself has the complex requests beside it
    used = replace(used, scale=replace(used.scale, complex_samples=beside))
    spec = EvaluationSpec(
        used=used,
        out=Path(config.out),
        start=start,
        trained=trained,
        arms=arms,
        decompositions=(WHEN if trained is not None else WHEN[:1]) if decompose else (),
        pass_at=used.scale.pass_at if config.pass_at is None else config.pass_at,
        pass_samples=used.scale.pass_samples if config.pass_at in (None, used.scale.pass_at) else None,
        editor_calls=calls,
        pictures=Path(config.pictures) if config.pictures else None,
        label=config.label,
        samples=config.samples if config.samples is not None else getattr(used.benchmark, "samples", None),
        part=config.part,
        chunk=config.chunk if config.chunk is not None else used.scale.chunk if own else CHUNK,
        share=Share(config.shard, config.shards),
        budget=config.budget,
        retry=config.retry,
        metrics=config.metrics,
        gallery=config.gallery,
        run=config.run,
        verbose=config.verbose,
        allow_tiny=config.allow_tiny,
        unlike=config.unlike,
    )
    check(spec)
    return spec


def _of_run(run: Path, config: EvaluateConfig, words: Sequence[str]) -> tuple[RunConfig, Path, Path]:
    """The run's configuration with the parts that the command line names, and its decomposer before and after RL."""
    foreign = sorted(w.partition("=")[0] for w in words if _group(w) in ("scale", "decomposer"))
    if foreign:
        verb, them = ("comes", "it") if len(foreign) == 1 else ("come", "them")
        raise BadInput(f"{', '.join(foreign)} {verb} from run={run}; leave {them} out, or give run=none")
    settings = load_config(run)
    if not (run / TRAINED).is_dir():
        raise MissingFile(
            f"{run} has no trained decomposer yet (no folder {TRAINED}/ in it); let its training end first"
        )
    used = replace(swapped(settings, words), launcher=config.launcher)
    if any(_group(w) == "rollouts" for w in words):
        used = replace(used, rollouts=config.rollouts)
    if not any(_group(w) == "engine" for w in words) and used.engine.distributed:
        used = replace(used, engine=config.engine)  # an evaluation is no training in several processes
    if not chosen_arms(config, True)[0] and not any(w.startswith("benchmark=") for w in words):
        used = replace(used, benchmark=config.benchmark)  # the command's own default
    return used, start_in(run, settings.decomposer), run / TRAINED


def chosen_arms(config: EvaluateConfig, has_run: bool) -> tuple[tuple[str, ...], bool]:
    """The arms that are edited, from `all`, `none`, or names with commas between them; and whether it was all or none."""
    given = config.arms if isinstance(config.arms, list) else str(config.arms).strip("[]() ").split(",")
    names = [str(n).strip() for n in given if str(n).strip()]
    if not names or names in (["none"], ["null"]):
        return (), True
    if names == ["all"]:
        return (ARMS if has_run else ARMS[:2]), True
    for name in names:
        if name not in ARMS:
            raise BadInput(f"arms={name} is unknown; choose all, none, or some of {', '.join(ARMS)}")
    if not has_run and "agents_rl" in names:
        raise BadInput("arms=agents_rl is the team after RL: it needs run=<folder of a finished run>")
    return tuple(a for a in ARMS if a in names), False


def _refuse_unused(words: Sequence[str], text_only: bool) -> None:
    """Raises BadInput for parts that are not used where no arm edits anything."""
    groups = SWAPPED[:4] if text_only else SWAPPED[:3]
    unused = sorted(w.partition("=")[0] for w in words if _group(w) in groups)
    if unused:
        raise BadInput(f"{', '.join(unused)} would change nothing: no picture is edited without arms=all")


def swapped(trained: RunConfig, words: Sequence[str]) -> RunConfig:
    """The run's configuration with what the command line names in it: another choice of a group (`editor=qwen`, with the
    settings of the run's own scale), or single keys of a choice (`editor.steps=4`)."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(words))
    given = [(o, *o.key_or_group.partition(".")[::2], word) for o, word in zip(parsed, words, strict=True)]
    chosen = {group.partition("/")[0] for _, group, key, _ in given if group.partition("/")[0] in SWAPPED and not key}
    own = [word for _, group, _, word in given if group.partition("/")[0] in {*chosen, "paths"}]
    fresh = composed([f"scale={trained.scale.name}", *own]) if chosen else trained
    parts = {group: getattr(fresh if group in chosen else trained, group) for group in SWAPPED}
    for override, group, key, _ in given:
        if group in SWAPPED and group not in chosen:
            if group == "execution":
                parts[group] = replace(parts[group], **{key: override.value()})
            else:
                parts[group] = with_keys(parts[group], group, {key: override.value()})
    return replace(trained, **parts)


def composed(words: Sequence[str]) -> RunConfig:
    """The configuration of `python -m experiments.run` with these words, also from within a command. Raises BadInput."""
    from experiments.runs.cli import compose, typed

    return typed(compose("run", list(words)))


def _group(word: str) -> str:
    return word.partition("=")[0].lstrip("+~").partition(".")[0].partition("/")[0]


__all__ = ["chosen_arms", "composed", "resolve", "swapped"]
