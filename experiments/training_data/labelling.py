"""Many requests labelled by a model: from many threads, each answer kept as soon as it is there, within a budget."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.base import Edit
from benchmarks.labels import TrainingRequest
from benchmarks.pictures import PictureFile, read
from common.errors import BadData, RunFailed
from common.jsonl import Journal, read_jsonl
from common.progress import bar, say
from common.work import run_tasks
from judges.chat import CHARS_PER_TOKEN, PICTURE_TOKENS
from judges.invalid import too_many_invalid
from judges.labelling import Label, label, prompt_version, question
from judges.question import BudgetSpent, Client, JudgeSampling, Usage
from judges.spending import Prices

JOURNAL = "work/labels.journal"  # within the set's folder
REPLY_TOKENS = 60  # guess for one label, until replies have been counted
BAD_PICTURE = "its picture cannot be read"


@dataclass(frozen=True)
class LabelTask:
    """One distinct question. `key` names everything that determines its label."""

    key: str
    request: str
    picture: Callable[[], Image.Image] | None = None


@dataclass(frozen=True)
class Estimate:
    """What is still to be paid. Tokens are guessed: four characters each, a fixed number for a picture, and the mean of
    the replies so far (or a guess) for a reply. Requests whose reply the cache holds cost nothing, but are counted."""

    requests: int
    input_tokens: int
    output_tokens: int
    dollars: float
    priced: bool

    def text(self) -> str:
        if not self.requests:
            return "labels: all there already, no request to a model"
        money = f"about ${self.dollars:.2f}" if self.priced else "no prices given (judge.price_in, judge.price_out)"
        return (
            f"labels: {self.requests} requests, about {self.input_tokens} tokens in and {self.output_tokens} out, {money}; "
            "replies that the cache holds are free"
        )


def tasks_of(
    candidates: Iterable[TrainingRequest],
    model: str,
    sampling: JudgeSampling,
    picture: Callable[[TrainingRequest], Path | None],
) -> dict[str, LabelTask]:
    """Candidate's id -> its question. Equal questions share a key, and are asked once."""
    tasks: dict[str, LabelTask] = {}
    for c in candidates:
        path, opens = picture(c), None
        digest = hashlib.sha256(repr((model, sampling, prompt_version(), c.request)).encode("utf-8", "surrogatepass"))
        if path is not None:
            digest.update(hashlib.sha256(read(path, c.id)).digest())
            opens = PictureFile(path, c.id)
        tasks[c.id] = LabelTask(digest.hexdigest()[:32], c.request, opens)
    return tasks


class Labels:
    """The labels of a folder: a journal that a kill leaves whole but for its last line."""

    def __init__(self, folder: Path, sampling: JudgeSampling, write: bool = True) -> None:
        self.journal, self.sampling = Journal(folder / JOURNAL), sampling
        if write:
            self.journal.cut_after(0)  # a line that a kill tore; labels carry no step and stay
        self.rows: dict[str, Mapping[str, Any]] = {}
        if self.journal.path.is_file():
            self.rows = {row["key"]: row for row in read_jsonl(self.journal.path)}

    def get(self, key: str) -> Label | None:
        row = self.rows.get(key)
        if row is None:
            return None
        edits = row["edits"]
        return Label(None if edits is None else tuple(Edit(*e) for e in edits), row["reason"], row["detail"])

    def usage(self) -> Usage:
        """Of all labels of this folder, whichever process paid for them."""
        return sum((Usage(**row["usage"]) for row in self.rows.values()), Usage())

    def estimate(self, tasks: Sequence[LabelTask], prices: Prices, pictures: bool) -> Estimate:
        """Of the tasks that have no label yet."""
        missing = list({t.key: t for t in tasks if t.key not in self.rows}.values())
        usages = [r["usage"] for r in self.rows.values() if r["usage"]["output_tokens"]]
        each = sum(u["output_tokens"] / max(1, u["calls"]) for u in usages) / len(usages) if usages else REPLY_TOKENS
        chars = sum(len(part) for t in missing for part in question(t.request).parts if isinstance(part, str))
        tokens_in = chars // CHARS_PER_TOKEN + PICTURE_TOKENS * len(missing) * pictures
        tokens_out = round(each * len(missing))
        dollars = prices.dollars(tokens_in, tokens_out)
        return Estimate(len(missing), tokens_in, tokens_out, dollars, prices != Prices())

    def fill(self, tasks: Sequence[LabelTask], client: Client, max_unanswered: float) -> dict[str, Label]:
        """Ask for what is missing; returns what was not answered and so is not kept, by key.

        Raises RunFailed where the budget is spent, or where more than `max_unanswered` of the tasks got no reply (a
        service that is down is no property of the requests); BadInput as the client does. Whatever was answered until
        then is kept, and the same command goes on from there.
        """
        missing = list({t.key: t for t in tasks if t.key not in self.rows}.values())
        unanswered: dict[str, Label] = {}
        total = len({t.key for t in tasks})
        done = total - len(missing)

        def keep(results: Sequence[tuple[LabelTask, Label]]) -> None:
            nonlocal done
            done += len(results)
            self._keep([(task.key, answer) for task, answer in results if answer.final])
            unanswered.update({task.key: answer for task, answer in results if not answer.final})
            progress.update(done, f"${client.usage.dollars:.2f}")

        with bar("labels", total, done) as progress:
            stopped = run_tasks(
                missing,
                lambda task: self._ask(client, task),
                keep,
                threads=client.concurrency,
                mild=BudgetSpent,
                noun="labels",
            )
        if stopped is not None:
            raise RunFailed(
                f"stopped at {done} of {total} labels: {stopped}. No set was written yet; with a larger budget the same "
                "command goes on from here"
            ) from stopped
        if too_many_invalid(len(unanswered), total, max_unanswered):
            example = next(iter(unanswered.values()))
            raise RunFailed(
                f"the model gave no reply to {len(unanswered)} of {total} requests (e.g. {example.detail}), more than "
                f"judge.max_invalid_share={max_unanswered:g} allows. The other labels are kept: the same command asks for "
                "these again"
            )
        if unanswered:
            say(f"  {len(unanswered)} requests got no reply and are left out; the same command asks for them again")
        return unanswered

    def _ask(self, client: Client, task: LabelTask) -> Label:
        try:
            picture = None if task.picture is None else task.picture()
        except BadData as error:  # one damaged file is no reason to stop
            return Label(None, BAD_PICTURE, str(error))
        return label(client, task.request, picture, self.sampling)

    def _keep(self, answers: Sequence[tuple[str, Label]]) -> None:
        rows = [_row(key, answer) for key, answer in answers]
        self.journal.append(rows)
        self.rows.update({row["key"]: row for row in rows})


def _row(key: str, answer: Label) -> dict[str, Any]:
    edits = None if answer.edits is None else [[e.action, e.subject, e.goal] for e in answer.edits]
    return {"key": key, "edits": edits, "reason": answer.reason, "detail": answer.detail, "usage": vars(answer.usage)}


__all__ = ["JOURNAL", "Estimate", "Labels", "LabelTask", "tasks_of"]
