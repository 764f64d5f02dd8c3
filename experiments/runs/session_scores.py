"""The stage that plays held-out sessions with every arm and judges them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from agents.editing import EditingAgent
from agents.intent import IntentWriter
from agents.sequencer import RulesSequencer
from agents.session_play import Played, play_sessions
from agents.team import Team
from benchmarks.base import EditSession
from benchmarks.sandbox.generate import make_session
from common.contents import digest
from common.jsonl import Journal
from common.parts import CHECKPOINT, Machine
from common.progress import bar
from conf.parts import with_keys
from conf.schema import RunConfig
from experiments.build.device import device_of
from experiments.build.editors import make_editor
from experiments.build.rollouts import make_backend
from experiments.evaluation.sessions import FULL, INTENT, RAW, scores_file, session_results, session_rows
from experiments.runs.run import Run
from experiments.runs.session_rl import ARMS, EDITOR, WRITER, arm_folder, missing_for_sessions, session_mix
from experiments.runs.stages import Stage
from experiments.sharing import edit_r2
from experiments.sharing.doing import take_or_make
from experiments.sharing.phase import SharedPhase, without
from experiments.sharing.stage_phases import besides
from judges.sessions.base import PlayedSession
from judges.sessions.sandbox import SandboxSessionJudge

HELD_OUT = ("test", 302)  # split and seed of the sessions: the same for every run, so that runs can be compared
PICTURES = "session-pictures"


def held_out_session(config: RunConfig, turns: int, index: int) -> EditSession:
    return make_session(*HELD_OUT, index, turns, config.scale.image_size, session_mix(config))


class SessionScores(Stage):
    """Instruction following, content consistency and global awareness of every turn, for the editor on the user's words, with
    intents before RL, and for every arm whose training is done."""

    name = "session_scores"
    uses = frozenset({"editor"})
    own_sharing = True
    metrics = ("sessions.ga_last_turn",)
    panels = ("experiments.reports.run.sessions.CARDS", "experiments.reports.run.sessions.PANEL")

    def missing(self, config: RunConfig, machine: Machine) -> Iterator[str]:
        yield from missing_for_sessions(config, machine)

    def arms(self, run: Run) -> dict[str, tuple[Path | None, Path | None]]:
        """Of each arm the folder of its writer (None: it has none) and of its editor."""
        writer, editor = Path(run.config.intent.checkpoint), Path(run.config.editor.checkpoint)
        found: dict[str, tuple[Path | None, Path | None]] = {RAW: (None, editor), INTENT: (writer, editor)}
        for stage in ARMS:
            if stage().done(run):
                folder = arm_folder(run, stage.arm)
                own_writer, own_editor = folder / WRITER, folder / EDITOR
                found[stage.arm] = (
                    own_writer if own_writer.is_dir() else writer,
                    own_editor if own_editor.is_dir() else editor,
                )
        return found

    def done(self, run: Run) -> bool:
        arms = [RAW, INTENT, *(stage.arm for stage in ARMS if stage().done(run))]
        rows = session_rows(run.folder)
        return all(
            _begun(rows, arm, n) >= run.config.sessions.held_out for arm in arms for n in run.config.sessions.turns
        )

    def run(self, run: Run) -> None:
        sessions = run.config.sessions
        for arm, (writer, editor) in self.arms(run).items():
            rows = session_rows(run.folder)
            if any(_begun(rows, arm, n) < sessions.held_out for n in sessions.turns):
                run.enter(f"held-out sessions, {arm.replace('_', ' ')}")
                take_or_make(run, arm_phase(run, arm, writer, editor), partial(self._play, run, arm, writer, editor))

    def _play(self, run: Run, arm: str, writer: Path | None, editor: Path | None) -> None:
        """What is missing of one arm's sessions."""
        c, journal, n = run.config, Journal(scores_file(run.folder, arm)), run.config.sessions.held_out
        journal.cut_after(0)
        rows = session_rows(run.folder)
        begun = {length: _begun(rows, arm, length) for length in c.sessions.turns}
        player = _Player(run, arm, writer, editor)
        with run.timed("evaluate"), bar(run.phase, n * len(begun), sum(begun.values())) as b:
            for length, first in begun.items():
                for start in range(first, n, c.scale.chunk):
                    numbers = range(start, min(start + c.scale.chunk, n))
                    journal.append(player.rows(length, numbers))
                    b.update(sum(begun.values()))
                    begun[length] = numbers.stop
            b.update(sum(begun.values()))

    def results(self, run: Run) -> Mapping[str, Any]:
        rows = session_rows(run.folder)
        return {"sessions": session_results(rows)} if rows else {}

    def show(self, run: Run, results: Mapping[str, Any]) -> None:
        from experiments.reports.run.sessions import print_sessions

        print_sessions(results)

    def objective(self, run: Run) -> str:
        return f"sessions.ga_last_turn.{FULL}"


class _Player:
    """One arm: its writer, its team and the judge of sessions."""

    def __init__(self, run: Run, arm: str, writer: Path | None, editor: Path | None) -> None:
        self.run, self.arm = run, arm
        c = run.config
        part = c.editor if editor is None else with_keys(c.editor, "editor", {"checkpoint": str(editor)})
        self.team = Team(
            None, RulesSequencer(), EditingAgent(make_editor(part, c.engine), "single"), c.intent.max_request_chars
        )
        self.writer: IntentWriter | None = None
        if writer is not None:
            self.writer = c.intent.writer(make_backend(c.rollouts, c.intent.load(device_of(c.engine), writer)))
        self.judge = SandboxSessionJudge()

    def rows(self, length: int, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Of these sessions of this length, a row for each turn."""
        c = self.run.config
        sessions = [held_out_session(c, length, i) for i in numbers]
        played = play_sessions(sessions, self.team, self.writer, c.scale.test_seed, c.scale.chunk)
        verdicts = self.judge.judge_sessions(
            [
                PlayedSession(s, p.session.source, tuple(t.picture for t in p.session.turns))
                for s, p in zip(sessions, played, strict=True)
            ]
        )
        rows = []
        for i, session, done, own in zip(numbers, sessions, played, verdicts, strict=True):
            if i < c.scale.strips:
                self._keep(length, i, done)
            for k, (turn, intent, verdict) in enumerate(zip(session.turns, done.intents, own, strict=True)):
                row = {"arm": self.arm, "length": length, "i": i, "id": session.id, "kind": turn.kind, "turn": k + 1}
                row |= {"request": turn.request, "instruction": intent.instruction, "fallback": intent.fallback}
                rows.append(row | {"valid": verdict.valid, "scores": dict(verdict.scores), "reason": verdict.reason})
        return rows

    def _keep(self, length: int, i: int, played: Played) -> None:
        folder = self.run.folder / PICTURES / self.arm
        folder.mkdir(parents=True, exist_ok=True)
        pictures: list[Image.Image] = [played.session.source, *(t.picture for t in played.session.turns)]
        for k, picture in enumerate(pictures):
            picture.save(folder / f"{length}-{i:03d}-{k}.png")


def _begun(rows: Sequence[Mapping[str, Any]], arm: str, length: int) -> int:
    """How many sessions of this length the arm has scores of."""
    return len({r["i"] for r in rows if r["arm"] == arm and r["length"] == length})


def arm_phase(run: Run, arm: str, writer: Path | None, editor: Path | None) -> SharedPhase:
    """One arm's pictures and rows, defined by what its models hold: the arms without training are those of every seed."""
    files = {name: None if folder is None else digest(folder, CHECKPOINT) for name, folder in
             (("writer", writer), ("editor", editor))}  # fmt: skip
    identity = {
        "stage": "session_scores",
        "arm": arm,
        "models": files,
        "strips": run.config.scale.strips,
        "values": without(run.identity, edit_r2.session_scores()),
        **besides(run.config),
    }
    rows = str(scores_file(run.folder, arm).relative_to(run.folder))
    return SharedPhase(f"session-scores-{arm}", identity, (f"{PICTURES}/{arm}", rows))


__all__ = ["HELD_OUT", "PICTURES", "SessionScores", "arm_phase", "held_out_session"]
