"""Many requests labelled by a model: from many threads, each answer kept as soon as it is there, within a budget."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.base import Edit
from benchmarks.labels import Candidate
from common.errors import BadData, RunFailed
from common.jsonl import Journal, read_jsonl
from common.progress import bar, say
from judges.chat import CHARS_PER_TOKEN, PICTURE_TOKENS
from judges.labelling import Label, label, prompt_version, question
from judges.question import BudgetSpent, Client, Sampling, Usage
from judges.spending import Prices

JOURNAL = "work/labels.journal"  # within the set's folder
REPLY_TOKENS = 60  # guess for one label, until replies have been counted
BAD_PICTURE = "its picture cannot be read"
AHEAD = 2  # tasks handed to the pool per thread; bounds what is held in memory


@dataclass(frozen=True)
class Task:
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

    def said(self) -> str:
        if not self.requests:
            return "labels: all there already, no request to a model"
        money = f"about ${self.dollars:.2f}" if self.priced else "no prices given (judge.price_in, judge.price_out)"
        return (
            f"labels: {self.requests} requests, about {self.input_tokens} tokens in and {self.output_tokens} out, {money}; "
            "replies that the cache holds are free"
        )


def tasks_of(
    candidates: Iterable[Candidate], model: str, sampling: Sampling, picture: Callable[[Candidate], Path | None]
) -> dict[str, Task]:
    """Candidate's id -> its question. Equal questions share a key, and are asked once."""
    from benchmarks.pictures import PictureFile, read

    made: dict[str, Task] = {}
    for c in candidates:
        path, opens = picture(c), None
        digest = hashlib.sha256(repr((model, sampling, prompt_version(), c.request)).encode("utf-8", "surrogatepass"))
        if path is not None:
            digest.update(hashlib.sha256(read(path, c.id)).digest())
            opens = PictureFile(path, c.id)
        made[c.id] = Task(digest.hexdigest()[:32], c.request, opens)
    return made


class Labels:
    """The labels of a folder: a journal that a kill leaves whole but for its last line."""

    def __init__(self, folder: Path, sampling: Sampling, write: bool = True) -> None:
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

    def estimate(self, tasks: Sequence[Task], prices: Prices, pictures: bool) -> Estimate:
        """Of the tasks that have no label yet."""
        missing = list({t.key: t for t in tasks if t.key not in self.rows}.values())
        told = [r["usage"] for r in self.rows.values() if r["usage"]["output_tokens"]]
        each = sum(u["output_tokens"] / max(1, u["calls"]) for u in told) / len(told) if told else REPLY_TOKENS
        chars = sum(len(part) for t in missing for part in question(t.request).parts if isinstance(part, str))
        given = chars // CHARS_PER_TOKEN + PICTURE_TOKENS * len(missing) * pictures
        out = round(each * len(missing))
        return Estimate(len(missing), given, out, prices.dollars(given, out), prices != Prices())

    def fill(self, tasks: Sequence[Task], client: Client, max_unanswered: float) -> dict[str, Label]:
        """Ask for what is missing; returns what was not answered and so is not kept, by key.

        Raises RunFailed where the budget is spent, or where more than `max_unanswered` of the tasks got no reply (a
        service that is down is no property of the requests); BadInput as the client does. Whatever was answered until
        then is kept, and the same command goes on from there.
        """
        missing = list({t.key: t for t in tasks if t.key not in self.rows}.values())
        unanswered: dict[str, Label] = {}
        failure: BaseException | None = None
        total = len({t.key for t in tasks})
        with bar("labels", total, total - len(missing)) as progress:
            done, queue = total - len(missing), iter(missing)
            pool = ThreadPoolExecutor(max(1, client.concurrency), "label")
            try:
                running: dict[Future[Label], Task] = {}
                while True:
                    while failure is None and len(running) < AHEAD * max(1, client.concurrency):
                        task = next(queue, None)
                        if task is None:
                            break
                        running[pool.submit(self._ask, client, task)] = task
                    if not running:
                        break
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        task = running.pop(future)
                        try:
                            found = future.result()
                        except Exception as error:  # the first one counts; what is under way is paid for and kept
                            failure = failure or error
                            continue
                        if found.final:
                            self._keep(task.key, found)
                        else:
                            unanswered[task.key] = found
                        done += 1
                        progress.update(done, f"${client.usage.dollars:.2f}")
            finally:
                pool.shutdown(wait=failure is not None, cancel_futures=True)
        if isinstance(failure, BudgetSpent):
            raise RunFailed(
                f"stopped at {done} of {total} labels: {failure}. No set was written yet; with a larger budget the same "
                "command goes on from here"
            ) from failure
        if failure is not None:
            raise failure
        if len(unanswered) > max_unanswered * total:
            some = next(iter(unanswered.values()))
            raise RunFailed(
                f"the model gave no reply to {len(unanswered)} of {total} requests (e.g. {some.detail}), more than "
                f"judge.max_invalid_share={max_unanswered:g} allows. The other labels are kept: the same command asks for "
                "these again"
            )
        if unanswered:
            say(f"  {len(unanswered)} requests got no reply and are left out; the same command asks for them again")
        return unanswered

    def _ask(self, client: Client, task: Task) -> Label:
        try:
            picture = None if task.picture is None else task.picture()
        except BadData as error:  # one damaged file is no reason to stop
            return Label(None, BAD_PICTURE, str(error))
        return label(client, task.request, picture, self.sampling)

    def _keep(self, key: str, found: Label) -> None:
        edits = None if found.edits is None else [[e.action, e.subject, e.goal] for e in found.edits]
        row = {"key": key, "edits": edits, "reason": found.reason, "detail": found.detail, "usage": vars(found.usage)}
        self.journal.append([row])
        self.rows[key] = row


__all__ = ["JOURNAL", "Estimate", "Labels", "Task", "tasks_of"]
