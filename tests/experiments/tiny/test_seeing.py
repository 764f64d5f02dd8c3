"""What the tiny reward model learns to say about two pictures."""

from benchmarks.sandbox.scene import Scene, Thing
from experiments.tiny.judged_edits import comparison
from experiments.tiny.seeing import clauses
from judges.quality import Quality

BEFORE = Scene("sand", (Thing("circle", "red", (0, 0)), Thing("star", "blue", (1, 1))))
AFTER = Scene("sand", (Thing("circle", "green", (0, 0)), Thing("star", "blue", (1, 1))))
CLEAN = Quality(sharpness=0.34, noise=1.0, specks=0.5)


def test_a_thought_says_what_is_there_what_is_gone_and_how_clean_the_picture_is() -> None:
    said = "now: top left green circle, center blue star, sand. gone: top left red circle. sharp 3. clean 5"
    assert comparison(BEFORE, AFTER, CLEAN, half=False) == said
    assert comparison(BEFORE, AFTER, CLEAN, half=True) == f"{said}. half changed"


def test_clauses_are_those_of_the_thought_alone_each_with_its_list() -> None:
    """What follows the thought is no statement about the pictures: it once made the last one count as wrong."""
    text = comparison(BEFORE, AFTER, CLEAN, half=False)
    now = ["now: top left green circle", "now: center blue star", "now: sand"]
    wanted = [*now, "gone: top left red circle", "sharp 3", "clean 5"]
    assert clauses(f"<think>{text}</think>") == wanted
    assert clauses(f"<think> {text}</think>[{{'question': 'is this done: …'") == wanted
    assert clauses("nothing of the kind") == [""]
