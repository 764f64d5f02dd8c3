"""The trace of one sample through the team: reply, plan, calls and pictures. Saved as JSON beside PNG files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from agents.editing import Call, EditResult, execute
from agents.loop import Turn
from agents.plan import decomposition_from_dict
from benchmarks.base import Decomposition
from common.atomic import atomic_file
from common.errors import BadData, BadInput, MissingFile
from common.files import write_bytes
from common.pictures import BadPicture, read_picture

if TYPE_CHECKING:
    from editors.base import Editor

FILE = "trace.json"


@dataclass(frozen=True)
class Trace:
    """`pictures` holds the given picture and the one after each call. Pictures and timings are not compared for equality;
    `digests` (of the pixels) stand for the pictures."""

    sample_id: str
    request: str
    history: tuple[str, ...]
    text: str | None  # what the decomposer wrote; None where no decomposer took part
    decomposition: Decomposition | None
    error: str | None
    source: str  # who wrote the sub-requests: rules | vlm | request | given (a person's plan) | loop
    notes: tuple[str, ...]
    sub_requests: tuple[str, ...]
    execution: str
    seed: int
    calls: tuple[Call, ...]
    digests: tuple[str, ...]
    pictures: tuple[Image.Image, ...] = field(default=(), compare=False, repr=False)
    timings: dict[str, float] = field(default_factory=dict, compare=False, repr=False)  # seconds by phase
    failure: str = ""  # why there is no picture after a call; "" where all went well
    cut: int = (
        0  # of the request and of the calls' instructions, how many were not read to their end; `notes` say which
    )
    turns: tuple[Turn, ...] = ()  # of a closed loop, its answers; those with a call have one of `calls` each, in order

    @property
    def result(self) -> Image.Image:
        """The edited picture."""
        if not self.pictures:
            raise BadInput(f"the trace of {self.sample_id!r} was loaded without its pictures; load it with them")
        return self.pictures[-1]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the pictures."""
        light = {name: getattr(self, name) for name in _PLAIN}
        decomposition = self.decomposition
        return {
            **light,
            "decomposition": None if decomposition is None else asdict(decomposition),
            "calls": [asdict(call) for call in self.calls],
            **({"turns": [asdict(turn) for turn in self.turns]} if self.turns else {}),
            "timings": self.timings,
        }

    def save(self, folder: str | Path) -> Path:
        """Write `trace.json` and 0.png (given), 1.png, … into `folder`; the JSON last, so that it is only there when
        everything is. Raises `SaveFailed`."""
        folder = Path(folder)
        remedy = "Traces saved before are intact. Free some space or choose another folder"
        for k, picture in enumerate(self.pictures):
            with atomic_file(folder / f"{k}.png", remedy=remedy) as file:
                picture.save(file, format="PNG", compress_level=1)
        text = json.dumps(self.to_dict(), ensure_ascii=True, indent=1, sort_keys=True) + "\n"
        write_bytes(folder / FILE, text.encode(), remedy=remedy)
        return folder / FILE

    @classmethod
    def load(cls, folder: str | Path, pictures: bool = True) -> Trace:
        """Read what `save` wrote. `MissingFile` where a file is absent, `BadData` where one was changed or damaged."""
        path = Path(folder) / FILE
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            trace = cls.from_dict(raw)
        except FileNotFoundError as error:
            raise MissingFile(f"no trace at {path}; give the folder that a trace was saved to") from error
        except (ValueError, KeyError, TypeError) as error:
            raise BadData(f"{path} is not a trace ({type(error).__name__}: {error}); save it again") from error
        if not pictures:
            return trace
        images = tuple(open_picture(Path(folder) / f"{k}.png", digest) for k, digest in enumerate(trace.digests))
        return cls(**{**trace.__dict__, "pictures": images})

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Trace:
        """The trace behind `to_dict`, without pictures. Raises KeyError, TypeError or ValueError for anything else."""
        decomposition = raw["decomposition"]
        plain: dict[str, Any] = {n: tuple(raw[n]) if isinstance(raw[n], list) else raw[n] for n in _PLAIN if n in raw}
        return cls(
            **plain,
            decomposition=None if decomposition is None else decomposition_from_dict(decomposition),
            calls=tuple(Call(str(c["instruction"]), int(c["seed"])) for c in raw["calls"]),
            timings=dict(raw["timings"]),
            turns=tuple(_turn(turn) for turn in raw.get("turns", ())),
        )


_PLAIN = (
    *("sample_id", "request", "history", "text", "error", "source", "notes", "sub_requests", "execution", "seed"),
    *("digests", "failure", "cut"),
)


def _turn(raw: dict[str, Any]) -> Turn:
    return Turn(**{**raw, "sub_requests": tuple(raw["sub_requests"])})


def replay(trace: Trace, editor: Editor) -> tuple[Image.Image, ...]:
    """Make the trace's calls again on its given picture; with the same editor the pictures are the same as before."""
    if not trace.pictures:
        raise BadInput(f"the trace of {trace.sample_id!r} was loaded without its pictures; load it with them")
    given = trace.pictures[0]
    return (given, *calls_again(trace, given, editor).pictures)


def calls_again(trace: Trace, given: Image.Image, editor: Editor) -> EditResult:
    """The trace's calls on `given`. In a closed loop each is made on the picture that it was made on before, and calls that gave
    no picture are left out."""
    if not trace.turns:
        return execute(editor, [given], [trace.calls])[0]
    pictures = [given]
    called = [turn for turn in trace.turns if turn.called]
    for turn, call in zip(called, trace.calls, strict=True):
        if turn.base is None or turn.made is None:
            continue
        result = execute(editor, [pictures[turn.base]], [(call,)])[0]
        if result.failure:
            return EditResult(trace.calls, tuple(pictures[1:]), result.failure)
        pictures.append(result.pictures[-1])
    return EditResult(trace.calls, tuple(pictures[1:]), trace.failure)


def digest(image: Image.Image) -> str:
    """A hash of mode, size and pixels."""
    head = f"{image.mode} {image.size} ".encode()
    return hashlib.sha256(head + image.tobytes()).hexdigest()[:32]


def open_picture(path: Path, expected: str) -> Image.Image:
    """A saved picture whose `digest` is `expected`. Raises MissingFile, or BadData where the file was changed."""
    try:
        image = read_picture(path.read_bytes()).rgb
    except FileNotFoundError as error:
        raise MissingFile(f"the picture {path} is gone; restore it or run again") from error
    except (BadPicture, OSError) as error:
        raise BadData(f"the picture {path} cannot be read ({error}); restore it or run again") from error
    if digest(image) != expected:
        raise BadData(
            f"the pixels of {path} are not those that were recorded; the file was changed, restore it or run again"
        )
    return image


__all__ = ["FILE", "Trace", "calls_again", "digest", "open_picture", "replay"]
