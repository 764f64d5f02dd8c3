"""Many pictures in one go: results in a folder, a bad picture is reported and the others go on, the same command continues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.traces import FILE, Trace, digest
from common.errors import BadInput, ImageEditError, RunFailed, SaveFailed
from common.files import locked, read_json, write_json
from common.pictures import load_picture
from common.progress import bar, console
from conf.parts import config_values
from experiments.editing.listing import Work
from experiments.editing.one import Written
from experiments.runs.output_picture import FORMATS, trace_folder

if TYPE_CHECKING:
    from common.pictures import Picture
    from conf.schema import EditConfig

SETTINGS = "settings.json"
OF_THE_CALL = (
    "image",
    "instruction",
    "instruction_file",
    "instructions",
    "plan",
    "out",
    "allow_tiny",
    "unlike",
    "verbose",
)

Edit = Callable[[Work, "Picture", Path], Written]


def edit_several(works: Sequence[Work], out: Path, config: EditConfig, edit: Edit) -> None:
    """Edit every picture that `out` does not have yet. Raises RunFailed at the end, naming each picture that could not be edited;
    BadInput where `out` was made with other settings; SaveFailed at once."""
    if out.suffix.lower() in FORMATS and not out.is_dir():
        raise BadInput(f"out={out}: several pictures go into a folder; give the name of one")
    if any(out.resolve() == work.image.resolve().parent for work in works):
        raise BadInput(f"out={out} is the folder of the pictures themselves; give another one")
    with locked(out, instead="choose another out=<folder>"):
        _check_settings(out / SETTINGS, config)
        _edit_all(works, out, config.seed, config.n, edit)


def _edit_all(works: Sequence[Work], out: Path, seed: int, n: int, edit: Edit) -> None:
    failures: list[str] = []
    todo = [work for work in works if not is_done(work, out, seed, n)]
    done = len(works) - len(todo)
    with bar("pictures", len(works), done) as progress:
        for k, work in enumerate(todo, 1):
            progress.update(done + k - 1, work.image.name)
            try:
                edit(work, load_picture(work.image), out / f"{work.name}.png")
            except SaveFailed:
                raise
            except ImageEditError as error:
                name = "" if str(work.image) in str(error) else f"{work.image}: "
                failures.append(f"{name}{error}")
                _say(f"left out: {failures[-1]}")
            progress.update(done + k)
    again = f" ({done} of them were there already)" if done else ""
    _say(f"pictures: {len(works) - len(failures)} of {len(works)} in {out}{again}")
    if failures:
        listed = "".join(f"\n  {text}" for text in failures)
        raise RunFailed(f"{len(failures)} of {len(works)} pictures could not be edited:{listed}")


def is_done(work: Work, out: Path, seed: int, n: int = 1) -> bool:
    """Whether the result of this very picture, instruction and seed is there; its trace is written last."""
    path = out / f"{work.name}.png"
    if not (path.is_file() and (trace_folder(path) / FILE).is_file()):
        return False
    try:
        trace, given = Trace.load(trace_folder(path), pictures=False), load_picture(work.image)
    except ImageEditError:  # it is made again, and what is wrong with the picture said then
        return False
    asked = (digest(given.rgb), work.instruction)
    return (trace.sample_id, trace.request) == asked and seed <= trace.seed < seed + n


def _check_settings(path: Path, config: EditConfig) -> None:
    """The pictures of a folder are all made with the same settings, which it keeps. Raises BadInput naming a key that differs."""
    own = {f.name for f in fields(config)} - {*OF_THE_CALL, "paths", "scale"}
    now = {key: value for key, value in config_values(config, defining=True).items() if key in own}
    if not path.is_file():
        write_json(path, now)
        return
    then, here = _flat(read_json(path)), _flat(now)
    for key in sorted({*then, *here}):
        if then.get(key) != here.get(key):
            raise BadInput(
                f"the pictures in {path.parent} were made with {key}={then.get(key)}, and now it is {here.get(key)}; choose "
                f"another out=<folder>, or give {key} as it was"
            )


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted keys."""
    if not isinstance(values, dict):
        return {prefix: values}
    return {
        k: v for key, inner in values.items() for k, v in _flat(inner, f"{prefix}.{key}" if prefix else key).items()
    }


def _say(text: Any) -> None:
    console.print(text, markup=False, soft_wrap=True)


__all__ = ["edit_several", "is_done"]
