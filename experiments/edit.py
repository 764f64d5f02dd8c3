"""`python -m experiments.edit image=photo.jpg instruction="…" out=edited.png`: the team on one's own picture.

Prints the plan, writes the picture, and keeps the trace (decomposition, plan, calls, every picture) beside it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from conf.schema import EditConfig
from experiments.runs.cli import command

FREE_TEXT = ("image", "instruction", "out", "run")  # keys whose values are taken as they are
FORMATS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def main(config: EditConfig) -> None:
    from agents.decomposer import clean_request
    from benchmarks.base import EditSample
    from common.errors import BadInput, MissingFile, RunFailed
    from common.progress import console
    from editors.geometry import load_image
    from experiments.build.device import use_threads
    from experiments.preflight.editor import missing_editor, missing_editor_memory
    from experiments.preflight.machine import missing_of, one_process
    from experiments.runs.libraries import quiet_libraries
    from experiments.runs.team import TeamParts

    out = Path(config.out)
    if out.suffix.lower() not in FORMATS:
        raise BadInput(f"out={out}: the ending says the format; give one of {', '.join(FORMATS)}")
    if out.resolve() == Path(config.image).resolve():
        raise BadInput(f"out={out} is the picture itself; give another name")
    clean_request(config.instruction, config.decomposer.max_request_chars)  # an empty one is refused before any loading
    picture = load_image(config.image)
    settings = trained(config)
    if lacking := [*missing_of(settings), *missing_editor(config.editor), *missing_editor_memory(config)]:
        raise MissingFile("; ".join(lacking))
    quiet_libraries(config.verbose)
    one_process(config.engine, "experiments.edit")
    use_threads(config.engine)
    # a sequencer that asks a model uses the configured decomposer's backbone, not the trained one
    parts = TeamParts(replace(config, decomposer=settings), Path(config.decomposer.checkpoint))
    team = parts.team(Path(settings.checkpoint))
    sample = EditSample(id=Path(config.image).stem or "picture", request=config.instruction, gold=(), picture=picture)
    (trace,) = next(iter(team.run([sample], config.seed, 1)))

    say = lambda text: console.print(text, markup=False)  # noqa: E731  # requests may hold brackets
    for note in trace.notes:
        say(f"note: {note}")
    if trace.decomposition is not None and (edits := trace.decomposition.edits):
        say("decomposition:")
        for edit in edits:
            say(f"  {edit.action} · {edit.subject}" + (f" · {edit.goal}" if edit.goal else ""))
    say(f"plan ({trace.source}, {trace.execution} execution):")
    for number, line in enumerate(trace.sub_requests, 1):
        say(f"  {number}. {line}")
    if trace.failure:
        raise RunFailed(f"the editor gave no picture, {trace.failure}; say it differently, or try another seed")
    save_picture(trace.result, out)
    kept = trace.save(out.with_name(out.stem + "_trace"))
    if trace.digests[0] == trace.digests[-1]:
        say("the editor changed nothing: it found nothing to do on this picture")
    say(f"picture: {out}\ntrace: {kept}")


def trained(config: EditConfig) -> Any:
    """The decomposer of a run (its own prompt and sizes with its trained weights), or the configured one."""
    if config.run is None:
        return config.decomposer
    from common.errors import MissingFile
    from conf.parts import with_keys
    from experiments.runs.identity import TRAINED, load_config

    folder = Path(config.run) / TRAINED
    settings = load_config(config.run).decomposer
    if not folder.is_dir():
        raise MissingFile(
            f"{config.run} has no trained decomposer yet (no folder {TRAINED}/ in it); let its training end first"
        )
    return with_keys(settings, "decomposer", {"checkpoint": str(folder)})


def save_picture(picture, out: Path) -> None:  # type: ignore[no-untyped-def]
    """In the format of the file's ending, which is one of FORMATS."""
    from PIL import Image

    from common.atomic import atomic_file

    with atomic_file(out, remedy="Free space or choose another out=<file>") as file:
        picture.save(file, format=Image.registered_extensions()[out.suffix.lower()])


if __name__ == "__main__":
    command("edit", main, FREE_TEXT)
