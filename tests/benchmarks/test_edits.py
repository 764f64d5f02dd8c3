from dataclasses import replace
from random import Random

import pytest

from benchmarks.base import Edit
from benchmarks.sandbox import scene as S
from benchmarks.sandbox.edits import apply_edits, candidates, find
from benchmarks.sandbox.scene import Scene, Thing
from common.errors import BadInput
from tests.sandbox_scenes import random_scene

STAR = Thing("star", "red", (0, 0), "striped", "large", nudge=(1, -1))
CIRCLE = Thing("circle", "blue", (1, 1), label="AB")
SMALL = Thing("circle", "green", (2, 2), size="small")
SCENE = Scene("sky", (STAR, CIRCLE, SMALL))


def after(*edits, scene=SCENE):
    return apply_edits(scene, [Edit(*e) for e in edits])


@pytest.mark.parametrize(
    ("edit", "old", "new"),
    [
        (("remove", "red star"), STAR, None),
        (("recolor", "red star", "grey"), STAR, replace(STAR, colour="gray")),
        (("recolor", "the star", "red"), STAR, STAR),  # what it has already is no mistake
        (("material", "striped red star", "plain"), STAR, replace(STAR, material="plain")),
        (("count", "red star", "3"), STAR, replace(STAR, count=3)),
        (("count", "red star", "three"), STAR, replace(STAR, count=3)),
        (("text", "blue circle", "x9"), CIRCLE, replace(CIRCLE, label="X9")),
        (("move", "red star", "bottom left"), STAR, replace(STAR, cell=(2, 0))),
        (("move", "red star", "left of green circle"), STAR, replace(STAR, cell=(2, 1))),
        (("move", "red star", "below the blue circle"), STAR, replace(STAR, cell=(2, 1))),
        (("replace", "blue circle", "yellow fish"), CIRCLE, Thing("fish", "yellow", (1, 1))),
        (("replace", "red star", "small metallic pink tree"), STAR,
         Thing("tree", "pink", (0, 0), "metallic", "small", nudge=(1, -1))),
        (("replace", "red star", "three pink trees"), STAR, Thing("tree", "pink", (0, 0), "plain", "large", 3, nudge=(1, -1))),
    ],
)  # fmt: skip
def test_one_edit_of_a_thing(edit, old, new):
    assert after(edit) == SCENE.with_thing(old, new)


@pytest.mark.parametrize(
    ("edit", "change"),
    [
        (("text", "image", "hello"), {"caption": "HELLO"}),
        (("background", "background", "sea"), {"background": "sea"}),
        (("relight", "image", "darker"), {"light": "darker"}),
        (("tone", "image", "sepia"), {"tone": "sepia"}),
        (("zoom", "image", "center"), {"zoom": "center"}),
    ],
)
def test_edits_of_the_picture(edit, change):
    assert after(edit) == replace(SCENE, **change)


@pytest.mark.parametrize(
    ("edit", "cell"),
    [
        (("add", "pink heart"), (0, 1)),
        (("add", "pink heart", "middle right"), (1, 2)),
        (("add", "pink heart", "right of blue circle"), (1, 2)),
        (("add", "pink heart", "above green circle"), (1, 2)),
        (("add", "pink heart", "below the red star"), (1, 0)),
    ],
)
def test_add_finds_its_place(edit, cell):
    assert after(edit).things == (*SCENE.things, Thing("heart", "pink", cell))


def test_relation_goes_further_when_the_neighbour_is_taken():
    scene = Scene("sky", (Thing("star", "red", (1, 2)), Thing("ring", "cyan", (1, 1)), Thing("moon", "pink", (1, 0))))
    assert after(("add", "black fish", "left of red star"), scene=scene).things[-1].cell == (0, 1)
    with pytest.raises(BadInput, match="no free place right of"):
        after(("add", "black fish", "right of red star"), scene=scene)


def test_candidates():
    assert candidates(SCENE, Edit("add", "pink heart")) == SCENE.free_cells
    assert set(candidates(SCENE, Edit("add", "pink heart", "left of green circle"))) == {(0, 1), (1, 0), (2, 0), (2, 1)}
    assert candidates(SCENE, Edit("add", "pink heart", "left of green circle"))[0] == (2, 1)
    assert candidates(SCENE, Edit("add", "pink heart", "top right")) == ((0, 2),)
    assert (1, 1) in candidates(SCENE, Edit("move", "blue circle", "left of green circle"))
    assert candidates(SCENE, Edit("remove", "red star")) == ()


def test_names_mean_the_given_picture_first():
    swapped = after(("recolor", "blue circle", "red"), ("recolor", "red star", "blue"))
    assert [t.name for t in swapped.things] == ["blue star", "red circle", "green circle"]
    chained = after(("replace", "blue circle", "blue star"), ("move", "blue star", "bottom left"))
    assert chained.things[1] == Thing("star", "blue", (2, 0))
    assert after(("add", "pink moon"), ("recolor", "pink moon", "cyan")).things[-1].name == "cyan moon"
    again = after(("remove", "red star"), ("add", "red star", "top right"), ("count", "red star", "2"))
    assert again.things[-1] == Thing("star", "red", (0, 2), count=2)


def test_places_are_swapped_by_two_moves():
    done = after(("move", "red star", "center"), ("move", "blue circle", "top left"))
    assert [t.cell for t in done.things] == [(1, 1), (0, 0), (2, 2)]
    with pytest.raises(BadInput, match="would both be at the center"):
        after(("move", "red star", "center"))


def test_find():
    assert find(SCENE, "star") is STAR
    assert find(SCENE, "the small circle") is SMALL
    assert find(SCENE, "large striped red star") is STAR
    two = Scene("sky", (Thing("circle", "red", (0, 0)), Thing("circle", "red", (0, 1), "dotted")))
    assert find(two, "dotted red circle") is two.things[1]
    assert find(two, "red circle") is two.things[0]  # the only one whose whole look this is
    with pytest.raises(BadInput, match="fits 2 objects"):
        find(SCENE, "circle")


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("remove", "pink heart"), "no 'pink heart'"),
        (("remove", "circle"), "say more about it"),
        (("remove", "it"), "unknown word 'it'"),
        (("recolor", "red star", "turquoise"), "unknown colour"),
        (("material", "red star", None), "unknown material"),
        (("background", "background", "moon base"), "unknown background"),
        (("count", "red star", "12"), "from 1 to 5"),
        (("text", "image", "WAYTOOLONG"), "1 to 8"),
        (("text", "blue circle", "LONG"), "1 to 3"),
        (("text", "blue circle", "é"), "A-Z"),
        (("move", "red star", None), "where to"),
        (("move", "red star", "left of red star"), "itself"),
        (("add", "star"), "colour and its shape"),
        (("add", "red blue star"), "two colours"),
        (("add", "pink heart", "somewhere"), "unknown place"),
        (("zoom", "image", "red star"), "unknown place"),
        (("explode", "red star"), "unknown action"),
    ],
)
def test_impossible_edits_say_which_and_why(edit, says):
    with pytest.raises(BadInput, match=says) as error:
        after(("tone", "image", "sepia"), edit)
    assert "edit 2 of 2" in str(error.value)


def test_removed_things_are_gone_and_full_pictures_are_full():
    with pytest.raises(BadInput, match="already removed"):
        after(("remove", "red star"), ("recolor", "red star", "blue"))
    full = Scene("sky", tuple(Thing("star", c, cell) for c, cell in zip(S.COLOURS, S.CELLS, strict=False)))
    with pytest.raises(BadInput, match="no free place"):
        after(("add", "pink heart"), scene=full)


def test_random_scenes_keep_their_laws():
    """Whatever one edit does: the rest stays, cells stay distinct, the given scene is not changed."""
    for seed in range(200):
        scene, rng = random_scene(seed), Random(seed)
        thing = rng.choice(scene.things)
        edit = rng.choice(
            [
                Edit("remove", thing.name),
                Edit("recolor", thing.name, rng.choice(tuple(S.COLOURS))),
                Edit("count", thing.name, str(rng.randint(1, 5))),
                Edit("replace", thing.name, "small black fish"),
                Edit("move", thing.name, S.CELL_NAMES[rng.choice(scene.free_cells)]),
                Edit("add", "small black fish"),
            ]
        )
        result = apply_edits(scene, [edit])
        kept = [t for t in scene.things if t is not thing or edit.action == "add"]
        assert all(t in result.things for t in kept)
        assert len({t.cell for t in result.things}) == len(result.things)
        assert len(result.things) - len(scene.things) == {"add": 1, "remove": -1}.get(edit.action, 0)
        assert scene == random_scene(seed)
