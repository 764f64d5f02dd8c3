"""The team: decomposer → sequencer → editing agent. Every sample it edits gives a trace (`agents/traces.py`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from agents.decomposer import Decomposer, DecomposeResult, clean_request
from agents.editing import EditingAgent
from agents.sequencer import Sequenced, Sequencer
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
        self, samples: Sequence[EditSample], seed: int = 0, batch_size: int = 16, progress: Progress | None = None
    ) -> Iterator[list[Trace]]:
        """Traces in the samples' order, batch by batch, each batch as soon as it is done.

        The results of a sample depend on the sample and `seed` alone, not on its batch (as far as the models keep
        that). Raises `BadInput` for a sample without a picture or with an empty request, before anything is run.
        """
        if batch_size < 1:
            raise BadInput(f"batch_size={batch_size} cannot be used; give 1 or more")
        for sample in samples:
            try:
                clean_request(sample.request, self.limit)
            except BadInput as error:
                raise BadInput(f"sample {sample.id!r}: {error}") from error
        return self._batches(samples, seed, batch_size, progress)

    @property
    def limit(self) -> int | None:
        """The number of characters of a request that are read."""
        if self.max_request_chars is None and self.decomposer is not None:
            return self.decomposer.max_request_chars
        return self.max_request_chars

    def _batches(
        self, samples: Sequence[EditSample], seed: int, batch_size: int, progress: Progress | None
    ) -> Iterator[list[Trace]]:
        for start in range(0, len(samples), batch_size):
            batch = samples[start : start + batch_size]
            yield self._batch(batch, seed)
            if progress is not None:
                progress(start + len(batch), len(samples))

    def _batch(self, samples: Sequence[EditSample], seed: int) -> list[Trace]:
        images = [picture_of(sample) for sample in samples]
        clock = [time.perf_counter()]
        replies = self._decompose(samples)
        clock.append(time.perf_counter())
        plans = self._sequence(samples, replies)
        clock.append(time.perf_counter())
        edited = self.editing.run([s.id for s in samples], images, [p.sub_requests for p in plans], seed)
        clock.append(time.perf_counter())
        spans = [(b - a) / len(samples) for a, b in zip(clock[:-1], clock[1:], strict=True)]
        traces = []
        for sample, image, reply, plan, result in zip(samples, images, replies, plans, edited, strict=True):
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

    def _decompose(self, samples: Sequence[EditSample]) -> list[DecomposeResult] | list[None]:
        return [None] * len(samples) if self.decomposer is None else self.decomposer.decompose(samples)

    def _sequence(
        self, samples: Sequence[EditSample], replies: Sequence[DecomposeResult] | Sequence[None]
    ) -> list[Sequenced]:
        if self.decomposer is None:
            return [Sequenced((clean_request(s.request, self.limit)[0],), "request") for s in samples]
        decompositions = [None if reply is None else reply.decomposition for reply in replies]
        samples = [replace(s, request=clean_request(s.request, self.limit)[0]) for s in samples]
        return self.sequencer.sequence(samples, decompositions, self.editing.execution)


def picture_of(sample: EditSample) -> Image.Image:
    """The picture to edit, RGB. Raises BadInput where there is none."""
    image = sample.image
    if image is None:
        raise BadInput(f"sample {sample.id!r} has no picture to edit; text-only benchmarks score decompositions alone")
    return to_rgb(image)  # a plain one is the same object: branches of a session share pictures


__all__ = ["Progress", "Team", "Trace", "picture_of", "replay"]
