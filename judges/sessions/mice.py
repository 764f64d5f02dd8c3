"""MICE-Bench's judge of sessions (Edit-R2, arXiv 2606.05950): IF by boxes and questions, CC by features, GA by a model's verdict on
the session so far. Each score's rules, and what differs from the published scorer, stand at the top of its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from common.errors import BadInput
from judges.base import Verdict
from judges.prompt import Prompt, load_prompt
from judges.question import Question, Reply, Usage
from judges.sessions import mice_awareness as awareness
from judges.sessions import mice_consistency as consistency
from judges.sessions import mice_following as following
from judges.sessions.base import CC, GA, IF, PlayedSession
from judges.sessions.detector import Detector, Look
from judges.sessions.features import PatchFeatures
from judges.sessions.kept import Kept
from judges.sessions.mice_boxes import Found
from judges.sessions.mice_turn import Score, Turn
from judges.sessions.votes import Votes, share_of

PROMPTS = {**following.PROMPTS, **awareness.PROMPTS}


@dataclass
class _Work:
    """A turn, what is looked for in its pictures, and what was found."""

    turn: Turn
    check: following.Check | str
    looks: dict[str, dict[str, Look]]  # of IF and CC, by role
    found: dict[str, dict[str, Found]] = field(default_factory=dict)


class MiceJudge:
    """`judges.sessions.base.SessionJudge`. The pictures of all sessions that are given together are looked at in batches, and all
    their questions are asked at once. Boxes and comparisons are kept in `kept`, replies in the client's own cache."""

    def __init__(
        self,
        detector: Detector,
        features: Callable[[], PatchFeatures],
        features_identity: str,
        votes: Votes,
        cc: str = consistency.CORRECT,
        kept: Kept | None = None,
    ) -> None:
        """`features` is called when something was not compared before; `features_identity` is what decides its tokens. Raises
        BadInput for an unknown `cc`."""
        if cc not in (consistency.CORRECT, consistency.AS_PUBLISHED):
            raise BadInput(
                f"judge.cc={cc} is unknown; choose {consistency.CORRECT} or {consistency.AS_PUBLISHED} (the published layout of "
                "the tokens)"
            )
        self.detector, self.votes, self.kept = detector, votes, kept or Kept()
        self._identity = f"{cc} {features_identity}"
        as_published = cc == consistency.AS_PUBLISHED
        self._consistency = cache(lambda: consistency.Consistency(features(), as_published))
        self._prompts: dict[str, Prompt] = {name: load_prompt(name, fields) for name, fields in PROMPTS.items()}

    @property
    def usage(self) -> Usage:
        return self.votes.client.usage

    def judge_sessions(self, played: Sequence[PlayedSession]) -> list[list[Verdict]]:
        """Raises BadInput for sessions without the facts of MICE-Bench, and for what concerns all alike; BudgetSpent."""
        work = [_work(Turn(p, k)) for p in played for k in range(len(p.pictures))]
        self._look(work)
        follows, aware = self._ask(work)
        compared = [self._compare(w) for w in work]
        verdicts = iter(_verdict(*scores) for scores in zip(follows, compared, aware, strict=True))
        return [[next(verdicts) for _ in p.pictures] for p in played]

    def _look(self, work: Sequence[_Work]) -> None:
        """Find the boxes of all looks together."""
        looks = [(w, part, role, look) for w in work for part in w.looks for role, look in w.looks[part].items()]
        boxes = self.detector.detect([look for *_, look in looks])
        for (w, part, role, look), found in zip(looks, boxes, strict=True):
            w.found.setdefault(part, {})[role] = Found(found, look.picture.size)

    def _ask(self, work: Sequence[_Work]) -> tuple[list[Score], list[Score]]:
        """IF and GA of every turn: all questions together."""
        decided = [_decided(w) for w in work]
        asked = [w for w, score in zip(work, decided, strict=True) if score is None]
        replies = iter(self.votes.ask([*map(self._followed, asked), *map(self._aware, work)]))
        answers = {id(w): next(replies) for w in asked}
        follows = [
            score if score is not None else _answered(w, answers[id(w)]) for w, score in zip(work, decided, strict=True)
        ]
        return follows, [_awareness(next(replies)) for _ in work]

    def _followed(self, work: _Work) -> Question:
        assert isinstance(work.check, following.Check) and work.check.asked is not None  # else it is decided
        asked, pictures = work.check.asked, following.pictures_of(work.turn)
        text = self._prompts[asked.prompt].fill(**asked.fields)
        return Question(IF, (*(pictures[when] for when in asked.pictures), text), _as_text)

    def _aware(self, work: _Work) -> Question:
        prompt = self._prompts[f"mice_aware_{awareness.category_of(work.turn)}"]
        text = prompt.fill(turns=awareness.turns_so_far(work.turn))
        return Question(GA, (*awareness.pictures_so_far(work.turn), text), _as_text)

    def _compare(self, work: _Work) -> Score:
        turn = work.turn
        if why := consistency.nothing_to_compare(turn):
            return Score(consistency.UNKNOWN, why)
        found = work.found[CC]
        unchanged, objects = found["unchanged"].boxes, (*found["before"].boxes, *found["after"].boxes)
        where = f"{unchanged!r} {objects!r} {turn.keeps_background}"
        key = self.kept.key("consistency", self._identity, where, turn.first, turn.after)
        if (value := self.kept.get(key)) is None:
            value = vars(self._consistency().score(turn, unchanged, objects))
            self.kept.put(key, value)
        return Score(**value)


def _work(turn: Turn) -> _Work:
    check = following.check_of(turn.task_type, turn.formatted)
    looks = {} if isinstance(check, str) else {IF: check.looks(turn)}
    if not consistency.nothing_to_compare(turn):
        looks[CC] = consistency.looks_of(turn)
    return _Work(turn, check, looks)


def _decided(work: _Work) -> Score | None:
    """IF where no question is left."""
    if isinstance(work.check, str):
        return Score(0.0, f"{work.check}, so that IF is 0 by rule", {"task": work.turn.task_type})
    boxes = work.found.get(IF, {})
    why = work.check.why_not(boxes)
    raw = {"task": work.turn.task_type, "boxes": _plain(boxes), "boxes_fail": why}
    if why:
        return Score(0.0, raw=raw)
    return Score(1.0, raw=raw) if work.check.asked is None else None


def _answered(work: _Work, replies: Sequence[Reply]) -> Score:
    assert isinstance(work.check, following.Check)
    score = share_of(replies, work.check.holds)
    return replace(score, raw={"task": work.turn.task_type, "boxes": _plain(work.found.get(IF, {})), **score.raw})


def _awareness(replies: Sequence[Reply]) -> Score:
    score = share_of(replies, lambda text: awareness.final_answer(text) is True, cut_fails=True)
    unread = sum(r.cut or (r.text is not None and awareness.final_answer(r.text) is None) for r in replies)
    note = f"{unread} of {len(replies)} replies without a final answer, which count 0 by rule" if unread else ""
    return replace(score, note="; ".join(filter(None, (score.note, note))), raw={**score.raw, "unreadable": unread})


def _verdict(follows: Score, compared: Score, aware: Score) -> Verdict:
    """Invalid where a call failed. The reason says which rules gave a score without looking."""
    scores = {IF: follows, CC: compared, GA: aware}
    raw = {name: {"value": score.value, "note": score.note, **score.raw} for name, score in scores.items()}
    values = {name: score.value for name, score in scores.items() if score.value is not None}
    if len(values) < len(scores):
        failed = next(name for name in scores if name not in values)
        return Verdict.invalid(f"{failed}: {scores[failed].note}", raw)
    notes = "; ".join(f"{name}: {score.note}" for name, score in scores.items() if score.note)
    return Verdict(values, True, notes, raw)


def _plain(boxes: Mapping[str, Found]) -> dict[str, Any]:
    """Corners in whole pixels and scores, for the record."""
    return {
        role: [[round(b.left), round(b.top), round(b.right), round(b.bottom), round(b.score, 4)] for b in found.boxes]
        for role, found in boxes.items()
    }


def _as_text(reply: str) -> Mapping[str, Any]:
    return {"text": reply}


__all__ = ["PROMPTS", "MiceJudge"]
