"""What all commands share: Hydra around a typed function, errors as one line, exit codes.

`command(name, main)` checks the command line first (an unknown key, choice or value names the nearest right one), then
composes and calls `main` with a typed configuration. Exit codes: 0 done, 2 the caller can mend it (message, no
traceback), 130 interrupted. Anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import conf
from common.errors import BadInput, ImageEditError, MissingFile
from conf.schema import ROOTS, register

CONF = Path(conf.__file__).parent
HYDRA_KEYS = ("hydra", "hydra/")


def command(name: str, main: Callable[[Any], Any], free_text: Sequence[str] = ()) -> None:
    """Run `main(config)` as the command `name` on `sys.argv`. Values of `free_text` keys are taken as they are, so
    that a request may hold commas, quotes, braces or any language without a second layer of quoting."""
    register()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character is no reason to fail
    argv = sys.argv[1:]
    OmegaConf.register_new_resolver("sweep_id", lambda: sweep_id(name, argv), replace=True)
    texts: list[str] = []
    OmegaConf.register_new_resolver("raw", lambda index: texts[int(index)], replace=True)
    several = {"-m", "--multirun"} & set(argv)  # jobs of a cluster compose anew, where nobody knows the texts
    sys.argv[1:] = argv if several else hide_texts(argv, free_text, texts)
    failures: list[str] = []

    def task(cfg: DictConfig) -> Any:
        """Returns what `main` returns: a number is what a sweep optimises."""
        sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            return main(typed(cfg, sweep_id(name, argv) if sweep else None))
        except ImageEditError as error:
            if not sweep:
                _die(str(error))
            job = " ".join(HydraConfig.get().overrides.task)
            failures.append(f"{job}: {error}")
            print(f"error: {error}", file=sys.stderr)  # the other jobs of the sweep go on; the last line names this one
            return None

    try:
        check(name, sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(task)()
    except ImageEditError as error:
        _die(str(error))
    except KeyboardInterrupt as stop:
        print(f"\n{stop or 'stopped; the same command goes on from here'}", file=sys.stderr)
        sys.exit(130)
    if failures:
        _die(f"{len(failures)} job(s) of the sweep failed:\n  " + "\n  ".join(failures))


def typed(cfg: DictConfig, group: str | None = None) -> Any:
    """The composed configuration as its dataclass; from here on nobody sees Hydra. `group` is a sweep's id."""
    try:
        config: Any = OmegaConf.to_object(cfg)
    except OmegaConfBaseException as error:
        raise BadInput(_said(error)) from error
    if group and getattr(config, "tracker", None) and not config.tracker.group:
        config.tracker.group = group
    return config


def sweep_id(name: str, argv: Sequence[str]) -> str:
    """The same sweep command has the same id, and so the same folder and the same W&B group."""
    words = sorted(a for a in argv if a not in ("-m", "--multirun", "force=true"))
    return f"{name}-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:8]}"


def hide_texts(argv: Sequence[str], keys: Sequence[str], texts: list[str]) -> list[str]:
    """`instruction=anything at all` -> `instruction=${raw:0}`, the text itself appended to `texts`."""
    hidden = []
    for word in argv:
        key, found, value = word.partition("=")
        if found and key in keys and value:
            if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
                value = value[1:-1]
            texts.append(value)
            word = f"{key}=${{raw:{len(texts) - 1}}}"
        hidden.append(word)
    return hidden


def check(name: str, argv: Sequence[str]) -> None:
    """Refuse a bad command line before anything starts: `BadInput` naming the nearest right key or choice."""
    args = get_args_parser().parse_args(list(argv))
    if any(getattr(args, flag, None) for flag in ("help", "hydra_help", "info", "shell_completion")):
        return
    overrides = []
    for word in args.overrides:
        if "=" not in word and not word.startswith("~"):
            raise BadInput(f"cannot read '{word}': give options as key=value (python -m experiments.{name} --help)")
        try:
            overrides.append(OverridesParser.create().parse_override(word))
        except HydraException as error:
            raise BadInput(f"cannot read '{word}': {_said(error)}; put quotes around special characters") from error
    for override in overrides:
        check_key(name, override)
        if override.key_or_group == "launcher" and "slurm" in [override.value(), *_choices(override)]:
            check_slurm(bool(args.multirun))
    plain = [str(o.input_line) for o in overrides if not o.is_sweep_override()]
    swept = [[f"{o.get_key_element()}={v}" for v in o.sweep_string_iterator()] for o in overrides if _listed(o)]
    if swept and not args.multirun:
        raise BadInput(f"'{swept[0][0].partition('=')[0]}' has several values: add -m to run every combination")
    firsts = [values[0] for values in swept]
    compose(name, plain + firsts)
    for i, values in enumerate(swept):
        for value in values[1:]:
            compose(name, plain + firsts[:i] + [value] + firsts[i + 1 :])


def check_key(name: str, override: Override) -> None:
    """The key must exist in the command's schema; a group's choice must be one of its files."""
    key = override.key_or_group
    if key.startswith(HYDRA_KEYS):
        return
    groups, known = groups_of(name), sorted(keys_of(ROOTS[name]))
    if key in groups:
        for choice in [override.value()] if not override.is_sweep_override() else list(_choices(override)):
            if choice not in groups[key]:
                raise BadInput(f"there is no {key}={choice}{nearest(str(choice), groups[key], f'{key}=')}")
    elif key not in known:
        if "." not in key:  # 'lr' alone, or 'lrr': look among the last names too
            leaves = {k.rpartition(".")[2]: k for k in reversed(known)}
            near = difflib.get_close_matches(key, [*leaves, *known, *groups], n=1, cutoff=0.6)
            if near:
                raise BadInput(f"there is no key '{key}'; the nearest one is '{leaves.get(near[0], near[0])}'")
        raise BadInput(f"there is no key '{key}'{nearest(key, [*known, *groups], '', False)}")


def check_slurm(multirun: bool) -> None:
    if importlib.util.find_spec("submitit") is None:
        raise MissingFile("launcher=slurm needs the package hydra-submitit-launcher: make extra-slurm")
    if not multirun:
        raise BadInput("launcher=slurm sends one job for every run of a sweep: add -m (a single run is a sweep of one)")


def nearest(word: str, known: Sequence[str], prefix: str = "", all_of_them: bool = True) -> str:
    """'; the nearest one is …' with, where they are few, all of them."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return f"; the nearest one is '{prefix}{near[0]}'" + (f" (there are: {', '.join(known)})" if all_of_them else "")


def groups_of(name: str) -> dict[str, list[str]]:
    """The groups of a command's defaults list and the options each has, both from conf/."""
    defaults = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))["defaults"]  # type: ignore[call-overload,index]
    names = [next(iter(d)) for d in defaults if isinstance(d, dict)]
    return {g: sorted(f.stem for f in (CONF / g).glob("*.yaml")) for g in names if not g.startswith("override")}


def keys_of(schema: type, prefix: str = "") -> Iterator[str]:
    """Every dotted key of a schema."""
    hints = get_type_hints(schema)
    for f in fields(schema):
        yield prefix + f.name
        if is_dataclass(hints[f.name]):
            yield from keys_of(hints[f.name], f"{prefix}{f.name}.")


def compose(name: str, overrides: list[str]) -> DictConfig:
    """Compose without running; errors in our words."""
    register()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose(name, overrides)
        missing = [k for k in OmegaConf.missing_keys(cfg) if "." not in k]
        if missing:
            raise BadInput(
                f"missing: {', '.join(f'{k}=…' for k in sorted(missing))} (python -m experiments.{name} --help)"
            )
        return cfg
    except (HydraException, OmegaConfBaseException) as error:
        raise BadInput(_said(error)) from error


def _listed(override: Override) -> bool:
    return override.is_sweep_override() and not override.is_hydra_override() and "glob(" not in str(override.input_line)


def _choices(override: Override) -> Iterator[str]:
    return override.sweep_string_iterator() if _listed(override) else iter(())


def _said(error: Exception) -> str:
    """Hydra's message, the cause's where it has one, on one line."""
    cause = error.__cause__
    parts = [str(error)] + ([str(cause)] if cause is not None and str(cause) not in str(error) else [])
    text = " ".join(" ".join(parts).split())
    return re.sub(r"\s*(object_type|reference_type)=\S+", "", text).replace(" full_key: ", ": key ")


def _die(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
