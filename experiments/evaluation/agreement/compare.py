"""Finished agreement studies of the same data, put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.preferences.base import RATINGS
from common.errors import BadInput
from common.files import read_json, write_json
from conf.schema import AgreementConfig
from experiments.evaluation.agreement.answers import KeptAnswer, read_answers
from judges.side_by_side import ComparedMeasure, compare_judges


@dataclass(frozen=True)
class JudgedFolder:
    """One study as it was left in its folder. `name` is the folder's own, which tables call the judge by."""

    name: str
    folder: Path
    document: dict[str, Any]  # agreement.json
    answers: list[KeptAnswer]

    @property
    def judge(self) -> str:
        """What was asked, in words."""
        judge = self.document["judge"]
        if "model" not in judge:
            return str(judge["name"])
        model = f" ({judge['model']})" if judge["model"] else ""
        scoring = f", {judge['scoring']} scores" if judge.get("scoring", "own") != "own" else ""
        rubric = f", rubric {judge['rubric']}" if judge["rubric"] else ""
        form = f", form {judge['form']}" if judge.get("form", "both") != "both" else ""
        repeats = f", avg@{judge['repeats']}" if (judge.get("repeats") or 1) > 1 else ""
        return f"judge={judge['name']}{model}{rubric}{form}{scoring}{repeats}"


@dataclass(frozen=True)
class Comparison:
    judges: tuple[JudgedFolder, ...]
    measures: tuple[ComparedMeasure, ...]

    @property
    def data(self) -> dict[str, Any]:
        return self.judges[0].document["data"]

    def as_dict(self) -> dict[str, Any]:
        return {
            "data": self.data,
            "judges": [{"name": j.name, "folder": str(j.folder), "judge": j.judge} for j in self.judges],
            "measures": {m.name: m.as_dict() for m in self.measures},
        }


def compare(config: AgreementConfig, out: Path) -> Comparison:
    """Read the folders of `config.compare` and write compare.json. Raises BadInput for a folder without a finished study, and
    for one whose comparisons, labels or pictures are not those of the first."""
    folders = [Path(place).expanduser() for place in config.compare]
    if len(set(folders)) < len(folders) or len(folders) < 2:
        raise BadInput(f"compare={','.join(config.compare)}: give two or more different folders of finished studies")
    judges = [_read(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    for other in judges[1:]:
        _same_data(judges[0], other)
    rule = judges[0].document["rule"]
    if rule == RATINGS:
        raise BadInput(f"{folders[0]} rates single edits, so there are no comparisons of which judges could be paired")
    measures = compare_judges(rule, [[kept.answer for kept in judge.answers] for judge in judges], config.seed)
    comparison = Comparison(tuple(judges), tuple(measures))
    write_json(out / "compare.json", comparison.as_dict())
    return comparison


def _read(folder: Path, name: str) -> JudgedFolder:
    if not (folder / "agreement.json").is_file():
        raise BadInput(f"{folder} holds no finished study: there is no agreement.json in it")
    document = read_json(folder / "agreement.json")
    if document["partial"]:
        raise BadInput(f"{folder} is not finished; the command that began it goes on where it was")
    return JudgedFolder(name, folder, document, read_answers(folder))


def _names(folders: Sequence[Path]) -> list[str]:
    """The last part of each path, with as much before it as tells them apart."""
    for parts in range(1, max(len(f.parts) for f in folders) + 1):
        names = ["/".join(f.parts[-parts:]) for f in folders]
        if len(set(names)) == len(names):
            return names
    return [str(f) for f in folders]


def _same_data(first: JudgedFolder, other: JudgedFolder) -> None:
    """By content: what was asked, how it is labelled, and the pixels, as far as both judges saw them."""
    what = f"{other.folder} was judged on other data than {first.folder}"
    if len(first.answers) != len(other.answers):
        raise BadInput(f"{what}: {len(other.answers)} comparisons, not {len(first.answers)}")
    if first.document["rule"] != other.document["rule"]:
        raise BadInput(f"{what}: its rule is {other.document['rule']}, not {first.document['rule']}")
    for a, b in zip(first.answers, other.answers, strict=True):
        for name in ("group", "human", "kind", "cluster"):
            if (mine := getattr(a.answer, name)) != (theirs := getattr(b.answer, name)):
                raise BadInput(f"{what}: {name} {theirs!r} stands where {mine!r} stands there")
        if (a.request, a.aspect) != (b.request, b.aspect):
            raise BadInput(f"{what}: {a.answer.group} asks for {b.request[:80]!r} ({b.aspect}), not {a.request[:80]!r}")
        if any(x != y for x, y in zip(a.seen, b.seen, strict=True) if x and y):
            raise BadInput(f"{what}: the pictures of {a.answer.group} are others")


__all__ = ["Comparison", "JudgedFolder", "compare"]
