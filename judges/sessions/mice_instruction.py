"""What MICE-Bench's formatted instruction asks for (Edit-R2, arXiv 2606.05950), read as its published scorer reads it.

The scorer accepts other texts than the gold of benchmarks/mice_gold.py: it searches instead of matching the whole text, an
argument is anything but empty and has no "]", and directions are not checked. An instruction that it cannot read scores 0.
"""

from __future__ import annotations

import re

ADD, REMOVE, REPLACE = "subject_add", "subject_remove", "subject_replace"
COLOR, MATERIAL, TEXT = "color_alter", "material_alter", "text_change"
POSITION, COUNT, BACKGROUND = "position_change", "count_change", "background_change"

_ARG = r"\[([^\]]+)\]"
_PATTERNS = {  # the more specific one first
    ADD: (rf"Add {_ARG} on the {_ARG} of {_ARG}", rf"Add {_ARG}"),
    REMOVE: (rf"Remove {_ARG}",),
    REPLACE: (rf"Replace {_ARG} with {_ARG}",),
    COLOR: (rf"Change the color of {_ARG} to {_ARG}",),
    MATERIAL: (rf"Change the material of {_ARG} to {_ARG}",),
    TEXT: (rf"Replace the text '{_ARG}' on {_ARG} with '{_ARG}'", rf"Add text '{_ARG}' on the image"),
    POSITION: (rf"Change the position of {_ARG} to {_ARG} of {_ARG}",),
    COUNT: (rf"Change the count of {_ARG} to {_ARG}",),
    BACKGROUND: (rf"Change the background to {_ARG}",),
}
TASKS = tuple(_PATTERNS)
_COMPILED = {task: tuple(map(re.compile, patterns)) for task, patterns in _PATTERNS.items()}
_REMAINING = re.compile(
    r"Change the background to ([^,]+), remain the (.+) unchanged"
)  # EdiVal's form, without brackets


def parse_instruction(task_type: str, formatted: str) -> tuple[str, ...] | None:
    """The arguments in their order, or None where the text cannot be read as this task.

    add: object [, direction, reference]; remove: object; replace: old, new; color and material: object, value; text: text, or
    old text, object, new text; position: object, direction, reference; count: object, number; background: background,
    then the objects that are to remain, where the text names any.
    """
    if task_type == BACKGROUND and (match := _REMAINING.search(formatted)):
        return (match[1], *(name for name in match[2].split(",") if name.strip()))
    for pattern in _COMPILED.get(task_type, ()):
        if match := pattern.search(formatted):
            return match.groups()
    return None


__all__ = ["ADD", "BACKGROUND", "COLOR", "COUNT", "MATERIAL", "POSITION", "REMOVE", "REPLACE", "TASKS", "TEXT"]
__all__ += ["parse_instruction"]
