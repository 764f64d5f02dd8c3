"""`experiments.edit` past its command line: one picture, a plan that is given, or many pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agents.traces import digest
from benchmarks.base import EditSample
from common.errors import BadInput
from common.interrupts import Interrupts
from common.pictures import load_picture
from common.progress import console
from common.third_party import library_lines
from experiments.build.judges import judge_tools, make_judge_of
from experiments.editing.candidates import Candidates, Make, check_judge, from_request, score
from experiments.editing.listing import Work, from_table, is_several, one_instruction
from experiments.editing.one import Written, edit_one
from experiments.editing.plans import GivenPlan, read_plan
from experiments.editing.requests import read_instruction
from experiments.editing.screen import BAD, DIM, HEAD, Screen
from experiments.editing.several import edit_several
from experiments.runs.output_picture import EDITS, check_writable, output_path
from experiments.runs.team_loader import TeamLoader

if TYPE_CHECKING:
    from common.pictures import Picture
    from conf.schema import EditConfig
    from judges.base import Judge


def edit(config: EditConfig) -> None:
    """Raises BadInput, MissingFile, RunFailed, SaveFailed."""
    check_judge(config.judge)
    with Interrupts():
        if config.plan is not None:
            _plan(config, config.plan)
        elif is_several(config.image, config.instructions):
            _several(config)
        else:
            _one(config)


def _one(config: EditConfig) -> None:
    loader = TeamLoader(config, "experiments.edit")
    loader.check_settings()
    if config.image is None:
        raise BadInput("missing: image=<picture> (or a folder, or a pattern such as 'scans/*.png')")
    out = output_path(config.out, config.image, config.paths.outputs)
    request = read_instruction(config.instruction, config.instruction_file, config.decomposer.max_request_chars)
    given = load_picture(config.image)
    for line in loader.allowed([(config.image, given.rgb)], [("instruction", request)]):
        say(f"allowed by allow_tiny=true: {line}")
    loader.check_machine()
    check_writable(out)
    with Screen(console, config.execution.name) as screen:
        screen.wait("loading the models")
        make, judge = from_request(loader.team, sample_of(given, request)), judge_of(config)
        screen.begin()
        with library_lines():
            written = edit_one(given, make, out, config.seed, config.n, judge, screen, *hooks(screen, config.n))
    tell_files(written)


def _plan(config: EditConfig, place: str) -> None:
    if config.instruction is not None or config.instruction_file is not None or config.instructions is not None:
        raise BadInput("plan= says already what to do; leave the instruction out, or change sub_requests in the file")
    plan = read_plan(place, "multi" if config.execution.looped else config.execution.name)
    loader = TeamLoader(config, "experiments.edit", needs_decomposer=False)
    loader.check_settings()
    image = config.image or (None if plan.picture is None else str(plan.picture))
    if image is None:
        raise BadInput(f"plan={place} has no picture 0.png beside it; give image=<picture>")
    if is_several(image, None):
        raise BadInput(f"image={image}: a plan is carried out on one picture")
    out = output_path(config.out, image, config.paths.outputs)
    given = load_picture(image)
    for line in loader.allowed([(image, given.rgb)], []):
        say(f"allowed by allow_tiny=true: {line}")
    loader.check_machine()
    check_writable(out)
    seed = config.seed if plan.trace is None else plan.trace.seed
    with Screen(console, plan.execution) as screen:
        screen.wait("loading the models")
        make: Make = lambda seed, watch: plan.carry_out(given.rgb, loader.plan_team, seed, watch)  # noqa: E731
        loader.plan_team("single")
        judge = judge_of(config)
        screen.begin()
        with library_lines():
            written = edit_one(given, make, out, seed, config.n, judge, screen, *hooks(screen, config.n, plan))
    tell_files(written)


def _several(config: EditConfig) -> None:
    limit = config.decomposer.max_request_chars
    loader = TeamLoader(config, "experiments.edit")
    loader.check_settings()
    if config.instructions is not None:
        if config.instruction is not None or config.instruction_file is not None:
            raise BadInput("instructions= has an instruction for every picture; leave the other one out")
        works = from_table(config.instructions, config.image, limit)
        name = Path(config.instructions).stem
    else:
        assert config.image is not None
        works = one_instruction(config.image, read_instruction(config.instruction, config.instruction_file, limit))
        name = works[0].image.parent.resolve().name
    out = Path(config.out) if config.out else Path(config.paths.outputs) / EDITS / (name or "pictures")
    loader.check_machine()
    judge: list[Judge | None] = []

    def one(work: Work, given: Picture, path: Path) -> Written:
        loader.allowed([(str(work.image), given.rgb)], [(f"the instruction of {work.image.name}", work.instruction)])
        if not judge:
            judge.append(judge_of(config))
        make = from_request(loader.team, sample_of(given, work.instruction))
        with library_lines():
            return edit_one(given, make, path, config.seed, config.n, judge[0])

    edit_several(works, out, config, one)


def sample_of(given: Picture, request: str) -> EditSample:
    """Seeds come from the id: the same pixels under another name give the same picture."""
    return EditSample(id=digest(given.rgb), request=request, gold=(), picture=given.rgb)


def judge_of(config: EditConfig) -> Judge | None:
    """None where nobody judges."""
    if config.judge is None or not config.judge.verdicts:
        return None
    with library_lines():
        return make_judge_of(config.judge, judge_tools(config.judge, config.engine, config.paths.outputs, "paper"))


def hooks(
    screen: Screen, n: int, plan: GivenPlan | None = None
) -> tuple[Callable[[Candidates], None], Callable[[int, int], None]]:
    """What `edit_one` calls: to tell of the candidates, and of the start of each where there are several."""

    def starts(number: int, seed: int) -> None:
        if n > 1:
            screen.line(f"candidate {number} of {n} (seed {seed}):", HEAD)
            screen.begin("editing" if number > 1 else "reading the request")

    return lambda made: tell(screen, made, plan), starts


def tell(screen: Screen, made: Candidates, plan: GivenPlan | None = None) -> None:
    """What came of it, besides the steps that were shown as they happened."""
    for note in made.best.notes:
        screen.line(f"note: {note}")
    for k, (trace, verdict) in enumerate(zip(made.traces, made.verdicts, strict=True), 1):
        name = f"candidate {k} (seed {trace.seed})" if len(made.traces) > 1 else "verdict"
        if trace.failure:
            screen.line(f"{name}: no picture, {trace.failure}", BAD)
        elif verdict is not None and verdict.valid:
            scores = " · ".join(f"{key} {value:.1f}" for key, value in verdict.scores.items())
            screen.line(f"{name}: {scores or f'{score(verdict):.1f}'}")
        elif verdict is not None:
            screen.line(f"{name}: no verdict, {verdict.reason}", BAD)
    if len(made.traces) > 1:
        if made.judged:
            screen.line(f"picked: candidate {made.pick + 1}, which has the best verdict")
        else:
            why = (
                "no verdict is valid"
                if any(made.verdicts)
                else "nobody judges them (judge=none; judge=vlm or gpt4o would)"
            )
            screen.line(f"taken: candidate {made.pick + 1}, the first with a picture, since {why}")
    if plan is not None and plan.trace is not None and plan.unchanged and made.best.seed == plan.trace.seed:
        same = made.best.digests == plan.trace.digests
        other = "not the same pictures as in the trace: another picture, editor, or machine was used"
        screen.line("the same pictures as in the trace" if same else other, DIM if same else BAD)


def tell_files(written: Written) -> None:
    for note in written.notes:
        say(f"note: {note}")
    if written.unchanged:
        say("the editor changed nothing: it found nothing to do on this picture")
    say(f"picture: {written.picture}\nsheet: {written.sheet}")
    if written.candidates is not None:
        say(f"candidates: {written.candidates}")
    say(f"trace: {written.trace}")


def say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


__all__ = ["edit", "judge_of", "sample_of", "say"]
