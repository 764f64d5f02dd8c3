"""The judging protocols, one file each; `make_rubric` by name. Their prompts lie in judges/prompts/."""

from __future__ import annotations

from common.errors import BadInput
from judges.question import Rubric
from judges.rubrics.base import PromptRubric
from judges.rubrics.complex_edit import ComplexEditRubric
from judges.rubrics.editscore import EditScoreRubric
from judges.rubrics.gedit import GEditRubric
from judges.rubrics.imgedit import ImgEditRubric
from judges.rubrics.mice import MiceRubric
from judges.rubrics.pairwise import PairRubric, PairVerdict
from judges.rubrics.paper import PaperRubric
from judges.rubrics.rise import RiseRubric
from judges.rubrics.uniworld import UniWorldRubric
from judges.rubrics.viescore import VieScoreRubric

RUBRICS: dict[str, type[PromptRubric]] = {
    "paper": PaperRubric,
    "viescore": VieScoreRubric,
    "gedit": GEditRubric,
    "imgedit": ImgEditRubric,
    "editscore": EditScoreRubric,
    "complex_edit": ComplexEditRubric,
    "rise": RiseRubric,
    "mice": MiceRubric,
    "uniworld": UniWorldRubric,
}


def make_rubric(name: str) -> Rubric:
    """The rubric of this name. Raises BadInput with the list for another one."""
    if name not in RUBRICS:
        other = " (pairwise compares two edits: it is judges.rubrics.PairRubric)" if name == PairRubric.name else ""
        raise BadInput(f"unknown rubric {name!r}; choose one of {', '.join(RUBRICS)}{other}")
    return RUBRICS[name]()


__all__ = ["RUBRICS", "PairRubric", "PairVerdict", "make_rubric"]
