"""What each task asks of boxes and answers: every row of the published table, with boxes and answers made by hand."""

from __future__ import annotations

import pytest
from PIL import Image

from benchmarks.item import Item
from benchmarks.sandbox.__main__ import main
from judges.prompt import load_prompt
from judges.sessions.detector import Box
from judges.sessions.mice_boxes import Found
from judges.sessions.mice_following import AFTER, BEFORE, PROMPTS, Check, check_of, says_yes, without_plural
from judges.sessions.mice_instruction import TASKS

LEFT, RIGHT = Box(0, 0, 20, 20, 0.5), Box(70, 70, 90, 90, 0.5)


def check(task: str, text: str) -> Check:
    made = check_of(task, text)
    assert isinstance(made, Check)
    return made


def why(made: Check, **boxes: tuple[Box, ...]) -> str:
    """`boxes` by role; the others are empty."""
    return made.why_not({role: Found(boxes.get(role.replace(" ", "_"), ()), (100, 100)) for role in made.sought})


def sought(made: Check) -> dict[str, tuple[str, str, float]]:
    return {role: (s.when, s.name, s.threshold) for role, s in made.sought.items()}


def test_add() -> None:
    plain = check("subject_add", "Add [lamp]")
    assert sought(plain) == {"object": (AFTER, "lamp", 0.3)}
    assert why(plain, object=(LEFT,)) == "" and "lamp" in why(plain)
    assert plain.asked is not None and plain.asked.pictures == (BEFORE, AFTER) and plain.holds("YES, it was.")
    placed = check("subject_add", "Add [lamp] on the [left] of [bed]")
    assert sought(placed) == {"object": (AFTER, "lamp", 0.3), "reference": (BEFORE, "bed", 0.3)}
    assert why(placed, object=(LEFT,), reference=(RIGHT,)) == ""
    assert "left" in why(placed, object=(RIGHT,), reference=(LEFT,))
    assert "bed is found before" in why(placed, object=(LEFT,)) and "lamp is found after" in why(placed)


def test_remove_asks_nothing() -> None:
    made = check("subject_remove", "Remove [car]")
    assert sought(made) == {BEFORE: (BEFORE, "car", 0.35), AFTER: (AFTER, "car", 0.35)} and made.asked is None
    assert why(made, before=(LEFT,)) == "" and why(made, before=(LEFT,), after=(LEFT,)) != "" and why(made) != ""


def test_replace_strips_plurals_by_their_letters() -> None:
    made = check("subject_replace", "Replace [boxes] with [glass]")
    assert sought(made) == {"old": (BEFORE, "box", 0.3), "new": (AFTER, "glas", 0.3)}
    assert why(made, old=(LEFT,), new=(LEFT,)) == "" and why(made, old=(LEFT,), new=(RIGHT,)) != ""
    assert [without_plural(n) for n in ("cats", "horses", "dog")] == ["cat", "hors", "dog"]


@pytest.mark.parametrize("what", ["color", "material"])
def test_color_and_material_are_one_question(what: str) -> None:
    made = check(f"{what}_alter", f"Change the {what} of [cup] to [gold]")
    assert not made.sought and why(made) == ""
    assert made.asked is not None and dict(made.asked.fields) == {"object": "cup", "value": "gold"}
    assert made.holds("Yes") and not made.holds("No") and made.holds("No... or rather yes")  # as published


def test_text_is_read_in_the_result() -> None:
    added = check("text_change", "Add text '[Sale 50%]' on the image")
    assert added.asked is not None and added.asked.pictures == (AFTER,) and not added.sought
    assert added.holds("BIG SALE 50% TODAY") and not added.holds("Sale 5%")
    changed = check("text_change", "Replace the text '[Open]' on [sign] with '[Closed]'")
    assert sought(changed) == {"object": (BEFORE, "sign", 0.3)} and why(changed) != ""
    assert why(changed, object=(LEFT,)) == "" and changed.holds("we are closed") and not changed.holds("Open")


def test_position_looks_for_both_objects_in_both_pictures() -> None:
    made = check("position_change", "Change the position of [cup] to [left] of [table]")
    assert {s.threshold for s in made.sought.values()} == {0.4} and len(made.sought) == 4 and made.asked is None
    table = {"reference_before": (RIGHT,), "reference_after": (RIGHT,)}
    assert why(made, object_before=(RIGHT,), object_after=(LEFT,), **table) == ""
    assert why(made, object_before=(LEFT, RIGHT), object_after=(LEFT,), **table) != ""


def test_count() -> None:
    made = check("count_change", "Change the count of [cup] to [2]")
    assert why(made, before=(LEFT,), after=(LEFT, RIGHT, RIGHT)) == ""
    assert "1 instead of 2" in why(made, before=(LEFT,), after=(LEFT,))
    assert "before" in why(made, after=(LEFT, RIGHT))
    assert "no number" in str(check_of("count_change", "Change the count of [cup] to [two]"))


def test_background() -> None:
    made = check("background_change", "Change the background to beach, remain the dog,cat unchanged")
    assert sought(made) == {"dog": (AFTER, "dog", 0.25), "cat": (AFTER, "cat", 0.25)}
    assert why(made, dog=(LEFT,), cat=(LEFT,)) == "" and "cat" in why(made, dog=(LEFT,))
    alone = check("background_change", "Change the background to [beach]")
    assert alone.asked is not None and alone.asked.pictures == (AFTER,) and not alone.sought


def test_what_cannot_be_read_says_why() -> None:
    assert "cannot be read as text_change" in str(check_of("text_change", "Add text '[]' on the image"))
    assert "unknown task" in str(check_of("", ""))


def test_every_prompt_is_there_and_filled_by_the_fields_of_its_task() -> None:
    texts = {
        "subject_add": "Add [a]",
        "subject_remove": "Remove [a]",
        "subject_replace": "Replace [a] with [b]",
        "color_alter": "Change the color of [a] to [b]",
        "material_alter": "Change the material of [a] to [b]",
        "text_change": "Add text '[a]' on the image",
        "position_change": "Change the position of [a] to [left] of [b]",
        "count_change": "Change the count of [a] to [2]",
        "background_change": "Change the background to [a]",
    }
    assert set(texts) == set(TASKS)
    used = set()
    for task, text in texts.items():
        if (asked := check(task, text).asked) is not None:
            used.add(asked.prompt)
            assert load_prompt(asked.prompt, PROMPTS[asked.prompt]).fill(**asked.fields)
    assert used == set(PROMPTS)


def test_the_answer_to_a_yes_or_no_question() -> None:
    assert says_yes("Yes.") and says_yes(" yes") and not says_yes("no") and not says_yes("")


def test_every_turn_of_the_sandboxs_sessions_can_be_checked(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from benchmarks.mice_sessions import load
    from benchmarks.options import BenchmarkOptions

    main(["mice", "n=6", f"out={tmp_path}"])
    benchmark = load(BenchmarkOptions(path=str(tmp_path)))
    items = [item for i in range(len(benchmark)) for item in benchmark.unit(i)]
    assert items and all(isinstance(item, Item) for item in items)
    for item in items:
        assert isinstance(check_of(item.facts["task_type"], item.facts["formatted_instruction"]), Check)
        assert isinstance(item.image, Image.Image)
