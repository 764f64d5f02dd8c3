"""The team: decomposer → sequencer → editing agent. Every sample it edits gives a trace (`agents/traces.py`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from agents.decomposer import Decomposer, DecomposeResult, clean_request
from agents.editing import EditingAgent, Seeds, seeds_of
from agents.sequencer import Sequenced, Sequencer
from agents.steps import Decomposed, Planned, Watch
from agents.traces import Trace, digest, replay
from benchmarks.base import EditSample
from common.errors import BadInput
from common.pictures import notes_of, to_rgb

Progress = Callable[[int, int], None]  # samples done, samples in all


@dataclass(frozen=True)
class Team:
    """Without a decomposer the raw request goes straight to the editor: the arm "editor alone". Whoever reads the raw request,
    decomposer, sequencer or editor, gets its first `max_request_chars` characters (None: the decomposer's limit, where there is
    one), so that no arm knows more of it than another."""

    decomposer: Decomposer | None
    sequencer: Sequencer
    editing: EditingAgent
    max_request_chars: int | None = None

    def run(
        self,
        samples: Sequence[EditSample],
        seed: Seeds = 0,
        batch_size: int = 16,
        progress: Progress | None = None,
        watch: Watch | None = None,
    ) -> Iterator[list[Trace]]:
        """Traces in the samples' order, batch by batch, each batch as soon as it is done. `watch` hears of every step
        (`agents/steps.py`), and changes nothing.

        The results of a sample depend on the sample and its seed alone, not on its batch (as far as the models keep that).
        `seed` is one for all samples, or one for each of them. Raises `BadInput` for a sample without a picture or with an empty
        request, before anything is run.
        """
        self._check(samples, batch_size)
        return self._batches(samples, None, seeds_of(seed, len(samples)), batch_size, progress, watch)

    def carry_out(
        self,
        samples: Sequence[EditSample],
        plans: Sequence[Sequence[str]],
        seed: Seeds = 0,
        batch_size: int = 16,
        progress: Progress | None = None,
        watch: Watch | None = None,
    ) -> Iterator[list[Trace]]:
        """As `run`, with the sub-requests `plans[i]` that a person gave or edited for sample i: no decomposer, no sequencer, and
        "given" as the traces' source. A closed loop makes one call for each of them.

        Raises `BadInput` besides for a plan that is empty or has an empty sub-request, before anything is run.
        """
        self._check(samples, batch_size)
        if len(plans) != len(samples):
            raise BadInput(f"{len(samples)} samples need as many plans, and {len(plans)} are given")
        given = [given_plan(plan, sample.id) for plan, sample in zip(plans, samples, strict=True)]
        return self._batches(samples, given, seeds_of(seed, len(samples)), batch_size, progress, watch)

    def plan(
        self, samples: Sequence[EditSample], watch: Watch | None = None
    ) -> list[tuple[DecomposeResult | None, Sequenced]]:
        """What `run` would carry out, without doing it: of each sample the decomposer's reply (None without one) and the plan.

        Raises `BadInput` for an empty request, and in a closed loop, which has no plan before its first call.
        """
        self._check(samples, 1)
        replies = self._decompose(samples, watch)
        return list(zip(replies, self._sequence(samples, replies, watch), strict=True))

    def _check(self, samples: Sequence[EditSample], batch_size: int) -> None:
        if batch_size < 1:
            raise BadInput(f"batch_size={batch_size} cannot be used; give 1 or more")
        for sample in samples:
            try:
                clean_request(sample.request, self.limit)
            except BadInput as error:
                raise BadInput(f"sample {sample.id!r}: {error}") from error

    @property
    def limit(self) -> int | None:
        """The number of characters of a request that are read."""
        if self.max_request_chars is None and self.decomposer is not None:
            return self.decomposer.max_request_chars
        return self.max_request_chars

    def _batches(
        self,
        samples: Sequence[EditSample],
        given: Sequence[Sequenced] | None,
        seeds: Sequence[int],
        batch_size: int,
        progress: Progress | None,
        watch: Watch | None,
    ) -> Iterator[list[Trace]]:
        for start in range(0, len(samples), batch_size):
            part = slice(start, start + batch_size)
            batch = samples[part]
            yield self._batch(batch, None if given is None else given[part], seeds[part], watch)
            if progress is not None:
                progress(start + len(batch), len(samples))

    def _batch(
        self,
        samples: Sequence[EditSample],
        given: Sequence[Sequenced] | None,
        seeds: Sequence[int],
        watch: Watch | None,
    ) -> list[Trace]:
        images = [picture_of(sample) for sample in samples]
        clock = [time.perf_counter()]
        replies = self._decompose(samples, watch) if given is None else [None] * len(samples)
        clock.append(time.perf_counter())
        plans = self._sequence(samples, replies, watch, given)
        clock.append(time.perf_counter())
        edited = self.editing.run([s.id for s in samples], images, [p.sub_requests for p in plans], seeds, watch)
        clock.append(time.perf_counter())
        spans = [(b - a) / len(samples) for a, b in zip(clock[:-1], clock[1:], strict=True)]
        traces = []
        for sample, image, reply, plan, result, seed in zip(
            samples, images, replies, plans, edited, seeds, strict=True
        ):
            pictures = (image, *result.pictures)
            cuts = clean_request(sample.request, self.limit)[1]
            traces.append(
                Trace(
                    sample_id=sample.id,
                    request=sample.request,
                    history=sample.history,
                    text=None if reply is None else reply.text,
                    decomposition=None if reply is None else reply.decomposition,
                    error=None if reply is None else reply.error,
                    source=plan.source,
                    notes=tuple(dict.fromkeys((*notes_of(image), *cuts, *plan.notes, *result.cuts))),
                    cut=len(cuts) + len(result.cuts),
                    sub_requests=plan.sub_requests,
                    execution=self.editing.execution,
                    seed=seed,
                    calls=result.calls,
                    digests=tuple(digest(p) for p in pictures),
                    failure=result.failure,
                    pictures=pictures,
                    timings=dict(zip(("decompose", "sequence", "edit"), spans, strict=True)),
                )
            )
        return traces

    def _decompose(
        self, samples: Sequence[EditSample], watch: Watch | None
    ) -> Sequence[DecomposeResult] | Sequence[None]:
        if self.decomposer is None:
            return [None] * len(samples)
        replies = self.decomposer.decompose(samples)
        if watch is not None:
            for sample, reply in zip(samples, replies, strict=True):
                watch(Decomposed(sample.id, reply.text, reply.decomposition, reply.error))
        return replies

    def _sequence(
        self,
        samples: Sequence[EditSample],
        replies: Sequence[DecomposeResult] | Sequence[None],
        watch: Watch | None,
        given: Sequence[Sequenced] | None = None,
    ) -> list[Sequenced]:
        plans = self._plans(samples, replies) if given is None else list(given)
        if watch is not None:
            for sample, plan in zip(samples, plans, strict=True):
                watch(Planned(sample.id, plan.sub_requests, plan.source, plan.notes))
        return plans

    def _plans(
        self, samples: Sequence[EditSample], replies: Sequence[DecomposeResult] | Sequence[None]
    ) -> list[Sequenced]:
        if self.decomposer is None:
            return [Sequenced((clean_request(s.request, self.limit)[0],), "request") for s in samples]
        decompositions = [None if reply is None else reply.decomposition for reply in replies]
        samples = [replace(s, request=clean_request(s.request, self.limit)[0]) for s in samples]
        return self.sequencer.sequence(samples, decompositions, self.editing.execution)


def given_plan(sub_requests: Sequence[str], name: str = "given") -> Sequenced:
    """A person's own plan, its texts made safe for a prompt. Raises BadInput where it is empty or one of them is."""
    texts: list[str] = []
    notes: list[str] = []
    if not sub_requests:
        raise BadInput(f"the plan of {name!r} has no sub-request; give at least one")
    for number, sub_request in enumerate(sub_requests, 1):
        try:
            text, said = clean_request(sub_request, None)
        except BadInput:
            raise BadInput(f"sub-request {number} of the plan of {name!r} is empty; write it or leave it out") from None
        texts.append(text)
        notes += said
    return Sequenced(tuple(texts), "given", tuple(notes))


def picture_of(sample: EditSample) -> Image.Image:
    """The picture to edit, RGB. Raises BadInput where there is none."""
    image = sample.image
    if image is None:
        raise BadInput(f"sample {sample.id!r} has no picture to edit; text-only benchmarks score decompositions alone")
    return to_rgb(image)  # a plain one is the same object: branches of a session share pictures


__all__ = ["Progress", "Team", "Trace", "given_plan", "picture_of", "replay"]
