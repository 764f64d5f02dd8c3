"""`python -m experiments.edit image=photo.jpg instruction="…" out=edited.png`: the team on one's own picture.

Prints the plan, writes the picture, and keeps the trace (decomposition, plan, calls, every picture) beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from conf.schema import EditConfig
from experiments.runs.cli import command

if TYPE_CHECKING:
    from agents.loop import Turn

FREE_TEXT = ("image", "instruction", "out", "run")  # keys whose values are taken as they are


def main(config: EditConfig) -> None:
    from agents.decomposer import clean_request
    from agents.traces import digest
    from benchmarks.base import EditSample
    from common.errors import MissingFile, RunFailed
    from common.pictures import load_picture
    from common.progress import console
    from experiments.build.device import use_threads
    from experiments.preflight.command_limits import check_edit
    from experiments.preflight.editor import missing_editor, missing_editor_memory
    from experiments.preflight.machine import missing_of, one_process
    from experiments.preflight.unlike_sandbox import objections, refuse
    from experiments.runs.libraries import quiet_libraries
    from experiments.runs.output_picture import check_writable, output_path, save_edited, trace_folder
    from experiments.runs.team import TeamParts
    from experiments.runs.trained import trained

    say = lambda text: console.print(text, markup=False)  # noqa: E731  # requests may hold brackets
    check_edit(config)
    out = output_path(config.out, config.image, config.paths.outputs)
    clean_request(config.instruction, config.decomposer.max_request_chars)  # an empty one is refused before any loading
    given = load_picture(config.image)
    settings = trained(config)
    unlike = objections(
        replace(config, decomposer=settings),
        [(config.image, given.rgb)],
        [("instruction", config.instruction)],
        config.unlike,
    )
    for line in refuse(list(unlike), config.allow_tiny):
        say(f"allowed by allow_tiny=true: {line}")
    if lacking := [*missing_of(settings), *missing_editor(config.editor), *missing_editor_memory(config)]:
        raise MissingFile("; ".join(lacking))
    check_writable(out)
    quiet_libraries(config.verbose)
    one_process(config.engine, "experiments.edit")
    use_threads(config.engine)
    # a sequencer that asks a model uses the configured decomposer's backbone, not the trained one
    parts = TeamParts(replace(config, decomposer=settings), Path(config.decomposer.checkpoint))
    team = parts.team(Path(settings.checkpoint))
    # seeds come from the id: the same pixels under another name give the same picture
    sample = EditSample(id=digest(given.rgb), request=config.instruction, gold=(), picture=given.rgb)
    (trace,) = next(iter(team.run([sample], config.seed, 1)))

    for note in trace.notes:
        say(f"note: {note}")
    if not trace.turns and trace.decomposition is not None and (edits := trace.decomposition.edits):
        say("decomposition:")
        for edit in edits:
            say(f"  {edit.action} · {edit.subject}" + (f" · {edit.goal}" if edit.goal else ""))
    if trace.turns:
        say(f"closed loop, {len(trace.calls)} of at most {config.execution.max_calls} calls:")
        for line in told(trace.turns):
            say(f"  {line}")
    else:
        say(f"plan ({trace.source}, {trace.execution} execution):")
        for number, line in enumerate(trace.sub_requests, 1):
            say(f"  {number}. {line}")
    if trace.failure:
        raise RunFailed(f"the editor gave no picture, {trace.failure}; say it differently, or try another seed")
    if note := save_edited(trace.result, given, out):
        say(f"note: {note}")
    kept = trace.save(trace_folder(out))
    if trace.digests[0] == trace.digests[-1]:
        say("the editor changed nothing: it found nothing to do on this picture")
    say(f"picture: {out}\ntrace: {kept}")


def told(turns: Sequence[Turn]) -> Iterator[str]:
    """One line for every answer of a closed loop: what it decided and what came of it."""
    for number, turn in enumerate(turns, 1):
        what = "; ".join(turn.sub_requests)
        match turn.kind:
            case "stop":
                line = "stop: nothing is left to do"
            case "malformed":
                line = f"unreadable ({turn.error})" + (f"; the raw request is used: {what}" if what else "")
            case "again":
                line = f"again, on picture {turn.base}: {what}"
            case _:
                line = what
        came = f" → picture {turn.made}" if turn.made is not None else f" → failed: {turn.failure}" * turn.called
        yield f"{number}. {line}{came}"


if __name__ == "__main__":
    command("edit", main, FREE_TEXT)
