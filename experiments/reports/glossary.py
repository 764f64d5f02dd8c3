"""What the words of the reports' tables and figures mean, for hover texts and the lines under figures."""

from __future__ import annotations

MEANINGS = {
    "overall": "the judge's score of the whole result, 0 to 10",
    "request fulfilled": "how much of the request was carried out, 0 to 10",
    "content preserved": "how much of what was not to change stayed as it was, 0 to 10",
    "image quality": "how free the picture is of blur, noise and broken shapes, 0 to 10",
    "invalid": "verdicts without a score: the call failed or the reply could not be read; left out of the means",
    "micro mean": "mean over items",
    "macro mean": "mean over kinds, each kind’s items averaged first",
    "editor alone": "the editor gets the raw request",
    "k calls, by chance": "the editor alone called as often as the team, one of the pictures at random",
    "k calls, best by judge": "the same, the picture that the judge likes best, so an upper bound",
    "team before RL": "decomposer as it was after supervised training, sequencer and editor",
    "team after RL": "the same team with the decomposer trained by RL",
    "judged": "verdicts that were given, the invalid ones among them",
    "missing": "not judged yet",
    "n": "items behind the number",
    "samples": "test samples that have a value on both sides",
    "p": "how likely a difference of at least this size is if neither side is better (sign-flip permutation test)",
    "p (Holm)": "p corrected by Holm's method for the number of differences in this table; bold: at most 0.05",
    "mean F1": "mean of the F1 scores of actions, subjects and goals",
    "format": "share of answers that can be read and carried out",
    "action": "F1 of the set of actions (recolor, remove, …) against the right one",
    "subject": "F1 of the set of things that are to be edited",
    "goal": "F1 of the set of goals (red, two, …)",
    "linked": "F1 over whole triples: action, subject and goal must belong together",
    "subject F1": "F1 of the set of things that are to be edited",
    "start greedy": "share of exact answers of the decomposer before RL, each its most likely one",
    "start pass@1": "share of exact answers among those drawn from the decomposer before RL at temperature 1",
    "start pass@8": "share of requests to which at least one of 8 answers drawn from the decomposer before RL is exact",
    "after RL": "share of exact answers of the decomposer after RL, each its most likely one",
    "RL − greedy": "exact answers after RL − those of the start, paired over the samples",
    "RL − pass@8": "exact answers after RL − what the start finds with 8 draws, paired over the samples",
    "linked F1": "F1 over whole triples: action, subject and goal must belong together",
    "over test samples": "95 % interval of the difference if other test samples were drawn; the trained models stay as they are",
    "over seeds and samples": "95 % interval if training seeds and test samples were drawn anew; rough where there are few seeds",
    "each seed": "the same difference of every training seed alone",
    "seeds": "training seeds that were run with these choices",
    "F1 before": "mean F1 of the decomposition before RL",
    "F1 after": "mean F1 of the decomposition after RL",
    "cached": "replies that were kept from earlier and cost nothing",
    "tokens in + out": "tokens of the prompts and of the replies",
    "any": "edits that moved the whole picture in one of these ways",
    "measured": "edits whose motion could be told, of all",
    "drift of the whole picture": "the edit moved, zoomed or turned everything, not only what was asked for",
    "median px": "median motion of the picture's content in pixels of the source",
    "largest px": "largest motion of the picture's content in pixels of the source",
}


def meaning(word: str) -> str:
    """The text for a word, or "" where none is needed."""
    return MEANINGS.get(word, "")


__all__ = ["MEANINGS", "meaning"]
