"""From the verdicts of one arm and one judge to a benchmark's numbers: micro and macro means, by kind, by turn.

Nothing is made up: a row without a verdict is counted and left out of every mean, never a zero. Every number says over
what it goes, so that a table can name it: micro is the mean over items, macro the unweighted mean over the kinds' means.

Which of them is a benchmark's own number:

    gedit         macro over its 11 task types, of SC, of PQ and of O = sqrt(SC * PQ) per item, each on its own: the O
                  of a table is not sqrt(SC * PQ) of its columns (arXiv 2504.17761). Subsets: language and full or
                  intersection. Others print micro means of the same items: both are given, and must not be mixed.
    imgedit       macro over 9 edit types of the mean of three scores 1 to 5 (arXiv 2505.20275); UGE is one of its own.
    complex_edit  micro per complexity C (subsets "c1" ... "c8"), real and synthetic pictures apart (arXiv 2504.13143).
    risebench     micro of the weighted score, and accuracy: the share of items with 5 in all scores that apply
                  (arXiv 2504.02826); by category as kinds.
    mice          by turn, for cm and cu as subsets (arXiv 2606.05950); `final` is the last turn of each session.
    magicbrush    single turn: micro over turns. Multi-turn: `final`, which is also a subset there (arXiv 2306.10012).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.errors import BadInput
from benchmarks.item import EVERYTHING

OVERALL = "overall"
ACCURACY = "accuracy"
Score = Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One item's verdict. `invalid` says why it has none; then `scores` is empty."""

    kind: str
    scores: Score = field(default_factory=dict)
    subsets: tuple[str, ...] = (EVERYTHING,)
    session: str = ""
    turn: int = 0
    invalid: str = ""
    id: str = ""


@dataclass(frozen=True)
class Mean:
    """`value` is None where no row was left to average."""

    value: float | None
    n: int
    invalid: int


@dataclass(frozen=True)
class Summary:
    """One score over one subset. `n` counts rows that have the score, `invalid` rows without a verdict."""

    n: int
    invalid: int
    micro: float | None
    macro: float | None
    by_kind: Mapping[str, Mean]
    left_out: tuple[str, ...]  # kinds over which the macro mean does not go, having no row with this score
    by_turn: Mapping[int, Mean]  # empty unless there are sessions
    final: Mean | None  # over the last turns of sessions, None unless there are sessions of several turns
    values: tuple[tuple[str, float], ...]  # (kind, value) of every row that has the score, in order
    units: tuple[str, ...]  # what to resample together, beside `values`: the session, or the row's own name

    def own(self, mean: str) -> float | None:
        """The number that a card's `mean` asks for: micro | macro | final."""
        if mean not in ("micro", "macro", "final"):
            raise BadInput(f"a benchmark's mean is micro, macro or final, not {mean!r}")
        if mean == "final":
            return None if self.final is None else self.final.value
        return self.micro if mean == "micro" else self.macro

    def to_json(self) -> dict[str, Any]:
        """Everything but the single values."""
        means = {kind: vars(m) for kind, m in self.by_kind.items()}
        turns = {str(turn): vars(m) for turn, m in self.by_turn.items()}
        return {
            "n": self.n,
            "invalid": self.invalid,
            "micro": self.micro,
            "macro": self.macro,
            "by_kind": means,
            "left_out": list(self.left_out),
            "by_turn": turns,
            "final": None if self.final is None else vars(self.final),
        }


def summarise(rows: Iterable[Row], per_item: Callable[[Row], Score] | None = None) -> dict[str, dict[str, Summary]]:
    """{subset: {score: Summary}} over the rows of one arm and one judge.

    `per_item` adds scores to a valid row before any mean is taken (`gedit_overall`, `rise_accuracy`). A score that only
    some rows have (one that a protocol does not apply to a category) goes over those rows. Raises BadInput for a row that
    is neither scored nor invalid or both, and for a score that is no finite number.
    """
    rows = [_checked(row) for row in rows]
    if per_item is not None:
        rows = [row if row.invalid else _with(row, per_item(row)) for row in rows]
    parts: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for subset in row.subsets:
            parts[subset].append(row)
    return {subset: _scores(part) for subset, part in parts.items()}


def gedit_overall(row: Row, sc: str = "sc", pq: str = "pq") -> Score:
    """O of one item, sqrt(SC * PQ), from its own two scores (VIEScore, arXiv 2312.14867; GEdit-Bench, 2504.17761)."""
    for name in (sc, pq):
        if name not in row.scores:
            raise BadInput(f"row {row.id or row.kind!r} has no score {name!r}; it has {', '.join(row.scores)}")
        if row.scores[name] < 0:
            raise BadInput(f"row {row.id or row.kind!r}: {name} is {row.scores[name]}, but scores begin at 0")
    return {OVERALL: math.sqrt(row.scores[sc] * row.scores[pq])}


def item_mean(row: Row, names: Sequence[str]) -> Score:
    """The mean of the named scores of one item (ImgEdit: of three)."""
    if missing := [n for n in names if n not in row.scores]:
        raise BadInput(f"row {row.id or row.kind!r} has no score {missing[0]!r}; it has {', '.join(row.scores)}")
    return {OVERALL: sum(row.scores[n] for n in names) / len(names)}


def rise_accuracy(row: Row, names: Sequence[str], best: float = 5) -> Score:
    """1 where every named score that the item has is `best`, else 0; scores that do not apply to it are absent.

    (RISEBench's script up to 674f864 compares absent ones as well, so that items without consistency score never count.)
    """
    applicable = [row.scores[n] for n in names if n in row.scores]
    if not applicable:
        raise BadInput(f"row {row.id or row.kind!r} has none of the scores {', '.join(names)}")
    return {ACCURACY: float(all(value == best for value in applicable))}


def rise_percent(score: float) -> float:
    """RISEBench's percentage of a mean on its scale: 1 is 0 %, 5 is 100 %."""
    return 25 * (score - 1)


def _checked(row: Row) -> Row:
    where = f"row {row.id!r} of kind {row.kind!r}"
    if bool(row.scores) == bool(row.invalid):
        raise BadInput(f"{where} must have either scores or the reason why it has none")
    for name, value in row.scores.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BadInput(f"{where}: score {name!r} is {value!r}, not a finite number; mark the row invalid instead")
    return row


def _with(row: Row, more: Score) -> Row:
    return Row(row.kind, {**row.scores, **more}, row.subsets, row.session, row.turn, row.invalid, row.id)


def _scores(rows: Sequence[Row]) -> dict[str, Summary]:
    names = dict.fromkeys(name for row in rows for name in row.scores)
    return {name: _summary(rows, name) for name in names or (OVERALL,)}


def _summary(rows: Sequence[Row], name: str) -> Summary:
    by_kind = {kind: _mean(part, name) for kind, part in _groups(rows, lambda r: r.kind).items()}
    kinds = [m.value for m in by_kind.values() if m.value is not None]
    whole = _mean(rows, name)
    in_sessions = [r for r in rows if r.session]
    scored = [r for r in rows if name in r.scores]
    return Summary(
        n=whole.n,
        invalid=whole.invalid,
        micro=whole.value,
        macro=math.fsum(kinds) / len(kinds) if kinds else None,
        by_kind=by_kind,
        left_out=tuple(kind for kind, m in by_kind.items() if m.value is None),
        by_turn={turn: _mean(p, name) for turn, p in sorted(_groups(in_sessions, lambda r: r.turn).items())},
        final=_mean(last_turns(rows), name) if any(r.turn for r in in_sessions) else None,
        values=tuple((r.kind, float(r.scores[name])) for r in scored),
        units=tuple(r.session or r.id or str(i) for i, r in enumerate(scored)),
    )


def last_turns(rows: Iterable[Row]) -> list[Row]:
    """The last turn of each session, whether it is valid or not: a failed last turn is not replaced by an earlier one."""
    last: dict[str, Row] = {}
    for row in rows:
        if row.session and (row.session not in last or row.turn > last[row.session].turn):
            last[row.session] = row
    return list(last.values())


def _groups(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _mean(rows: Sequence[Row], name: str) -> Mean:
    values = [row.scores[name] for row in rows if name in row.scores]
    mean = math.fsum(values) / len(values) if values else None
    return Mean(mean, len(values), sum(bool(row.invalid) for row in rows))


__all__ = [
    "ACCURACY",
    "OVERALL",
    "Mean",
    "Row",
    "Score",
    "Summary",
    "gedit_overall",
    "item_mean",
    "last_turns",
    "rise_accuracy",
    "rise_percent",
    "summarise",
]
