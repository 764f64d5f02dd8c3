"""A session in the terminal: one request per line, and commands that begin with a slash. Every turn is saved at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agents.decomposer import clean_request
from agents.session import run_turn
from agents.session_play import intent_of
from common.dotted import nearest
from common.errors import BadInput, ImageEditError
from common.interrupts import Interrupts
from common.third_party import library_lines
from experiments.editing.lines import Lines
from experiments.editing.plan_editing import PlanEditing
from experiments.editing.screen import BAD, DIM, HEAD, Screen
from experiments.editing.store import Store
from experiments.runs.output_picture import check_folder, output_path, save_edited
from experiments.runs.team_loader import TeamLoader

if TYPE_CHECKING:
    from agents.session import Session

HELP = """\
make the star red    any request: one turn, which edits the current picture
/undo, /undo 2       take back the last turn, or two
/redo, /redo 2       bring back what was taken back
/plan <request>      show the plan of this turn, and change it before it is carried out
/plan                the same for the next turn
/history             the turns so far, and the branches
/branch <name>       go on in a new branch; the one before stays as it is
/switch <name>       go to another branch
/show                the file of the current picture
/save [file]         write the current picture to a file, with the transparency it had
/quit                end (every turn is saved; the same command goes on from here)
//word …             a request that begins with a slash"""


class Dialogue:
    """The loop over lines. `image` is the user's own file, which nothing overwrites; None for a scene of the sandbox."""

    def __init__(self, loader: TeamLoader, store: Store, screen: Screen, lines: Lines, image: str | None) -> None:
        self.loader, self.store, self.screen, self.lines, self.image = loader, store, screen, lines, image
        self.plan_next = False
        self.commands: dict[str, Callable[[str], None]] = {
            "undo": lambda words: self._back(words, "undo"),
            "redo": lambda words: self._back(words, "redo"),
            "plan": self._plan,
            "history": self._history,
            "branch": lambda name: self._branch(name, self.store.branch),
            "switch": lambda name: self._branch(name, self.store.switch),
            "show": lambda words: self.screen.line(str(self.store.picture_path)),
            "save": self._save,
            "help": lambda words: self.screen.line(HELP),
        }

    def run(self) -> None:
        """Until /quit or the end of the input. A Ctrl-C at the prompt drops the line, in a turn it gives up the turn; without a
        terminal it ends the session."""
        with Interrupts(even_if_ignored=self.lines.interactive) as self.interrupts:
            self._read_on()

    def _read_on(self) -> None:
        while True:
            line: str | None = ""
            try:
                line = self.lines.read(f"{self.store.current}> ")
                if line is None or line.strip() in ("/quit", "/exit"):
                    return
                self._line(line.strip())
            except KeyboardInterrupt:
                if not self.lines.interactive:
                    raise
                self.interrupts.caught()
                # Python ends by SIGINT after an interrupt that went through code run by exec(), although it was caught here; a
                # later exec() makes it forget that
                exec("pass")
                said = "given up; the session is as it was before this turn" if line else "(/quit ends the session)"
                self.screen.line(f"\n{said}", DIM)
            except ImageEditError as error:
                sys.stdout.flush()
                print(f"error: {error}", file=sys.stderr, flush=True)

    def _line(self, line: str) -> None:
        if not line:
            return
        if line in (*self.commands, "quit", "exit"):
            raise BadInput(f"{line!r} alone is no request; the command is /{line}")
        if not line.startswith("/") or line.startswith("//"):
            plan, self.plan_next = self.plan_next, False
            return self._turn(line[1:] if line.startswith("//") else line, plan)
        name, _, words = line[1:].partition(" ")
        if name not in self.commands:
            known = [*self.commands, "quit"]
            raise BadInput(f"there is no command /{name}{nearest(name, known, '/')}; /help lists them")
        self.commands[name](words.strip())

    # ----------------------------------------------------------------------------------------------------------- turns
    def _turn(self, request: str, plan: bool) -> None:
        clean_request(request, None)
        for line in self.loader.allowed([], [("the request", request)]):
            self.screen.line(f"allowed by allow_tiny=true: {line}", DIM)
        with self.screen:
            self.screen.wait("loading the models")
            team, writer = self.loader.team, self.loader.writer
            self.screen.begin()
            session = self.store.session
            with library_lines():
                intent = intent_of(writer, session, request, self.screen)
            given: Sequence[str] | None = None
            if plan:
                with library_lines():
                    ((_, planned),) = team.plan([session.sample(request, intent)], watch=self.screen)
                self.screen.pause()
                given = PlanEditing(self.lines, self.screen).edit(planned.sub_requests)
                if given is None:
                    return self.screen.line("the turn is dropped", DIM)
                self.screen.begin("editing")
            with library_lines():
                (after,) = run_turn(
                    team,
                    [session],
                    [request],
                    intents=[intent],
                    seed=self.loader.config.seed,
                    watch=self.screen,
                    plans=None if given is None else [given],
                )
        self.interrupts.check()
        self._keep(after)

    def _keep(self, after: Session) -> None:
        trace = after.turns[-1].trace
        for note in trace.notes:
            self.screen.line(f"note: {note}", DIM)
        if trace.failure:
            self.screen.line(f"no picture, {trace.failure}; the turn is not kept, say it differently", BAD)
            return
        self.store.set(after)
        if trace.digests[0] == trace.digests[-1]:
            self.screen.line("the editor changed nothing: it found nothing to do on this picture")
        self.screen.line(f"picture {len(after.turns)}: {self.store.picture_path}")

    def _plan(self, request: str) -> None:
        if request:
            return self._turn(request, True)
        self.plan_next = True
        self.screen.line("the plan of the next turn will be shown, and can be changed", DIM)

    # -------------------------------------------------------------------------------------------------------- commands
    def _back(self, words: str, how: str) -> None:
        session = self.store.session
        if words and not (words.isascii() and words.isdigit() and len(words) < 7):
            raise BadInput(f"/{how} takes a number of turns, not {words!r}")
        n = int(words or 1)
        self.store.set(session.undo(n) if how == "undo" else session.redo(n))
        self._where()

    def _branch(self, name: str, do: Callable[[str], None]) -> None:
        if not name:
            raise BadInput("give the branch's name, for example /branch brighter")
        do(name)
        self._where()

    def _where(self) -> None:
        turns = self.store.session.turns
        after = f"after turn {len(turns)}: {turns[-1].request}" if turns else "the given picture"
        self.screen.line(f"{self.store.current}, {after}\n{self.store.picture_path}")

    def _history(self, words: str) -> None:
        session = self.store.session
        if not session.turns:
            self.screen.line("no turns yet", DIM)
        for number, turn in enumerate(session.turns, 1):
            self.screen.line(f"{number}. {turn.request}")
            if turn.intent is not None and turn.intent != turn.request:
                self.screen.line(f"   intent: {turn.intent}", DIM)
            self.screen.line(f"   plan ({turn.trace.source}): {'; '.join(turn.trace.sub_requests)}", DIM)
        for turn in reversed(session.undone):
            self.screen.line(f"-  {turn.request} (undone; /redo brings it back)", DIM)
        names = [f"{name} (here)" if name == self.store.current else name for name in self.store.sessions]
        if len(names) > 1:
            self.screen.line(f"branches: {', '.join(names)}")

    def _save(self, words: str) -> None:
        out = output_path(words or str(self.store.folder / f"{self.store.current}.png"), self.image or "", "")
        check_folder(out.parent, out)
        if note := save_edited(self.store.session.picture, self.store.given, out):
            self.screen.line(f"note: {note}", DIM)
        self.screen.line(f"saved: {out}")


def begin(screen: Screen, store: Store, folder: Path, interactive: bool, resumed: bool) -> None:
    """The first lines of a session."""
    turns = len(store.session.turns)
    state = f"goes on after turn {turns}" if resumed else "begins"
    screen.line(f"session {folder} {state}, branch {store.current}: {store.picture_path}", HEAD)
    if interactive:
        screen.line("type what to change, one request per line; /help lists the commands, /quit ends", DIM)


__all__ = ["HELP", "Dialogue", "begin"]
