"""The editing agent: carries out sub-requests with an editor, all in one instruction or one call each.

Between the calls of multi execution the picture stays in memory as it is: no file, no compression, no rounding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from PIL import Image

from agents.sequencer import EXECUTIONS
from agents.steps import Called, Watch
from common.errors import BadInput, RunFailed
from editors.base import ChainEditor, Editor, LimitedEditor
from editors.outcomes import EditsFailed

Seeds = int | Sequence[int]  # one for all samples, or one for each of them
REFUSED = "refused by the content filter"  # stands in the failure of a call that a service's filter refused


@dataclass(frozen=True)
class Call:
    """One call of the editor."""

    instruction: str
    seed: int


class Ended(Protocol):
    """Hears of call k of sample b: the picture it gave, or None and why it failed."""

    def __call__(self, b: int, k: int, picture: Image.Image | None, failure: str = "", /) -> None: ...


@dataclass(frozen=True)
class EditResult:
    """The calls planned for one sample and the picture after each of them; the last one is the result. Where a service
    refused a call or failed for good, `failure` says so and there are only the pictures before it."""

    calls: tuple[Call, ...]
    pictures: tuple[Image.Image, ...]
    failure: str = ""
    cuts: tuple[str, ...] = ()  # a sentence for each call whose instruction the editor did not read to its end


@dataclass(frozen=True)
class EditingAgent:
    """`execution`: "single" (all sub-requests in one instruction) or "multi" (one call each)."""

    editor: Editor
    execution: str = "single"

    def __post_init__(self) -> None:
        if self.execution not in EXECUTIONS:
            raise BadInput(f"unknown execution {self.execution!r}; choose single, multi or loop")

    def instructions(self, sub_requests: Sequence[str]) -> tuple[str, ...]:
        """The editor's instruction for each call."""
        if not sub_requests:
            raise BadInput("there is nothing to do: the plan has no sub-request")
        return ("; ".join(sub_requests),) if self.execution == "single" else tuple(sub_requests)

    def run(
        self,
        ids: Sequence[str],
        images: Sequence[Image.Image],
        plans: Sequence[Sequence[str]],
        seed: Seeds = 0,
        watch: Watch | None = None,
    ) -> list[EditResult]:
        """Edit every image by its plan; samples share a batch in each round. A call's seed depends on (the sample's seed, id,
        round)."""
        calls = [
            tuple(Call(text, call_seed(own, id_, k)) for k, text in enumerate(self.instructions(plan)))
            for id_, plan, own in zip(ids, plans, seeds_of(seed, len(ids)), strict=True)
        ]
        cuts = unread(self.editor, calls)
        results = execute(self.editor, images, calls, None if watch is None else telling(watch, ids, calls))
        return [replace(result, cuts=cut) for result, cut in zip(results, cuts, strict=True)]


def telling(watch: Watch, ids: Sequence[str], calls: Sequence[Sequence[Call]]) -> Ended:
    """What makes a `Called` of every call."""

    def ended(b: int, k: int, picture: Image.Image | None, failure: str = "") -> None:
        watch(Called(ids[b], k + 1, len(calls[b]), calls[b][k].instruction, picture, failure))

    return ended


def unread(editor: Editor, calls: Sequence[Sequence[Call]]) -> list[tuple[str, ...]]:
    """For each sample a sentence for every call whose instruction the editor does not read to its end."""
    if not isinstance(editor, LimitedEditor):
        return [()] * len(calls)
    said = iter(editor.unread([call.instruction for c in calls for call in c]))
    return [tuple(f"call {k}: {text}" for k in range(1, len(c) + 1) if (text := next(said))) for c in calls]


def execute(
    editor: Editor, images: Sequence[Image.Image], calls: Sequence[Sequence[Call]], ended: Ended | None = None
) -> list[EditResult]:
    """Do `calls[b]` one after the other on `images[b]`; round k is one batch of all samples that have a k-th call. A sample
    whose call failed (EditsFailed) stops there; the others go on. An editor that can keep its working size between calls
    does so. `ended(b, k, picture or None, failure)` is called after every call."""
    if isinstance(editor, ChainEditor) and max(map(len, calls), default=0) > 1:
        more = {} if ended is None else {"on_call": ended}
        chains = editor.edit_chain(
            images,
            [[call.instruction for call in c] for c in calls],
            [[call.seed for call in c] for c in calls],
            **more,
        )
        return [EditResult(tuple(c), tuple(chain)) for c, chain in zip(calls, chains, strict=True)]
    pictures: list[list[Image.Image]] = [[image] for image in images]
    failures = [""] * len(images)
    for k in range(max((len(c) for c in calls), default=0)):
        rows = [b for b, c in enumerate(calls) if k < len(c) and not failures[b]]
        if not rows:
            break
        results, reasons = _attempt(editor, [(pictures[b][-1], calls[b][k]) for b in rows])
        if len(results) != len(rows):
            raise RunFailed(f"the editor got {len(rows)} pictures and gave back {len(results)}; it must give one each")
        for b, result, reason in zip(rows, results, reasons, strict=True):
            if result is None:
                failures[b] = f"call {k + 1}: {reason}"
            else:
                pictures[b].append(result)
            if ended is not None:
                ended(b, k, result, reason)
    return [EditResult(tuple(c), tuple(p[1:]), f) for c, p, f in zip(calls, pictures, failures, strict=True)]


def _attempt(
    editor: Editor, work: Sequence[tuple[Image.Image, Call]]
) -> tuple[Sequence[Image.Image | None], Sequence[str]]:
    """One picture or None for each piece of work, and the reason where there is none."""
    try:
        done = editor.edit([p for p, _ in work], [c.instruction for _, c in work], [c.seed for _, c in work])
    except EditsFailed as error:
        return [o.image for o in error.outcomes], [
            f"{REFUSED if o.refused else 'no picture'}: {o.reason}" for o in error.outcomes
        ]
    return done, [""] * len(done)


def seeds_of(seed: Seeds, n: int) -> list[int]:
    """The seed of each of `n` samples. Raises BadInput where another number of them is given."""
    if isinstance(seed, int):
        return [seed] * n
    if len(seed) != n:
        raise BadInput(f"{n} samples need one seed, or one each, and {len(seed)} are given")
    return list(seed)


def call_seed(seed: int, sample_id: str, k: int) -> int:
    """A seed in [0, 2^31) for the k-th call of a sample: the same in any batch, process and Python version."""
    digest = hashlib.sha256(f"{seed}\0{sample_id}\0{k}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF


__all__ = ["REFUSED", "Call", "EditResult", "EditingAgent", "Seeds", "call_seed", "execute", "seeds_of", "telling"]
