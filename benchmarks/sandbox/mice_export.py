"""The sandbox's own sessions written as MICE-Bench records, so that `mice` and `mice_text` can be tried without its data.

Files as published (arXiv 2606.05950): cm_sandbox.jsonl and cu_sandbox.jsonl with MICE's nine keys, pictures in
source_image/. `benchmarks.mice_gold.gold_edit` reads every turn back to the sandbox's gold. A tenth key, `origin`, says that
they are the sandbox's. A CM record has one more, `rule_edit`: what the lasting rule does in each turn, [action, subject,
goal] or null; MICE leaves that to its judge, exact answers need it. What MICE has no words for is not drawn: relight, tone,
zoom, and places in the picture ("top left"); MICE only knows places beside another object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.base import Edit, EditSession
from benchmarks.mice_records import ORIGIN, SANDBOX
from benchmarks.sandbox import templates as T
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.generate import SPLITS, SandboxSample, make_session
from benchmarks.sandbox.render import check_side
from benchmarks.sandbox.scene import RELATIONS, Scene
from common.errors import BadInput, SaveFailed

CATEGORIES = ("cm", "cu")
TASKS = {  # MICE's task type of each action it knows
    "add": "subject_add",
    "remove": "subject_remove",
    "replace": "subject_replace",
    "recolor": "color_alter",
    "material": "material_alter",
    "text": "text_change",
    "move": "position_change",
    "count": "count_change",
    "background": "background_change",
}


def write_sessions(
    folder: str | Path, count: int, seed: int = 0, *, split: str = "test", turns: int = 3, size: int = 64
) -> dict[str, int]:
    """Write `count` sessions of `turns` turns with pictures of `size` pixels, half CM and half CU (CM one more where
    `count` is odd); returns how many of each. The same arguments write the same bytes.

    Raises BadInput for numbers out of range and for a folder that holds something already, SaveFailed.
    """
    if count < 1 or turns < 1:
        raise BadInput(f"count and turns must be 1 or more, not {count} and {turns}")
    check_side(size)
    if split not in SPLITS:
        raise BadInput(f"unknown split '{split}'; one of {', '.join(SPLITS)}")
    folder = Path(folder)
    counts = {"cm": count - count // 2, "cu": count // 2}
    try:
        if folder.exists() and any(folder.iterdir()):
            raise BadInput(f"{folder} holds something already; give a folder that is new or empty")
        (folder / "source_image").mkdir(parents=True, exist_ok=True)
        records: dict[str, list[str]] = {category: [] for category in CATEGORIES}
        for session in _sessions(split, seed, turns, size, counts):
            first = session.turns[0]
            assert isinstance(first, SandboxSample)
            first.image.save(folder / "source_image" / f"{session.id}.png")
            records[first.kind].append(json.dumps(record(session), ensure_ascii=False))
        for category, lines in records.items():
            if lines:
                (folder / f"{category}_sandbox.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise SaveFailed(f"could not write sessions to {folder}: {error}") from error
    return {category: len(lines) for category, lines in records.items()}


def record(session: EditSession) -> dict[str, Any]:
    """One session as MICE's nine keys, `origin`, and `rule_edit` where it has a rule. Raises BadInput where a turn has no
    form in MICE (`in_mice`)."""
    samples = [s for s in session.turns if isinstance(s, SandboxSample)]
    if len(samples) != len(session.turns) or not in_mice(session):
        raise BadInput(f"session {session.id!r} has a turn that MICE-Bench has no words for")
    source = samples[0].before
    rows = [formatted(s.gold[0], s.before) for s in samples]
    seen = dict.fromkeys(t.name for t in source.things)  # in order, each once
    all_objects = []
    for s in samples:
        seen |= dict.fromkeys(t.name for t in s.after.things)
        all_objects.append(list(seen))
    marks = {ORIGIN: SANDBOX}  # so that no reader takes them for the published records
    ruled = {"rule_edit": [_rule_edit(s) for s in samples]} if samples[0].rule is not None else {}
    return {
        "image": f"source_image/{session.id}.png",
        "instruction": [_said(samples[0].request, session.rule), *(s.request for s in samples[1:])],
        "task_type": [task for task, _ in rows],
        "formatted_instruction": [text for _, text in rows],
        "bg_consistency": [s.after.background == source.background for s in samples],
        "unchanged_objects": [[t.name for t in source.things if t in s.after.things] for s in samples],
        "available_objects": [[t.name for t in s.after.things] for s in samples],
        "all_objects": all_objects,
        "turns": len(samples),
        **marks,
        **ruled,
    }


def _rule_edit(sample: SandboxSample) -> list[str] | None:
    """What the rule changes after the asked edit; None where nothing is left to change."""
    edited = apply_edits(sample.before, sample.gold)
    if sample.rule is None or edited == sample.after:
        return None
    (touched,) = (t for t in edited.things if t not in sample.after.things)
    return [sample.rule.action, touched.name, sample.rule.goal or ""]


def in_mice(session: EditSession) -> bool:
    """Whether every turn is one edit that MICE has a form for."""
    return all(len(s.gold) == 1 and _known(s.gold[0]) for s in session.turns)


def formatted(edit: Edit, scene: Scene) -> tuple[str, str]:
    """(task_type, formatted_instruction) of an edit that MICE knows; `scene` is the one it is asked for in."""
    subject, goal = edit.subject, edit.goal or ""
    match edit.action:
        case "add" | "move":
            relation = next((r for r in RELATIONS if goal.startswith(r + " ")), "")
            direction, anchor = relation.removesuffix(" of"), goal.removeprefix(relation + " ")
            if goal and not relation:
                raise BadInput(f"MICE-Bench has no form for the place {goal!r}")
            if edit.action == "move":
                text = f"Change the position of [{subject}] to [{direction}] of [{anchor}]"
            else:
                text = f"Add [{subject}] on the [{direction}] of [{anchor}]" if goal else f"Add [{subject}]"
        case "remove":
            text = f"Remove [{subject}]"
        case "replace":
            text = f"Replace [{subject}] with [{goal}]"
        case "recolor":
            text = f"Change the color of [{subject}] to [{goal}]"
        case "material" | "count":
            text = f"Change the {edit.action} of [{subject}] to [{goal}]"
        case "background":
            text = f"Change the background to [{goal}]"
        case "text" if subject == "image":
            text = f"Add text '[{goal}]' on the image"
        case "text":
            old = next((t.label for t in scene.things if t.name == subject), "")
            text = f"Replace the text '[{old}]' on [{subject}] with '[{goal}]'"
        case _:
            raise BadInput(f"MICE-Bench has no form for {edit.action!r}")
    return TASKS[edit.action], text


def _known(edit: Edit) -> bool:
    if edit.action not in TASKS:
        return False
    if edit.action not in ("add", "move") or edit.goal is None:
        return edit.action != "move"  # a move needs a place, add does not
    return any(edit.goal.startswith(relation + " ") for relation in RELATIONS)


def _said(request: str, rule: str | None) -> str:
    """Turn 1 as MICE words it: the rule, then "With this rule active, " and the edit."""
    if rule is None:
        return request
    rest = request.removeprefix(rule)
    joins = sorted((j.removesuffix("{c}") for j in T.RULE_JOIN), key=len, reverse=True)
    clause = next(rest.removeprefix(join) for join in joins if rest.startswith(join))
    return f"{rule[0].upper()}{rule[1:]}. With this rule active, {clause}"


def _sessions(split: str, seed: int, turns: int, size: int, counts: dict[str, int]) -> Iterator[EditSession]:
    """Sessions that MICE can hold, in the sandbox's own order, until there are as many of each kind as wanted."""
    left = dict(counts)
    index = 0
    while any(left.values()):
        session = make_session(split, seed, index, turns, size)
        index += 1
        kind = session.turns[0].kind
        if left[kind] and in_mice(session):
            left[kind] -= 1
            yield session


__all__ = ["TASKS", "formatted", "in_mice", "record", "write_sessions"]
