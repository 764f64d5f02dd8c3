"""`mice`: IF, CC and GA of Edit-R2's sessions (arXiv 2606.05950), as far as a vision-language model can answer them.

Up to three calls per turn and pass, each 0 to 10 with its reasoning first:

    if    instruction following of this turn alone: the turn's input, its result
    cc    content consistency over the session: the session's first picture, the result (resized to it, Lanczos), and
          what was not to change (facts["unchanged_objects"], and the background where facts["bg_consistency"]);
          not asked where that is nothing
    ga    global awareness: the session's first picture, the result, all instructions so far (item.history) and the
          lasting rule (facts["rule"])

    overall = .3 if + .3 cc + .4 ga, the weights of Edit-R2's training reward; without cc, (.3 if + .4 ga) / .7

The session's first picture is item.source where there is one, else `before`. Four passes at temperature 0.6, averaged,
as Edit-R2's four votes. **Not Edit-R2's numbers** (yuxiaooye/Edit-R2@2dd266f):

* IF there is 0 or 1 by GroundingDINO boxes (add, remove, replace, position, count) and yes/no questions; here a grade.
* CC there is the cosine of DINOv3 features in boxes and background (with register tokens among the patches), and .5
  where nothing is listed; here a grade of what is listed, or no score.
* GA there sees all results so far and is 1 only where every turn up to this one succeeded; here it sees the first and
  the newest picture alone and grades the share of the session that holds.
* As there: IF leaves the lasting rule out, and pronouns are resolved (facts["formatted_instruction"], where given).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from PIL import Image

from benchmarks.base import EditSample
from common.errors import BadInput
from judges.base import OVERALL
from judges.form import Form, Number, Words
from judges.question import Encoding, JudgeSampling, Question
from judges.rubrics.base import Answers, AverageOverPasses, PromptRubric, facts_of, request_of

_FORM = Form({"reasoning": Words(), "score": Number(0, 10)})
WEIGHTS = {"if": 0.3, "cc": 0.3, "ga": 0.4}
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_RULE_SAID = "With this rule active,"
_EXCEPTIONS = (
    "The lasting rule concerns only what a turn adds or changes: a tint over the whole picture does not meet it, and a "
    "turn that removes something cannot break it."
)


class MiceRubric(AverageOverPasses, PromptRubric):
    name = "mice"
    scores = ("if", "cc", "ga", OVERALL)
    scales = dict.fromkeys(scores, 10.0)
    sampling = JudgeSampling(temperature=0.6)
    repeats = 4
    prompts = {"mice_if": ("request",), "mice_cc": ("unchanged",), "mice_ga": ("turns", "rule", "exceptions")}

    def questions(self, item: EditSample, before: Image.Image, after: Image.Image) -> Sequence[Question]:
        source = getattr(item, "source", None)
        first = before if source is None else source()
        same_size = after if after.size == first.size else after.resize(first.size, Image.Resampling.LANCZOS)
        questions: dict[str, tuple] = {
            "if": (self.fill("mice_if", request=_own_instruction(item)), before, after),
            "ga": (self._session(item), first, after),
        }
        if listed := unchanged(item):
            questions["cc"] = (
                self.fill("mice_cc", unchanged="\n".join(f"- {name}" for name in listed)),
                first,
                same_size,
            )
        return tuple(
            Question(name, parts, _FORM.read, schema=_FORM.schema, encoding=Encoding())
            for name, parts in questions.items()
        )

    def score(self, answers: Answers, item: EditSample) -> Mapping[str, float]:
        names = ("if", "cc", "ga") if unchanged(item) else ("if", "ga")
        points = {name: float(answers[name]["score"]) for name in names}
        share = sum(WEIGHTS[name] for name in names)
        return {**points, OVERALL: sum(WEIGHTS[name] * points[name] for name in names) / share}

    def _session(self, item: EditSample) -> str:
        requests = [*item.history, request_of(item)]
        rule = str(facts_of(item).get("rule") or "").strip()
        return self.fill(
            "mice_ga",
            turns="\n".join(f"Turn {k}: {' '.join(words.split())}" for k, words in enumerate(requests, 1)),
            rule=f"\nA lasting rule, said in turn 1, holds for every turn: {rule}\n" if rule else "",
            exceptions=_EXCEPTIONS if rule else "",
        )


def unchanged(item: EditSample) -> tuple[str, ...]:
    """What no turn so far touches, in words; empty where CC cannot be asked. Raises BadInput for facts of another shape."""
    facts = facts_of(item)
    listed = facts.get("unchanged_objects") or ()
    if isinstance(listed, str) or not all(isinstance(name, str) for name in listed):
        raise BadInput(f"item {item.id!r}: facts['unchanged_objects'] is no list of names: {listed!r}")
    background = ("the background: what lies around and behind the objects",) if facts.get("bg_consistency") else ()
    return (*(name for name in listed if name.strip()), *background)


def _own_instruction(item: EditSample) -> str:
    """What this turn asks for by itself: pronouns resolved where the data do so, the lasting rule left out."""
    formatted = str(facts_of(item).get("formatted_instruction") or "").strip()
    if formatted:
        return _BRACKETS.sub(r"\1", formatted)
    request = request_of(item)
    return request.partition(_RULE_SAID)[2].strip() or request


__all__ = ["WEIGHTS", "MiceRubric", "unchanged"]
