"""The stage that makes the reward model's data, in <run>/rrm-data: candidates with verdicts, reasoning traces, and a card."""

from __future__ import annotations

from typing import Any

from common.errors import BadInput
from common.files import write_json
from conf.schema import RunConfig
from experiments.build.editors import make_editor
from experiments.runs.run import Run
from experiments.runs.stages import Stage
from experiments.tiny.simulated import Writers
from experiments.tiny.teacher import SandboxTeacher, edited, faulty, requests
from experiments.training_data.candidates import CandidateFolder, Maker
from experiments.training_data.cold_start import summary, write_cold_start
from judges.sandbox import SandboxJudge

DATA = "rrm-data"
COLD_START, PAIRS, HELD_OUT = (f"{DATA}/{name}" for name in ("cold_start", "pairs", "held_out"))
CARD = f"{DATA}/card.json"
SPLITS = {COLD_START: ("train", 101), PAIRS: ("train", 102), HELD_OUT: ("test", 103)}
TITLES = {COLD_START: "edits for the cold start", PAIRS: "edits for GCPO", HELD_OUT: "held-out edits"}


class RewardData(Stage):
    """Requests are the same for every seed of a run, so that runs can be compared; held-out ones are of the test split."""

    name = "rrm_data"

    def done(self, run: Run) -> bool:
        return (run.folder / CARD).is_file()

    def run(self, run: Run) -> None:
        data, makers = run.config.rrm.data, all_makers(run.config)
        counts = {COLD_START: data.samples, PAIRS: data.pairs, HELD_OUT: data.held_out}
        if run.config.rrm.checkpoint:
            counts = {HELD_OUT: data.held_out}
        for part, count in counts.items():
            run.enter(TITLES[part])
            with run.timed("data"):
                self.folder(run, part, makers).make(TITLES[part], count)
        card: dict[str, Any] = {"counts": counts, "makers": list(makers), "judge": run.config.judge.name}
        if COLD_START in counts:
            run.enter("reasoning traces")
            teacher = SandboxTeacher(Writers(data.writer_errors, data.writer_score_std), data.traces, run.config.seed)
            with run.timed("data"):
                found = self.folder(run, COLD_START).read(data.samples)
                write_cold_start(run.folder / COLD_START, found, teacher, data.samples)
            card["traces"] = summary(run.folder / COLD_START)
        write_json(run.folder / CARD, card)

    @staticmethod
    def folder(run: Run, part: str, makers: dict[str, Maker] | None = None) -> CandidateFolder:
        split, seed = SPLITS[part]
        c = run.config
        per_sample = c.rrm.data.candidates if part == COLD_START else 2
        samples = requests(split, seed, c.scale.image_size)
        return CandidateFolder(run.folder / part, samples, makers or {}, SandboxJudge(), per_sample, c.scale.chunk)


def all_makers(config: RunConfig) -> dict[str, Maker]:
    """Edits with deliberate faults in turns with those of each editor."""
    makers: dict[str, Maker] = {}
    for number, name in enumerate(config.rrm.data.editors):
        makers[f"faults {number + 1}"] = faulty(number)
        makers[name] = edited(make_editor(editor_named(config, name), config.engine))
    return makers or {"faults 1": faulty(0)}


def editor_named(config: RunConfig, name: str) -> Any:
    """The choice editor=<name> at the run's scale. Raises BadInput for a name that is none."""
    from experiments.runs.cli import typed
    from experiments.runs.composing import compose

    if name == config.editor.name:
        return config.editor
    try:
        return typed(compose("run", [f"editor={name}", f"scale={config.scale.name}"])).editor
    except BadInput as error:
        raise BadInput(f"rrm.data.editors: {error}") from None


__all__ = ["CARD", "COLD_START", "HELD_OUT", "PAIRS", "RewardData", "all_makers", "editor_named"]
