"""The folder of a session: its branches, which one is current, and the picture it began with as it was given.

    session.json              the current branch and the file of the given picture
    given.<ending>            that file, a copy
    branches/<name>/          each branch as `agents.session.Session.save` writes it

Every change is written at once, so that a kill loses at most the turn in progress.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agents.session import FILE as BRANCH_FILE
from agents.session import PICTURES, Session
from common.atomic import atomic_file
from common.errors import BadData, BadInput, MissingFile
from common.filenames import check_name
from common.files import locked, read_json, write_json
from common.pictures import Picture, load_picture

FILE, BRANCHES, MAIN = "session.json", "branches", "main"
FORMAT = 1


@dataclass
class Store:
    """`sessions`: the current state of every branch. `given`: the picture at the beginning, with its transparency."""

    folder: Path
    given: Picture
    file: str  # name of the copy of the given picture
    current: str = MAIN
    sessions: dict[str, Session] = field(default_factory=dict)

    @property
    def session(self) -> Session:
        return self.sessions[self.current]

    @property
    def picture_path(self) -> Path:
        """The file of the current picture."""
        return self.folder / BRANCHES / self.current / PICTURES / f"{self.session.picture_digest}.png"

    def set(self, session: Session) -> None:
        """The current branch is `session` from now on. Raises SaveFailed, and then it stays what it was."""
        session.save(self.folder / BRANCHES / self.current)
        self.sessions[self.current] = session

    def branch(self, name: str) -> None:
        """A new branch with the turns of the current one, which becomes the current one. Its editor's seeds differ from here on.
        Raises BadInput for a name that is taken or is none, SaveFailed."""
        check_name(name, "the branch's name")
        if not name or name in self.sessions:
            raise BadInput(
                f"there is a branch {name!r} already; /switch {name} goes there" if name else "give it a name"
            )
        if any(name.casefold() == other.casefold() for other in self.sessions):
            raise BadInput(f"{name!r} differs from another branch in upper and lower case alone; give another name")
        root = self.sessions[MAIN].id
        made = self.session.branch(id=f"{root}/{name}")
        made.save(self.folder / BRANCHES / name)
        self.sessions[name] = made
        self.switch(name)

    def switch(self, name: str) -> None:
        """Raises BadInput for a branch that is not there, SaveFailed."""
        if name not in self.sessions:
            raise BadInput(f"there is no branch {name!r}; there are: {', '.join(self.sessions)}")
        self._write(name)
        self.current = name

    def _write(self, current: str) -> None:
        write_json(self.folder / FILE, {"format": FORMAT, "current": current, "given": self.file})

    @classmethod
    def new(cls, folder: Path, id: str, given: Picture, source: Path | None) -> Store:
        """A session without turns. `source`: the picture's file, None where it was drawn. Raises SaveFailed."""
        file = f"given{source.suffix.lower() if source is not None else '.png'}"
        with atomic_file(folder / file) as out:
            if source is None:
                given.rgb.save(out, format="PNG")
            else:
                out.write(source.read_bytes())
        store = cls(folder, given, file)
        store.set(Session.start(id, given.rgb))
        store._write(MAIN)
        return store

    @classmethod
    def load(cls, folder: Path) -> Store:
        """Raises MissingFile where a file is absent, BadData where one was changed or damaged."""
        path = folder / FILE
        raw = read_json(path)
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise BadData(f"{path} is no session of this version (format {FORMAT}); choose another out=<folder>")
        current, file = raw.get("current"), raw.get("given")
        if not isinstance(file, str) or Path(file).name != file or not isinstance(current, str):
            raise BadData(f"{path} is damaged; restore it, or choose another out=<folder>")
        names = sorted(p.parent.name for p in (folder / BRANCHES).glob(f"*/{BRANCH_FILE}"))
        sessions = {name: Session.load(folder / BRANCHES / name) for name in dict.fromkeys([MAIN, *names])}
        if current not in sessions:
            raise MissingFile(f"the branch {current!r} of {path} is gone; restore its folder in {folder / BRANCHES}")
        return cls(folder, load_picture(folder / file), file, current, sessions)


@contextmanager
def opened(folder: Path) -> Iterator[Store | None]:
    """The session in the folder, None where there is none yet; no other process can have it meanwhile. Raises BadInput
    where one has it, and what `load` raises."""
    with locked(folder, instead="choose another out=<folder>"):
        yield Store.load(folder) if (folder / FILE).is_file() else None


__all__ = ["BRANCHES", "FILE", "MAIN", "Store", "opened"]
