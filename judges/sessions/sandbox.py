"""The sandbox's judge of sessions: exact IF, CC and GA (arXiv 2606.05950) from pixels, without a model.

* IF of turn k: 1 where its own edit is done, from the picture before it, as it is, to its result, else 0. The lasting rule is left
  out, as the published measure leaves it out: a result with or without it counts. Where the edit is impossible on the picture
  before, IF is 0, as it is where the published detectors do not find the object. Where the picture before shows already what the
  edit asks for, the edit is done as long as the result still shows it.
* CC of turn k: how much of what no turn up to k was to change is still as in the session's first picture (`unchanged.py`).
* GA of turn k: 1 where every turn up to k is done as the session means it, with its rule (`turns.py`), else 0.

`raw` holds besides: `if_credit`, the share of the edit that was made (0..1, a dense IF), and `as_meant` of this turn alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.base import Edit, EditSession
from benchmarks.sandbox.generate import SandboxSample
from benchmarks.sandbox.perceive import Perception
from common.errors import BadInput
from judges.base import Verdict
from judges.pixels import square
from judges.preservation import Preserved
from judges.sandbox import side_for
from judges.seeing import FOREIGN, perceived
from judges.sessions.base import CC, GA, IF, PlayedSession
from judges.sessions.turns import RULED, TurnOutcome, impossible, judge_turn
from judges.sessions.unchanged import Untouched, untouched


@dataclass(frozen=True)
class _Meant:
    """A session's first picture, its edits, one for each of its K turns, its rule, and what they leave as it is."""

    first: Perception
    edits: tuple[Edit, ...]
    rule: Edit | None
    labels: tuple[str, ...] | None  # all that things can bear in the session; None for any, where a turn writes one
    still: Untouched


class SandboxSessionJudge:
    """A `judges.sessions.base.SessionJudge`: deterministic, and the same whatever else is judged with a session."""

    def judge_sessions(self, played: Sequence[PlayedSession]) -> list[list[Verdict]]:
        """Verdicts on sandbox sessions with one edit in each turn. Invalid are those on a session whose first picture shows no
        sandbox scene or whose edits are impossible on it, and on the turns from a picture on that cannot be decoded."""
        known: dict[tuple[EditSession, bytes], _Meant] = {}  # rollouts of one session share what it means
        return [self._judge(one, known) for one in played]

    def _judge(self, played: PlayedSession, known: dict[tuple[EditSession, bytes], _Meant]) -> list[Verdict]:
        side = side_for(played.source.size)
        try:
            first = square(played.source, side)
            key = (played.session, first.tobytes())
            if key not in known:
                known[key] = _meaning(played.session, first)
        except (OSError, ValueError) as error:
            return [Verdict.invalid(f"session {played.session.id!r}, first picture: {error}")] * len(played.pictures)
        meant, before = known[key], first
        given, verdicts = meant.first, list[Verdict]()
        changed, all_meant = np.zeros((side, side), dtype=bool), True
        for turn, picture in enumerate(played.pictures):
            try:
                after = square(picture, side)
            except (OSError, ValueError) as error:
                reason = f"the result of turn {turn + 1} cannot be read: {error}"
                return [*verdicts, *[Verdict.invalid(reason)] * (len(played.pictures) - turn)]
            seen = perceived(after, meant.labels)
            outcome = _outcome(before, given, after, seen, meant.edits[turn], meant.rule)
            all_meant = all_meant and outcome.as_meant
            changed = changed | outcome.region
            verdicts.append(_verdict(outcome, all_meant, meant.still.kept(turn, after, changed)))
            before, given = after, seen
        return verdicts


def _meaning(session: EditSession, first: np.ndarray) -> _Meant:
    """Raises BadInput for what is no sandbox session, and for a first picture that does not fit it."""
    rules = {turn.rule for turn in session.turns if isinstance(turn, SandboxSample)}
    if len(rules) > 1 or (session.rule is not None and not rules - {None}):
        raise BadInput("the exact judge needs sessions of the sandbox, whose turns all hold the rule as an edit")
    rule = next(iter(rules), None)
    if rule is not None and rule.action not in RULED:
        raise BadInput(f"a rule of {rule.action!r} cannot be judged; give one of {', '.join(RULED)}")
    if any(len(turn.gold) != 1 for turn in session.turns):
        raise BadInput("the exact judge needs one gold edit in each turn")
    edits = tuple(turn.gold[0] for turn in session.turns)
    seen = perceived(first)
    if seen.error > FOREIGN:
        raise BadInput(f"it shows no sandbox scene (mean pixel error {seen.error:.1f})")
    writes = any(edit.action == "text" for edit in edits)
    labels = None if writes else tuple(sorted({thing.label for thing in seen.scene.things} - {""}))
    return _Meant(seen, edits, rule, labels, untouched(first, seen.scene, edits, rule))


def _outcome(
    before: np.ndarray, given: Perception, after: np.ndarray, seen: Perception, edit: Edit, rule: Edit | None
) -> TurnOutcome:
    if given.error > FOREIGN:
        return impossible(
            len(before), f"the picture before shows no sandbox scene (mean pixel error {given.error:.1f})"
        )
    try:
        return judge_turn(before, given, after, seen, edit, rule)
    except BadInput as error:
        return impossible(len(before), f"the edit is impossible on the picture before: {error}")


def _verdict(outcome: TurnOutcome, all_meant: bool, kept: Preserved) -> Verdict:
    scores = {IF: float(outcome.done), GA: float(all_meant)}
    if kept.things or kept.background is not None:
        scores[CC] = round(kept.score / 10, 6)
    raw = {
        "if_credit": outcome.credit,
        "as_meant": outcome.as_meant,
        "things_kept": {name: round(v, 4) for name, v in kept.things.items()},
        "background_kept": None if kept.background is None else round(kept.background, 4),
    }
    return Verdict(scores, True, outcome.reason, raw)


__all__ = ["SandboxSessionJudge"]
