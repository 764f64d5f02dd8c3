"""One judge on one benchmark: its aspects, the differences of arms, and every score by kind, turn and part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from common.statistics import significant
from experiments.evaluation.names import arm_name
from experiments.reports.evaluation.cells import interval, starred, state
from experiments.reports.evaluation.splits import split_parts
from experiments.reports.evaluation.words import aspect_name, sentence
from experiments.reports.html import table
from experiments.reports.words import p_text


def judge_part(label: str, column: Mapping[str, Any]) -> list[str]:
    arms = column["arms"]
    names = column["aspects"]
    some_invalid = any(scores["invalid"] for scores in arms.values())
    rows = [
        (
            [
                escape(arm_name(arm)),
                *(interval(scores["aspects"][n]) for n in names),
                str(scores["n"]),
                *([str(scores["invalid"])] if some_invalid else []),
            ],
            False,
        )
        for arm, scores in arms.items()
    ]
    head = ["arm", *(aspect_name(n) for n in names), "judged", *(["invalid"] if some_invalid else [])]
    first = next(iter(arms.values()))
    both = ""
    if first["by_kind"]:
        means = ("micro", "macro")
        both = table(
            ["overall", *(f"{m} mean" for m in means)],
            [([escape(arm_name(arm)), *(interval(scores[m]) for m in means)], False) for arm, scores in arms.items()],
            "narrow",
        ) + starred(scores[m] for scores in arms.values() for m in means)
    judge = column["judge"]
    settings = ("model", "rubric", "prompts", "repeats", "temperature", "max_tokens", "seed")
    text_of_judge = ", ".join(f"{k} {judge[k]}" for k in settings if judge.get(k) not in ("", None))
    text_of_judge = (
        "compares pixels with the exact answers; asks no model" if judge.get("kind") == "sandbox" else text_of_judge
    )
    out = [
        f"<h3>Judge: {escape(column['title'])}</h3>",
        f'<p class="muted">{escape(sentence(text_of_judge))}</p>' if text_of_judge else "",
        bad_note([arm_name(a) for a, s in arms.items() if s["too_many_invalid"]]),
        table(head, rows),
        starred(s["aspects"][n] for s in arms.values() for n in names),
        both,
    ]
    if column["differences"]:
        lines = []
        for d in column["differences"]:
            name = f"{escape(arm_name(d['second']))} − {escape(arm_name(d['first']))}"
            if state(d) == "too many invalid":
                lines.append(([name, "– (too many invalid verdicts)", "–", "–"], False))
                continue
            lines.append(
                ([name, interval(d, sign=True), p_text(d["p"]), p_text(d["p_holm"])], significant(d["p_holm"]))
            )
        out.append(table(["paired difference in overall", "mean", "p", "p (Holm)"], lines, "narrow"))
        out.append(starred(d for d in column["differences"] if state(d) == "complete"))
        tests = sorted({d["test"] for d in column["differences"]} - {""})
        out.append(
            f'<p class="muted">{escape(sentence("; ".join(tests), ""))}; Holm’s correction over the differences of this table. '
            "Bold: significant after it (p at most 0.05).</p>"
        )
    return out + split_parts(names, arms, first["mean"])


def bad_note(arms: Sequence[str]) -> str:
    if not arms:
        return ""
    return (
        f'<p class="warning">{escape(", ".join(arms))}: more verdicts are invalid than judge.max_invalid_share allows. Means over '
        "the others are biased and no results.</p>"
    )


__all__ = ["judge_part"]
