"""What the tiny reward model learns to say about two pictures: what stands where now, what is gone, and how clean it is."""

from __future__ import annotations

from benchmarks.sandbox.scene import Scene
from experiments.tiny.thoughts import entry
from judges.quality import Quality

HALF = "half changed"

# pieces of a trace that are one token each, so that its form costs little and cannot be misspelt
PIECES = (
    "[{'question': '",
    *(f"', 'score': {v}}}, {{'question': '" for v in (0, 1)),
    *(f"', 'score': {v}}}], {{\"average_score\": " for v in (0, 1)),
    "} <score>",
    "<score>",
    "</score>",
)


def things(scene: Scene) -> list[str]:
    """The things in reading order with all that can be seen of them: 'center red star'."""
    return [entry(t) for t in sorted(scene.things, key=lambda t: t.cell)]


def whole(scene: Scene) -> list[str]:
    """What is true of the whole picture: 'sand', 'darker', 'with caption', 'zoomed to top left'."""
    zoomed = f"zoomed to {scene.zoom}" if scene.zoom else ""
    return [
        w for w in (scene.background, scene.light, scene.tone, "with caption" if scene.caption else "", zoomed) if w
    ]


def comparison(before: Scene, after: Scene, quality: Quality, half: bool) -> str:
    """The thought about an edit: what the picture shows now, what of the earlier one is no longer there, and how clean it is.
    Sharpness and cleanness are whole numbers from 0 to 10; `half`: a change is there in part only."""
    now = [*things(after), *whole(after)]
    gone = [words for words in (*things(before), *whole(before)) if words not in now]
    sharp, clean = round(10 * quality.sharpness), round(10 * quality.noise * quality.specks)
    words = [f"now: {', '.join(now)}", f"gone: {', '.join(gone) or 'nothing'}", f"sharp {sharp}", f"clean {clean}"]
    return ". ".join([*words, *([HALF] if half else [])])


__all__ = ["HALF", "PIECES", "comparison", "things", "whole"]
