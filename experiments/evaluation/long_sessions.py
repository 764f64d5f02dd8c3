"""Sessions of many turns: what becomes of the parts of a picture that no turn touches, and of a picture that is to stay as it is.

Suffixes: N sessions, K turns or passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy import ndimage

from agents.anchoring import AnchoredEditor
from agents.editing import call_seed
from benchmarks.base import Edit, explicit_instruction
from benchmarks.sandbox.edits import work_through
from benchmarks.sandbox.generate import SandboxSample, make_session
from benchmarks.sandbox.scene import CELL_NAMES
from common.cells import Cell
from common.progress import bar
from common.statistics import mean
from editors.base import Editor
from judges.metrics.pictures import tensor
from judges.metrics.pixels import psnr
from judges.pixels import grow
from judges.sessions.unchanged import untouched

SPLIT, SEED, CATEGORY = "test", 7, "cu"  # sessions without a lasting rule, which a plain instruction does not say
WAYS = ("plain", "anchored")  # each turn on the previous result; on it re-anchored
MEASURES = ("psnr", "sharpness", "exact")
EDGE, FEWEST = (
    24.0,
    40,
)  # a source's pixels with so much detail, and how many of them there must be to measure sharpness
BORDER = 2  # pixels around what turns are to change that are not looked at

ByTurn = list[dict[str, Cell]]  # K turns, each by MEASURES


@dataclass(frozen=True)
class LongSession:
    """K plain instructions on one picture; `region` bool[S, S]: what none of them is to change. `same`: an instruction whose exact
    answer is the picture as it is."""

    id: str
    source: Image.Image
    instructions: tuple[str, ...]
    region: np.ndarray
    same: str


def long_sessions(count: int, turns: int) -> list[LongSession]:
    """The first sessions of the test split in which nothing but the picture's own history matters; pictures of 64 pixels."""
    found: list[LongSession] = []
    index = 0
    while len(found) < count:
        session = make_session(SPLIT, SEED, index, turns)
        index += 1
        samples = [turn for turn in session.turns if isinstance(turn, SandboxSample)]
        if samples[0].kind == CATEGORY:
            found.append(_long_session(session.id, samples))
    return found


def _long_session(id: str, samples: Sequence[SandboxSample]) -> LongSession:
    edits = [_placed(sample) for sample in samples]
    first = samples[0]
    changed = untouched(np.asarray(first.image), first.before, edits, None).changed_K[-1]
    for _ in range(BORDER):
        changed = grow(changed)
    thing = first.before.things[0]
    same = explicit_instruction(Edit("recolor", thing.name, thing.colour))
    return LongSession(id, first.image, tuple(map(explicit_instruction, edits)), ~changed, same)


def _placed(sample: SandboxSample) -> Edit:
    """The turn's edit with the default place where it leaves one open, so that all editors are asked for the same region."""
    (edit,) = sample.gold
    if edit.action != "add" or edit.goal is not None:
        return edit
    return replace(edit, goal=CELL_NAMES[work_through(sample.before, [edit]).choices[0][0]])


def play(editor: Editor, sessions: Sequence[LongSession], name: str) -> dict[str, list[list[Image.Image]]]:
    """By WAYS: the N pictures after each of the K turns. Both ways have the same seeds."""
    now = {way: [s.source for s in sessions] for way in WAYS}
    shown: dict[str, list[list[Image.Image]]] = {way: [] for way in WAYS}
    turns = len(sessions[0].instructions)
    with bar(name, turns) as progress:
        for k in range(turns):
            said, seeds = [s.instructions[k] for s in sessions], [call_seed(0, s.id, k) for s in sessions]
            for way, one in zip(WAYS, (editor, AnchoredEditor(editor)), strict=True):
                now[way] = one.edit(now[way], said, seeds)
                shown[way].append(now[way])
            progress.update(k + 1)
    return shown


def decay(sessions: Sequence[LongSession], pictures_KN: Sequence[Sequence[Image.Image]]) -> ByTurn:
    """Against the source, over the pixels that no turn touches, as means over sessions: PSNR in dB (at most 100, for equal
    pictures), sharpness at the source's edges (1: all there, 0: all blurred away or painted over), left out where the source has
    hardly any, and the share of pixels that are exactly the source's."""
    rows_KN = [[_against(s, picture) for s, picture in zip(sessions, row, strict=True)] for row in pictures_KN]
    return [{name: mean([row[name] for row in rows]) for name in MEASURES} for rows in rows_KN]


def _against(session: LongSession, picture: Image.Image) -> dict[str, float | None]:
    import torch

    region = session.region
    source, shown = np.asarray(session.source), np.asarray(picture.convert("RGB"))
    edges = region & (_detail(source) > EDGE)
    return {
        "psnr": psnr(tensor(picture), tensor(session.source), torch.from_numpy(region)),
        "sharpness": float(_detail(shown)[edges].mean() / _detail(source)[edges].mean())
        if edges.sum() >= FEWEST
        else None,
        "exact": float((source == shown).all(-1)[region].mean()),
    }


def _detail(picture: np.ndarray) -> np.ndarray:
    """float[S, S]: the Laplacian's absolute value in grey, which edges have and blur has not."""
    grey = picture.astype(np.float64) @ (0.299, 0.587, 0.114)
    return np.asarray(np.abs(ndimage.laplace(grey, mode="nearest")))


def identity(editor: Editor, sessions: Sequence[LongSession], passes: int) -> list[Cell]:
    """The same request for nothing, `passes` times on its own result: for each pass the mean change of a pixel in steps of 255."""
    now, changes = [s.source for s in sessions], []
    for k in range(passes):
        made = editor.edit(now, [s.same for s in sessions], [call_seed(1, s.id, k) for s in sessions])
        changes.append(mean([_change(a, b) for a, b in zip(now, made, strict=True)]))
        now = made
    return changes


def _change(before: Image.Image, after: Image.Image) -> float:
    a, b = (np.asarray(picture.convert("RGB"), dtype=np.float64) for picture in (before, after))
    return float(np.abs(a - b).mean())


__all__ = ["MEASURES", "WAYS", "ByTurn", "LongSession", "decay", "identity", "long_sessions", "play"]
