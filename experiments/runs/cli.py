"""What all commands share: Hydra around a typed function, errors as one line, exit codes.

`command(name, main)` checks the command line first (an unknown key, choice or value names the nearest right one), then
composes and calls `main` with a typed configuration. Exit codes: 0 done, 2 the caller can mend it (message, no
traceback), 130 interrupted. Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import MISSING, DictConfig, OmegaConf

from common.dotted import nearest
from common.errors import BadInput, ImageEditError, MissingFile
from common.pipes import print_whole
from common.signals import stop_with
from conf.options import TARGET, class_at, keys_of, options_of
from conf.parts import NoSuchKey, part_groups, said
from conf.schema import BY_CLASS, ROOTS, register
from experiments.runs.command_line import (
    as_keys,
    check_left_out,
    check_quotes,
    check_twice,
    check_yes_or_no,
    parse_options,
)
from experiments.runs.composing import CONF, by_class, compose, groups_of, typed
from experiments.runs.given import given_words, is_plain, single_run
from experiments.runs.help import help_text
from experiments.sweeping import launcher as plugin
from experiments.sweeping.process import PARENT

HYDRA_KEYS = ("hydra", "hydra/")
MARK = "\N{SYMBOL FOR NULL}???"  # stands for the free text "???", which OmegaConf would take for a missing value
SECRETS = ("password",)  # keys whose values are never printed


def command(name: str, main: Callable[[Any], Any], free_text: Sequence[str] = ()) -> None:
    """Run `main(config)` as the command `name` on `sys.argv`. Values of `free_text` keys are taken as they are, so
    that a request may hold commas, quotes, braces or any language without a second layer of quoting. What `main` returns is
    the value that a search over a sweep optimises."""
    register()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character is no reason to fail
    try:
        typed_words = as_keys(sys.argv[1:], free_text)
        check_quotes(typed_words, free_text)
    except BadInput as error:
        _die(str(error))
    argv, of_launcher = plugin.taken_out(by_class(typed_words))
    OmegaConf.register_new_resolver("sweep_id", lambda: sweep_id(name, argv), replace=True)
    texts: list[str] = []
    OmegaConf.register_new_resolver("raw", lambda index: texts[int(index)], replace=True)
    several = {"-m", "--multirun"} & set(argv)  # jobs of a cluster compose anew, where nobody knows the texts
    sys.argv[1:] = argv if several else hide_texts(argv, free_text, texts)
    failures: list[str] = []

    def task(cfg: DictConfig) -> Any:
        sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            return main(with_marks(typed(cfg, sweep_id(name, argv) if sweep else None)))
        except ImageEditError as error:
            if not sweep:
                _die(str(error))
            job = " ".join(given_words())
            failures.append(f"{job}: {error}")
            print(f"error: {error}", file=sys.stderr)  # the other jobs of the sweep go on; the last line names this one
            return None

    try:
        if parent := os.environ.pop(PARENT, ""):
            stop_with(int(parent))
        first = check(name, sys.argv[1:])
        args = parse_options(name, sys.argv[1:])
        if args.help:
            return print_whole(help_of(name, args.overrides))
        if args.cfg == "job" and first is not None and not args.package:
            return print_whole(OmegaConf.to_yaml(without_secrets(first), resolve=bool(args.resolve)).rstrip("\n"))
        if args.multirun and first is not None:
            plugin.register()
            sys.argv[1:] += plugin.words_for(name, unswept(args.overrides), of_launcher)
        elif of_launcher:
            raise BadInput("sweep.max_parallel is of a sweep: add -m")
        if first is not None and is_plain(args):
            with single_run(args.overrides):
                task(first)
        else:
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(task)()
    except ImageEditError as error:
        _die(str(error))
    except KeyboardInterrupt as stop:
        print(f"\n{str(stop) or 'stopped; the same command goes on from here'}", file=sys.stderr)
        sys.exit(130)
    if args.multirun and first is not None and "sweep" in first:
        from experiments.runs.failures import failures_in
        from experiments.runs.sweeps import (
            SEARCHED,
            print_best,
            print_sweep,
            sweep_folder,
        )  # their libraries are a job's

        sweep = first.sweep or sweep_id(name, argv)
        print_sweep(first.paths.outputs, sweep)
        print_best(sweep_folder(first.paths.outputs, sweep_id(name, argv)) / SEARCHED)
        failures += [f"{job.own}: {job.error}" for job in plugin.ProcessLauncher.failed]
        # jobs of a cluster, or of another launcher's processes, say it in the sweep's folder alone
        failures = failures or failures_in(sweep_folder(first.paths.outputs, sweep))
    if failures:
        _die(f"{len(failures)} job(s) of the sweep failed:\n  " + "\n  ".join(failures))


def help_of(name: str, overrides: Sequence[str]) -> str:
    """What --help prints, with the keys of the choices that are given beside it. Raises BadInput for wrong ones."""
    choices = [word for word in overrides if "=" in word and "," not in word]
    template = OmegaConf.load(CONF / "hydra" / "help" / f"{name}.yaml")
    assert isinstance(template, DictConfig)
    return help_text(name, compose(name, choices, whole=False), groups_of(name), template)


def unswept(overrides: Sequence[str]) -> list[str]:
    """The words that have one value."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return [str(o.input_line) for o in parsed if not o.is_sweep_override()]


def without_secrets(cfg: DictConfig) -> DictConfig:
    """A copy that may be printed."""
    shown = copy.deepcopy(cfg)
    for key in SECRETS:
        if shown.get(key):
            shown[key] = "***"
    return shown


def sweep_id(name: str, argv: Sequence[str]) -> str:
    """The same sweep command has the same id, and so the same folder and the same W&B group."""
    words = sorted(a for a in argv if a not in ("-m", "--multirun", "force=true"))
    return f"{name}-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:8]}"


def hide_texts(argv: Sequence[str], keys: Sequence[str], texts: list[str]) -> list[str]:
    """`instruction=anything at all` -> `instruction=${raw:0}`, the text itself appended to `texts`."""
    hidden = []
    for word in argv:
        key, equals, value = word.partition("=")
        if equals and key in keys and value:
            texts.append(MARK if value == MISSING else value)
            word = f"{key}=${{raw:{len(texts) - 1}}}"
        hidden.append(word)
    return hidden


def with_marks(config: Any) -> Any:
    """The configuration, with the free text "???" where a text stood for it."""
    for f in fields(config):
        if getattr(config, f.name) == MARK:
            setattr(config, f.name, MISSING)
    return config


def check(name: str, argv: Sequence[str]) -> DictConfig | None:
    """Refuse a bad command line before anything starts: `BadInput` naming the nearest right key or choice. Returns the
    composed configuration (of a sweep's first job)."""
    args = parse_options(name, argv)
    if any(getattr(args, flag, None) for flag in ("help", "hydra_help", "info", "shell_completion")):
        return None
    overrides = []
    for word in by_class(args.overrides):
        if "=" not in word and not word.startswith("~"):
            raise BadInput(f"cannot read '{word}': give options as key=value (python -m experiments.{name} --help)")
        try:
            overrides.append(OverridesParser.create().parse_override(word))
        except HydraException as error:
            raise BadInput(f"cannot read '{word}': {said(error)}; put quotes around special characters") from error
    check_twice(overrides)
    place = [str(o.input_line) for o in overrides if o.key_or_group == "hydra.searchpath"]
    groups = groups_of(name, place)
    for override in overrides:
        check_key(name, override, groups, [str(o.input_line) for o in overrides if o.key_or_group in groups] + place)
        if override.key_or_group == "launcher" and "slurm" in [override.value(), *_choices(override)]:
            check_slurm(bool(args.multirun))
        if override.key_or_group == "hydra/sweeper" and override.value() in ("optuna", "hparams"):
            check_search()
    plain = [str(o.input_line) for o in overrides if not o.is_sweep_override()]
    swept = [[f"{o.get_key_element()}={v}" for v in o.sweep_string_iterator()] for o in overrides if _listed(o)]
    if swept and not args.multirun:
        raise BadInput(f"'{swept[0][0].partition('=')[0]}' has several values: add -m to run every combination")
    firsts = [values[0] for values in swept]
    try:
        first = compose(name, plain + firsts)
    except NoSuchKey as error:
        raise BadInput(f"{error}{_elsewhere(error.key, groups)}") from error
    for override in overrides:
        check_yes_or_no(first, override.key_or_group, list(_values(override)))
    typed(copy.deepcopy(first))
    for i, values in enumerate(swept):
        for value in values[1:]:
            typed(compose(name, plain + firsts[:i] + [value] + firsts[i + 1 :]))
    return first


def _elsewhere(key: str, groups: Mapping[str, Sequence[str]]) -> str:
    """The choices of this repository whose classes have a key that the chosen one lacks, as the end of a message."""
    group, _, rest = key.partition(".")
    having = []
    for option in groups.get(group, ()):
        path = CONF / group / f"{option}.yaml"
        target = OmegaConf.select(OmegaConf.load(path), TARGET) if path.is_file() else None
        if target and rest in keys_of(options_of(class_at(target, group))):
            having.append(f"{group}={option}")
    return f"; {', '.join(having)} {'has' if len(having) == 1 else 'have'} it" if having else ""


def check_key(name: str, override: Override, groups: dict[str, list[str]], choices: Sequence[str] = ()) -> None:
    """The key must exist in the command's schema; a group's choice must be one of its files. Keys of parts are checked when
    their class is known (`conf.parts.complete`)."""
    key = override.key_or_group
    if key.startswith(HYDRA_KEYS):
        return
    if key in groups:
        check_left_out(override, group=True)
        for choice in [override.value()] if not override.is_sweep_override() else list(_choices(override)):
            if choice not in (*groups[key], BY_CLASS):
                raise BadInput(f"there is no {key}={choice}{nearest(str(choice), groups[key], f'{key}=', True)}")
        return
    inside = "." in key and key.partition(".")[0] in part_groups(ROOTS[name])
    if inside and not override.is_delete():
        return
    known = static_keys(name) if key in static_keys(name) else all_keys(name, choices)
    if key in known:
        check_left_out(override, group=False)
        return
    if "." not in key:  # 'lr' alone, or 'lrr': look among the last names too
        leaves = {k.rpartition(".")[2]: k for k in reversed(known)}
        near = difflib.get_close_matches(key, [*leaves, *known, *groups], n=1, cutoff=0.6)
        if near:
            raise BadInput(f"there is no key '{key}'; the nearest one is '{leaves.get(near[0], near[0])}'")
    raise BadInput(f"there is no key '{key}'{nearest(key, [*known, *groups])}")


def static_keys(name: str) -> list[str]:
    """The keys of a command that do not depend on a part's class."""
    return sorted(keys_of(ROOTS[name]))


def all_keys(name: str, choices: Sequence[str]) -> list[str]:
    """The keys of a command with these choices of groups."""
    cfg = compose(name, [c for c in choices if "," not in c], whole=False)
    keys = static_keys(name)
    for group in part_groups(ROOTS[name]):
        if (options := OmegaConf.get_type(cfg, group)) is not dict and isinstance(options, type):
            keys += keys_of(options, f"{group}.")
    return sorted(keys)


def check_slurm(multirun: bool) -> None:
    if importlib.util.find_spec("submitit") is None:
        raise MissingFile("launcher=slurm needs the package hydra-submitit-launcher: make extra-slurm")
    if not multirun:
        raise BadInput("launcher=slurm sends one job for every run of a sweep: add -m (a single run is a sweep of one)")


def check_search() -> None:
    if importlib.util.find_spec("optuna") is None:
        raise MissingFile("a search needs the package hydra-optuna-sweeper: make extra-slurm")


def _listed(override: Override) -> bool:
    """Whether it is a sweep over values that can be written down: not an interval, which a search draws from."""
    drawn = override.is_interval_sweep() or "glob(" in str(override.input_line)
    return override.is_sweep_override() and not override.is_hydra_override() and not drawn


def _values(override: Override) -> Iterator[Any]:
    """Every value that the key gets."""
    if not override.is_sweep_override():
        yield override.value()
    elif _listed(override):
        yield from override.sweep_iterator()


def _choices(override: Override) -> Iterator[str]:
    return override.sweep_string_iterator() if _listed(override) else iter(())


def _die(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
