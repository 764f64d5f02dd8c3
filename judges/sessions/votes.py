"""Asking every question several times, all of them at once, from as many threads as the client allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from common.errors import BadInput
from judges.llm import RETRIES
from judges.question import Client, JudgeSampling, Question, Reply
from judges.sessions.mice_turn import Score


@dataclass(frozen=True)
class Votes:
    """`votes` replies to each question, each another draw. `retry`: a refusal that the cache holds does not settle a vote: it is
    asked anew, under repeat numbers of its own, so that a later start finds this reply too."""

    client: Client
    sampling: JudgeSampling
    votes: int = 4
    retry: bool = False

    def __post_init__(self) -> None:
        if self.votes < 1:
            raise BadInput(f"a judge needs at least 1 vote on every question, not {self.votes}")

    def ask(self, questions: Sequence[Question]) -> list[list[Reply]]:
        """The replies to each question. Raises BadInput for what concerns all questions alike, BudgetSpent."""
        asked = [(question, vote) for question in questions for vote in range(self.votes)]
        pool = ThreadPoolExecutor(max(1, min(self.client.concurrency, len(asked))))
        try:
            replies = list(pool.map(lambda one: self._reply(*one), asked))
        finally:
            pool.shutdown(cancel_futures=True)  # after an error nothing more is asked, and paid
        return [replies[i : i + self.votes] for i in range(0, len(replies), self.votes)]

    def _reply(self, question: Question, vote: int) -> Reply:
        reply = Reply(None, "nothing was asked")
        for repeat in self._numbers(vote):
            reply = self.client.ask(question, self.sampling, repeat)
            if not (self.retry and reply.text is None and reply.usage.cached):
                break
        return reply

    def _numbers(self, vote: int) -> Iterator[int]:
        yield vote
        if self.retry:
            yield from range(RETRIES * (vote + 1), RETRIES * (vote + 2))


def share_of(replies: Sequence[Reply], holds: Callable[[str], bool], cut_fails: bool = False) -> Score:
    """The share of the replies that hold, over those that are there; None where more than half are not. With `cut_fails` a reply
    that was cut off is one that does not hold."""
    votes = [
        holds(reply.text) if reply.text is not None else False if cut_fails and reply.cut else None for reply in replies
    ]
    answered = [vote for vote in votes if vote is not None]
    failed = [reply.reason for reply, vote in zip(replies, votes, strict=True) if vote is None]
    raw = {"votes": votes, "replies": [reply.text if reply.text is not None else reply.reason for reply in replies]}
    note = f"{len(failed)} of {len(replies)} votes failed, the last: {failed[-1]}" if failed else ""
    if 2 * len(failed) > len(replies):
        return Score(None, note, raw)
    return Score(sum(answered) / len(answered), note, raw)


__all__ = ["Votes", "share_of"]
