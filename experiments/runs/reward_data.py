"""The stage that makes the reward model's data, in <run>/rrm-data: candidates with verdicts, reasoning traces, and a card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from common.files import write_json
from common.parts import Machine
from conf.schema import RunConfig
from experiments.build.benchmarks import train_samples
from experiments.build.editors import make_editor
from experiments.build.reward_models import NO_REWARD_MODEL
from experiments.build.teachers import choice, make_teacher, missing_teachers
from experiments.preflight.editor_phases import editing
from experiments.preflight.phases import Phase
from experiments.runs.run import Run
from experiments.runs.stages import Stage
from experiments.sharing import edit_r1
from experiments.tiny.teacher import edited, faulty, requests
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
    uses = frozenset()
    leaves = (DATA,)

    def indifferent(self, values: Mapping[str, Any]) -> Mapping[str, str]:
        return edit_r1.reward_data()

    def defined_by(self, config: RunConfig) -> Mapping[str, Any]:
        return edit_r1.sources_of(config)

    def done(self, run: Run) -> bool:
        return (run.folder / CARD).is_file()

    def run(self, run: Run) -> None:
        data, makers = run.config.rrm.data, all_makers(run.config)
        counts = {COLD_START: data.samples, PAIRS: data.pairs, HELD_OUT: data.held_out}
        if run.config.rrm.checkpoint:
            counts = {HELD_OUT: data.held_out}
        if data.preferences:  # people have compared edits already
            counts = {part: n for part, n in counts.items() if part == COLD_START}
        for part, count in counts.items():
            run.enter(TITLES[part])
            with run.timed("data"):
                self.folder(run, part, makers).make(TITLES[part], count)
        card: dict[str, Any] = {"counts": counts, "makers": list(makers)}
        if COLD_START in counts:
            run.enter("reasoning traces")
            teacher = make_teacher(run.config)
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
        if c.benchmark.name == "sandbox":
            samples, judge = requests(split, seed, c.scale.image_size), SandboxJudge()
            return CandidateFolder(run.folder / part, samples, makers or {}, judge, per_sample, c.scale.chunk)
        pool = train_samples(c.benchmark, c.scale.image_size, c.seed)
        return CandidateFolder(run.folder / part, pool, makers or {}, None, per_sample, c.scale.chunk)

    def phases(self, config: RunConfig) -> Iterator[Phase]:
        """All editors are loaded at once, each with its way of offloading."""
        editors = [choice(config, "editor", name) for name in config.rrm.data.editors] if config.rrm else []
        held = {editor.name: editing(editor) for editor in editors if editor.has_pipeline}
        if held:
            activations = max(own["activations"] for own in held.values())
            weights = {name: own["editor"] for name, own in held.items()}
            yield Phase(self.name, "candidate edits", weights | {"activations": activations})

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        if config.rrm is None:
            yield NO_REWARD_MODEL
        else:
            yield from missing_teachers(config, machine)
            if config.benchmark.name != "sandbox" and not config.rrm.data.preferences:
                yield "pairs of edits that people compared: name a set by rrm.data.preferences and rrm.data.preferences_path"
            place = config.rrm.data.preferences_path
            if config.rrm.data.preferences and place and not Path(place).expanduser().exists():
                yield (
                    f"pairs of edits that people compared: there is no {place}; put the set {config.rrm.data.preferences} there, "
                    "name its folder by rrm.data.preferences_path, or leave that empty to read it from the Hub"
                )


def all_makers(config: RunConfig) -> dict[str, Maker]:
    """Edits with deliberate faults in turns with those of each editor."""
    makers: dict[str, Maker] = {}
    sandbox = config.benchmark.name == "sandbox"
    for number, name in enumerate(config.rrm.data.editors):
        if sandbox:
            makers[f"faults {number + 1}"] = faulty(number)
        makers[name] = edited(make_editor(choice(config, "editor", name), config.engine))
    return makers or ({"faults 1": faulty(0)} if sandbox else {})


__all__ = ["CARD", "COLD_START", "HELD_OUT", "PAIRS", "RewardData", "all_makers"]
