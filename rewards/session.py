"""The reward of one turn of a session: 0.3 IF + 0.3 CC + 0.4 GA (Edit-R2, arXiv 2606.05950), from a judge's verdict.

    total = Σ w_s · score_s / Σ w_s     over the scores that the verdict has

CC is absent where nothing is left that it could look at; the others then make up the reward. (The published code takes 0.5 instead,
which pays every rollout alike and says nothing.) An invalid verdict has no reward: it carries no gradient, and is never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from common.dotted import nearest
from common.errors import BadInput
from judges.base import Verdict
from judges.sessions.base import CC, GA, IF, SESSION_SCORES
from rewards.compose import Reward

WEIGHTS: Mapping[str, float] = {IF: 0.3, CC: 0.3, GA: 0.4}
IF_CREDIT = "if_credit"  # what the sandbox's judge keeps of an edit that was made in part


def session_reward(verdict: Verdict, weights: Mapping[str, float] = WEIGHTS, *, graded: bool = False) -> Reward:
    """The weighted mean of a turn's scores, in [0, 1]; the components are all three scores, None where the verdict lacks one.

    `graded`: for IF the share of the edit that was made counts in the place of done or not done, and is one more component, so
    that rollouts of an editor that rarely succeeds differ; only the sandbox's judge measures it. Raises BadInput for weights that
    cannot be used, and for `graded` with the verdict of another judge.
    """
    checked = check_weights(weights)
    if not verdict.valid:
        return Reward(None, dict.fromkeys(SESSION_SCORES))
    parts: dict[str, float | None] = {name: verdict.scores.get(name) for name in SESSION_SCORES}
    counted = dict(parts)
    if graded and parts[IF] is not None:
        parts[IF_CREDIT] = counted[IF] = _credit(verdict)
    known = [
        (checked[name], value) for name, value in counted.items() if value is not None and checked.get(name, 0.0) > 0
    ]
    if not known:
        return Reward(None, parts)
    total = sum(weight * value for weight, value in known) / sum(weight for weight, _ in known)
    return Reward(min(1.0, max(0.0, total)), parts)


def check_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """The weights as they are. Raises BadInput for an unknown score, a weight that is no finite number of 0 or more, and none above
    0."""
    for name, weight in weights.items():
        if name not in SESSION_SCORES:
            raise BadInput(f"unknown score of a session {name!r}{nearest(name, SESSION_SCORES, all_of_them=True)}")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight) or weight < 0:
            raise BadInput(
                f"the session reward's weight {name}={weight!r} cannot be used; give a finite number of 0 or more"
            )
    if not any(weight > 0 for weight in weights.values()):
        raise BadInput(f"all weights of the session reward are zero ({dict(weights)}); give at least one above 0")
    return dict(weights)


def _credit(verdict: Verdict) -> float:
    credit = verdict.raw.get(IF_CREDIT) if isinstance(verdict.raw, Mapping) else None
    if not isinstance(credit, int | float):
        raise BadInput(
            f"graded=true needs the {IF_CREDIT!r} that the sandbox's judge measures; use that judge, or graded=false"
        )
    return float(credit)


__all__ = ["IF_CREDIT", "WEIGHTS", "check_weights", "session_reward"]
