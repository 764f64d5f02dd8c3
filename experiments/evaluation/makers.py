"""How an arm makes its pictures: the team or the editor alone, the editor with several seeds, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from benchmarks.item import Item
from common.errors import BadInput, MissingFile
from common.filenames import folder_name
from common.pictures import load_image, notes_of, to_rgb
from experiments.evaluation.layout import Key, picture_name

if TYPE_CHECKING:
    from agents.team import Team
    from agents.traces import Trace
    from editors.base import Editor

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")
Within = Callable[[int, int], None]  # pictures done so far and in all, of the items that are edited together


@dataclass(frozen=True)
class Made:
    """What an arm made of one item: a picture, or why there is none, and the fields of its row."""

    picture: Image.Image | None
    failure: str = ""
    row: dict[str, Any] = field(default_factory=dict)


class Maker(Protocol):
    """An arm. Items have their picture set, or it can be opened; `variants` has the number of the variant of each item, 0 for
    arms that make one picture. Returns one result for each item, in order."""

    def __call__(self, items: Sequence[Item], variants: Sequence[int], within: Within) -> list[Made]: ...


@dataclass(frozen=True)
class TeamMaker:
    """The team, or the editor alone. The seed of a call depends on (seed, item's id, number of the call) alone."""

    team: Team
    seed: int
    keep: Callable[[Item, Trace], None] | None = None  # is shown the trace of every item

    def __call__(self, items: Sequence[Item], variants: Sequence[int], within: Within) -> list[Made]:
        editing = replace(self.team.editing, editor=watched(self.team.editing.editor, within))
        traces = next(iter(replace(self.team, editing=editing).run(items, self.seed, len(items))))
        if self.keep is not None:
            for item, trace in zip(items, traces, strict=True):
                self.keep(item, trace)
        return [Made(None if t.failure else t.result, t.failure, trace_row(t)) for t in traces]


def trace_row(trace: Trace) -> dict[str, Any]:
    return {
        "text": trace.text,
        "error": trace.error,
        "source": trace.source,
        "notes": list(trace.notes),
        "cut": trace.cut,
        "sub_requests": list(trace.sub_requests),
        "calls": [call.instruction for call in trace.calls],
        "seconds": round(sum(trace.timings.values()), 4),
    }


@dataclass(frozen=True)
class VariantMaker:
    """The raw request to the editor alone, with the seed of the variant's number: variant 0 has the seed of the arm `editor`."""

    editor: Editor
    seed: int
    max_request_chars: int

    def __call__(self, items: Sequence[Item], variants: Sequence[int], within: Within) -> list[Made]:
        from agents.decomposer import clean_request
        from agents.editing import Call, call_seed, execute, unread

        pictures = [item.image for item in items]
        assert all(p is not None for p in pictures)  # the arms before have edited them
        texts = [clean_request(item.request, self.max_request_chars) for item in items]
        calls = [
            (Call(text, call_seed(self.seed, item.id, j)),)
            for item, j, (text, _) in zip(items, variants, texts, strict=True)
        ]
        cuts = [(*notes, *cut) for (_, notes), cut in zip(texts, unread(self.editor, calls), strict=True)]
        results = execute(watched(self.editor, within), [to_rgb(p) for p in pictures if p is not None], calls)
        return [
            Made(
                r.pictures[-1] if r.pictures and not r.failure else None,
                r.failure,
                {"calls": [c.instruction for c in r.calls], "notes": list(cut), "cut": len(cut)},
            )
            for r, cut in zip(results, cuts, strict=True)
        ]


@dataclass(frozen=True)
class FolderMaker:
    """Pictures made elsewhere: `<folder>/<id>.png` (as `folder_name` writes an id), or `<unit>-<turn>.png` as this
    project's own evaluations name them; .jpg and .webp too. A picture that is not there, or cannot be read, is an edit that
    failed."""

    folder: Path
    keys: dict[str, Key]  # of each item's id

    def names(self, id_: str) -> list[str]:
        stems = dict.fromkeys([folder_name(id_), picture_name(self.keys[id_]).removesuffix(".png")])
        return [stem + ending for stem in stems for ending in ENDINGS]

    def find(self, id_: str) -> Path | None:
        return next((p for n in self.names(id_) if (p := self.folder / n).is_file()), None)

    def check(self) -> None:
        """Raises MissingFile where the folder has no picture of any item: it is then the wrong one, or named otherwise."""
        if not any(self.find(id_) for id_ in self.keys):
            first = next(iter(self.keys))
            raise MissingFile(
                f"pictures={self.folder} has no picture of this benchmark: the first item's would be one of "
                f"{', '.join(self.names(first))}"
            )

    def __call__(self, items: Sequence[Item], variants: Sequence[int], within: Within) -> list[Made]:
        made = []
        for item in items:
            path = self.find(item.id)
            if path is None:
                made.append(Made(None, f"there is no picture of it in {self.folder}"))
            else:
                made.append(from_file(path))
        return made


def from_file(path: Path) -> Made:
    """A picture of somebody else's; one that cannot be read is an edit that failed, and says which file it is."""
    try:
        picture = load_image(path)
    except BadInput as error:
        return Made(None, str(error), {"file": path.name})
    notes = {"notes": list(notes_of(picture))} if notes_of(picture) else {}
    return Made(picture, row={"file": path.name, **notes})


def watched(editor: Editor, within: Within) -> Editor:
    """The editor, which now reports how many pictures of a batch are done, where it can."""
    from editors.flow_editor import FlowEditor

    return replace(editor, on_progress=within) if isinstance(editor, FlowEditor) else editor


__all__ = ["FolderMaker", "Made", "Maker", "TeamMaker", "VariantMaker", "Within", "watched"]
