"""What sessions are trained for, and who judges them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.errors import BadInput
from common.parts import Part
from common.ranges import RANGE, Range
from conf.parts import construct

if TYPE_CHECKING:
    from PIL import Image

    from benchmarks.base import EditSession
    from judges.sessions.base import SessionJudge
    from rl.session_rollouts import SessionReward


@dataclass
class SessionRewardPart(Part):
    """The reward of a turn of a session, a weighted mean of the scores that there are."""

    name: str
    # relative weights: if (instruction following: this turn's edit is done), cc (content consistency: what was not to change is as
    # in the first picture), ga (global awareness: every turn so far is done as the whole session means it)
    weights: dict[str, float] = field(
        default_factory=lambda: {"if": 0.3, "cc": 0.3, "ga": 0.4}, metadata={RANGE: Range(0, 1e6)}
    )  # published
    # take how far the edit is done (0 to 1) in the place of whether it is; the sandbox's judge knows it
    graded: bool = False

    def __post_init__(self) -> None:
        from rewards.session import check_weights

        check_weights(self.weights)

    def build(self, tools: Any) -> Any:
        raise BadInput(
            f"reward={self.name} scores the turns of sessions, for experiment=edit_r2; choose another reward for this job"
        )

    def build_sessions(self, judge: SessionJudge) -> SessionReward:
        from judges.sessions.base import PlayedSession
        from rewards.session import session_reward
        from rl.session_rollouts import given

        def reward(sessions: Sequence[EditSession], pictures: Sequence[Sequence[Image.Image]]) -> list[list[Any]]:
            played = [PlayedSession(s, given(s), tuple(p)) for s, p in zip(sessions, pictures, strict=True)]
            return [
                [session_reward(verdict, self.weights, graded=self.graded) for verdict in verdicts]
                for verdicts in judge.judge_sessions(played)
            ]

        return reward


def missing_session_reward(config: Any) -> Iterator[str]:
    """A line for a reward that no session can be trained by."""
    if not callable(getattr(construct(config.reward), "build_sessions", None)):
        yield f"a reward of sessions: reward={config.reward.name} scores single requests; choose reward=session"


__all__ = ["SessionRewardPart", "missing_session_reward"]
