"""Samples and sessions of the sandbox, deterministic from (split, seed, index), with disjoint splits.

Disjoint in scenes: a scene's own content decides which split may show it. Disjoint in combinations: some
(action, colour, shape) triples belong to the test split alone, some to validation alone. Disjoint in wordings: templates
marked "!" appear only in test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from random import Random

from PIL import Image

from benchmarks.base import Edit, EditSample, EditSession, says_no_goal
from benchmarks.sandbox import scene as S
from benchmarks.sandbox import templates as T
from benchmarks.sandbox.edits import apply_edits
from benchmarks.sandbox.language import Speaker, kinds_of
from benchmarks.sandbox.render import render
from benchmarks.sandbox.scene import Scene, Thing
from common.errors import BadInput

KINDS = ("direct", "paraphrased", "indirect", "multi_step")
SPLITS = ("train", "validation", "test")
THING_ACTIONS = ("remove", "replace", "recolor", "material", "text", "move", "count")
EDIT_ACTIONS = ("add", *THING_ACTIONS, "caption", "background", "relight", "tone", "zoom")
EDIT_WEIGHTS = (12, 12, 10, 14, 9, 5, 10, 8, 4, 6, 4, 4, 2)
LENGTHS, LENGTH_WEIGHTS = (1, 2, 3, 4, 5), (30, 27, 21, 13, 9)
MAX_TRIES = 200


@dataclass(frozen=True)
class SandboxSample(EditSample):
    """A sample that also knows its world: the scene before, and the exact answer after."""

    before: Scene = field(default=None, compare=False)  # type: ignore[assignment]
    after: Scene = field(default=None, compare=False)  # type: ignore[assignment]
    size: int = 64
    rule: Edit | None = None  # the session's lasting rule, already applied to `after`

    @cached_property
    def image(self) -> Image.Image:  # type: ignore[override]
        return Image.fromarray(render(self.before, self.size))

    @cached_property
    def target(self) -> Image.Image:
        return Image.fromarray(render(self.after, self.size))


class Retry(Exception):
    """The random choices so far cannot be completed; draw again."""


# ---------------------------------------------------------------------------------------------------------- splits
def scene_split(scene: Scene) -> str:
    """The one split that may show this scene, from the scene's own content."""
    return _split_of(f"{scene.background}{scene.caption}{[(t.name, t.cell, t.material, t.size) for t in scene.things]}")


def combination_split(action: str, thing: Thing) -> str:
    """Which split owns the combination of an action with a colour and a shape; 'train' ones may appear everywhere."""
    return _split_of(f"{action} {thing.colour} {thing.shape}")


def _split_of(key: str) -> str:
    bucket = int.from_bytes(blake2b(key.encode(), digest_size=4).digest()) % 20
    return "test" if bucket < 2 else "validation" if bucket == 2 else "train"


# ---------------------------------------------------------------------------------------------------------- scenes
def random_thing(rng: Random, cell: tuple[int, int], taken: set[str]) -> Thing:
    """A thing for one cell whose name is not taken yet."""
    while True:
        shape, colour = rng.choice(S.SHAPES), rng.choice(tuple(S.COLOURS))
        if f"{colour} {shape}" not in taken:
            break
    material = rng.choice(S.MATERIALS[1:]) if rng.random() < 0.4 else "plain"
    size = rng.choice(S.SIZES)
    count, label = 1, ""
    if rng.random() < 0.12:
        count, size = rng.randint(2, S.MAX_COUNT), "small"
    elif shape in S.LABEL_SHAPES and material == "plain" and rng.random() < 0.25:
        size, label = "large", random_text(rng, S.MAX_LABEL)
    return Thing(shape, colour, cell, material, size, count, label, (rng.randint(-1, 1), rng.randint(-1, 1)))


def random_text(rng: Random, most: int) -> str:
    """Letters and digits that do not read as an absent goal ("NIL", "NONE")."""
    while True:
        text = "".join(rng.choice("ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789") for _ in range(rng.randint(2, most)))
        if not says_no_goal(text):
            return text


def random_scene(rng: Random, split: str, fewest: int = 1, most: int = 8) -> Scene:
    """A scene that belongs to `split`."""
    while True:
        n = max(fewest, min(most, rng.choice((1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 8))))
        things: list[Thing] = []
        for cell in rng.sample(S.CELLS, n):
            things.append(random_thing(rng, cell, {t.name for t in things}))
        caption = random_text(rng, S.MAX_CAPTION) if rng.random() < 0.2 else ""
        things.sort(key=lambda t: t.cell)
        for background in rng.sample(S.BACKGROUNDS, len(S.BACKGROUNDS)):  # cheaper than drawing all things anew
            scene = Scene(background, tuple(things), caption)
            if scene_split(scene) == split:
                return scene


# ---------------------------------------------------------------------------------------------------------- edits
@dataclass
class Draft:
    """One request in the making: the scene, what has been said and decided, and what may no longer be touched."""

    scene: Scene
    rng: Random
    speaker: Speaker
    split: str
    edits: list[Edit] = field(default_factory=list)
    clauses: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)  # names already edited or used as an anchor
    once: set[str] = field(default_factory=set)  # whole-picture actions already asked for
    cells: set[tuple[int, int]] = field(default_factory=set)  # free cells already promised
    names: set[str] = field(default_factory=set)  # names that exist now or will

    def __post_init__(self) -> None:
        self.names |= {t.name for t in self.scene.things}

    @property
    def things(self) -> dict[str, Thing]:
        return {t.name: t for t in self.scene.things}

    def say(self, clause: str, *edits: Edit) -> None:
        self.clauses.append(clause)
        self.edits.extend(edits)

    # ---- choices; each raises Retry when there is nothing to choose from ----
    def free_thing(self, action: str, fits: Callable[[Thing], bool] = lambda t: True) -> Thing:
        options = [t for t in self.scene.things if t.name not in self.used and fits(t) and self.may(action, t)]
        if not options:
            raise Retry
        thing = self.rng.choice(options)
        self.used.add(thing.name)
        return thing

    def may(self, action: str, thing: Thing) -> bool:
        owner = combination_split(action, thing)
        return owner in ("train", self.split)

    def free_cell(self) -> tuple[int, int]:
        options = [c for c in self.scene.free_cells if c not in self.cells]
        if not options:
            raise Retry
        cell = self.rng.choice(options)
        self.cells.add(cell)
        return cell

    def place_for(self, moving: Thing | None) -> str:
        """A free place: a cell's name, or a relation to an untouched thing whose neighbouring cell is free."""
        if self.rng.random() < 0.5:
            anchors = [t for t in self.scene.things if t.name not in self.used and t is not moving]
            self.rng.shuffle(anchors)
            steps = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}
            for anchor in anchors:
                relation = self.rng.choice(S.RELATIONS)
                cell = (anchor.cell[0] + steps[relation][0], anchor.cell[1] + steps[relation][1])
                if cell in self.scene.free_cells and cell not in self.cells:
                    self.cells.add(cell)
                    self.used.add(anchor.name)
                    return f"{relation} {anchor.name}"
        return S.CELL_NAMES[self.free_cell()]

    def new_thing(self, action: str) -> Thing:
        for _ in range(20):
            thing = random_thing(self.rng, (0, 0), self.names)
            thing = replace(thing, count=1, label="", material=thing.material if self.rng.random() < 0.5 else "plain")
            if self.may(action, thing):
                self.names.add(thing.name)
                return thing
        raise Retry

    def new_colour(self, thing: Thing) -> str:
        options = [c for c in S.COLOURS if c != thing.colour and f"{c} {thing.shape}" not in self.names]
        colour = self.rng.choice(options)
        self.names.add(f"{colour} {thing.shape}")
        return colour

    def change(self, action: str, thing: Thing) -> Edit:
        """An edit of the given action on the given thing, with a goal that really changes it."""
        rng = self.rng
        match action:
            case "remove":
                return Edit("remove", thing.name)
            case "recolor":
                return Edit("recolor", thing.name, self.new_colour(thing))
            case "material":
                return Edit("material", thing.name, rng.choice([m for m in S.MATERIALS if m != thing.material]))
            case "text":
                return Edit("text", thing.name, random_text(rng, S.MAX_LABEL))
            case "move":
                return Edit("move", thing.name, self.place_for(thing))
            case "count":
                return Edit("count", thing.name, str(rng.choice([n for n in range(1, 6) if n != thing.count])))
        raise ValueError(action)


FITS: dict[str, Callable[[Thing], bool]] = {
    "text": lambda t: t.shape in S.LABEL_SHAPES and t.size == "large" and t.count == 1 and t.material == "plain",
    "count": lambda t: not t.label,
    "material": lambda t: not t.label,
}


def explicit(draft: Draft, action: str) -> None:
    """One edit said in full."""
    rng, speaker = draft.rng, draft.speaker
    if action == "add":
        new = draft.new_thing("add")
        edit = Edit("add", new.phrase, draft.place_for(None) if rng.random() < 0.75 else None)
        if edit.goal is None:
            draft.free_cell()
        draft.say(speaker.clause(edit, draft.things, new), edit)
    elif action == "replace":
        old, new = draft.free_thing("replace"), draft.new_thing("replace")
        edit = Edit("replace", old.name, new.phrase)
        draft.say(speaker.clause(edit, draft.things, new), edit)
    elif action in THING_ACTIONS:
        edit = draft.change(action, draft.free_thing(action, FITS.get(action, lambda t: True)))
        draft.say(speaker.clause(edit, draft.things), edit)
    else:
        edit = whole_picture(draft, action)
        draft.say(speaker.clause(edit, draft.things), edit)


def whole_picture(draft: Draft, action: str) -> Edit:
    """An edit of the whole picture, each at most once in a request."""
    if action in draft.once:
        raise Retry
    draft.once.add(action)
    rng = draft.rng
    match action:
        case "caption":
            return Edit("text", "image", random_text(rng, S.MAX_CAPTION))
        case "background":
            return Edit(
                "background", "background", rng.choice([b for b in S.BACKGROUNDS if b != draft.scene.background])
            )
        case "relight":
            return Edit("relight", "image", rng.choice(S.LIGHTS))
        case "tone":
            return Edit("tone", "image", rng.choice(S.TONES))
        case "zoom":
            return Edit("zoom", "image", rng.choice(list(S.CELL_NAMES.values())))
    raise ValueError(action)


def indirect(draft: Draft) -> None:
    """One edit whose object or value only the picture tells."""
    rng, speaker = draft.rng, draft.speaker
    form = rng.choice(("reference", "reference", "reference", "same", "vague", "dislike"))
    if form == "vague":
        edit = whole_picture(draft, rng.choice(("background", "relight", "tone")))
        wordings = T.VAGUE.get(f"{edit.action}:{edit.goal}")
        if wordings is None:
            raise Retry
        draft.say(speaker.pick(wordings), edit)
        return
    action = {"same": rng.choice(("recolor", "recolor", "material")), "dislike": "remove"}.get(
        form, rng.choice(("remove", "recolor", "material", "move", "count", "replace"))
    )
    thing = draft.free_thing(action, FITS.get(action, lambda t: True))
    ref = speaker.refer(draft.scene, thing)
    if ref is None:
        raise Retry
    if form == "same":
        source = draft.free_thing("", lambda t: _can_lend(draft, thing, t, action))
        named = speaker.refer(draft.scene, source) if rng.random() < 0.6 else f"the {source.name}"
        # "the red one" would give the value away; the point is to look it up
        if named is None or (source.colour if action == "recolor" else source.material) in named:
            raise Retry
        value = source.colour if action == "recolor" else source.material
        if action == "recolor":
            draft.names.add(f"{value} {thing.shape}")
        wordings = T.SAME_COLOUR if action == "recolor" else T.SAME_MATERIAL
        draft.say(speaker.pick(wordings).format(s=ref, r=named), Edit(action, thing.name, value))
    elif form == "dislike":
        draft.say(speaker.pick(T.DISLIKE).format(s=ref), Edit("remove", thing.name))
    elif action == "replace":
        new = draft.new_thing("replace")
        edit = Edit("replace", thing.name, new.phrase)
        draft.say(speaker.clause(edit, draft.things, new, ref), edit)
    else:
        edit = draft.change(action, thing)
        draft.say(speaker.clause(edit, draft.things, ref=ref), edit)


def _can_lend(draft: Draft, thing: Thing, source: Thing, action: str) -> bool:
    if action == "material":
        return source.material != thing.material
    return source.colour != thing.colour and f"{source.colour} {thing.shape}" not in draft.names


def multi_step(draft: Draft, room: int) -> None:
    """Edits that depend on each other: swaps, chains on one thing, all things of a kind, the same again."""
    rng, speaker = draft.rng, draft.speaker
    form = rng.choice(("swap", "chain", "chain", "after", "all", "again"))
    if form == "swap":
        first = draft.free_thing("recolor")
        second = draft.free_thing("recolor", lambda t: _swappable(draft, first, t))
        draft.names |= {f"{first.colour} {second.shape}", f"{second.colour} {first.shape}"}
        text = speaker.pick(T.SWAP_COLOURS).format(s="the " + speaker.name(first), r="the " + speaker.name(second))
        draft.say(text, Edit("recolor", first.name, second.colour), Edit("recolor", second.name, first.colour))
    elif form in ("chain", "after"):
        chain(draft, reverse=form == "after")
    elif form == "all":
        action = rng.choice(tuple(T.ALL_OF))
        groups = {
            k: ts for k, ts in kinds_of(draft.scene).items() if len(ts) <= room and _groupable(draft, action, k, ts)
        }
        if not groups:
            raise Retry
        word = rng.choice(sorted(groups))
        things = groups[word]
        goal = _group_goal(draft, action, things)
        draft.used |= {t.name for t in things}
        text = speaker.pick(T.ALL_OF[action]).format(k=word, g=goal)
        draft.say(text, *(Edit(action, t.name, goal) for t in things))
    else:
        action = rng.choice(("remove", "recolor", "material"))
        first, second = (
            draft.free_thing(action, FITS.get(action, lambda t: True)),
            draft.free_thing(action, FITS.get(action, lambda t: True)),
        )
        edit = draft.change(action, first)
        if action == "recolor" and f"{edit.goal} {second.shape}" in draft.names:
            raise Retry
        if action == "recolor":
            draft.names.add(f"{edit.goal} {second.shape}")
        if edit.goal is not None and edit.goal in (second.colour, second.material):
            raise Retry
        again = speaker.pick_of(T.SAME_AGAIN).format(r="the " + speaker.name(second))
        draft.say(f"{speaker.clause(edit, draft.things)} {again}", edit, Edit(action, second.name, edit.goal))


def _swappable(draft: Draft, a: Thing, b: Thing) -> bool:
    if a.colour == b.colour or a.shape == b.shape:
        return False
    return not {f"{b.colour} {a.shape}", f"{a.colour} {b.shape}"} & draft.names


def _groupable(draft: Draft, action: str, word: str, things: Sequence[Thing]) -> bool:
    if action == "recolor" and word in S.COLOURS or action == "material" and word in S.MATERIALS:
        return False
    if action == "recolor" and len({t.shape for t in things}) < len(things):
        return False  # recolouring two circles alike would leave two things with one name
    return all(
        t.name not in draft.used and draft.may(action, t) and FITS.get(action, lambda t: True)(t) for t in things
    )


def _group_goal(draft: Draft, action: str, things: Sequence[Thing]) -> str | None:
    if action == "remove":
        return None
    if action == "recolor":
        options = [c for c in S.COLOURS if all(f"{c} {t.shape}" not in draft.names for t in things)]
    else:
        options = [m for m in S.MATERIALS if all(t.material != m for t in things)]
    if not options:
        raise Retry
    goal = draft.rng.choice(options)
    draft.names |= {f"{goal} {t.shape}" for t in things}
    return goal


def chain(draft: Draft, reverse: bool) -> None:
    """Two edits on one thing, the second calling it 'it'; reversed, the second is said first ('… after moving …')."""
    rng, speaker = draft.rng, draft.speaker
    if rng.random() < 0.35 and not reverse:  # add something, then change what was added
        new = draft.new_thing("add")
        first = Edit("add", new.phrase, draft.place_for(None))
        draft.used.add(new.name)
        clause = speaker.clause(first, draft.things, new)
        thing, actions = new, ["recolor", "material", "count"]
    else:
        first_action = rng.choice(("recolor", "material", "move", "count"))
        thing = draft.free_thing(first_action, lambda t: not t.label)
        first = draft.change(first_action, thing)
        clause = speaker.clause(first, draft.things)
        actions = [a for a in ("remove", "recolor", "material", "move", "count") if a != first_action]
    second_action = rng.choice(actions)
    if not draft.may(second_action, thing):
        raise Retry
    second = draft.change(second_action, thing)
    goal = speaker.goal(second, draft.things)
    if reverse:
        said = speaker.clause(second, draft.things, ref="it")
        draft.say(f"{said} after this: {clause}", first, second)
    else:
        draft.say(f"{clause} {speaker.pick(T.THEN[second_action]).format(g=goal)}", first, second)


# ---------------------------------------------------------------------------------------------------------- samples
def make_sample(
    split: str,
    seed: int,
    index: int,
    kinds: dict[str, float],
    lengths: Sequence[float],
    size: int = 64,
    wordings: float = 1.0,
    series: str = "",
) -> SandboxSample:
    """Sample number `index` of a split: the same for ever for the same arguments. Each `series` of a split is drawn on its own;
    "" is the split's first one."""
    drawn = series or split
    rng = Random(f"{drawn}/{seed}/{index}")
    kind = rng.choices(tuple(kinds), tuple(kinds.values()))[0]
    length = rng.choices(LENGTHS, lengths)[0]
    for _ in range(MAX_TRIES):
        try:
            return _try_sample(rng, split, f"sandbox-{drawn}-{seed}-{index}", kind, length, size, wordings)
        except (Retry, BadInput):  # an edit that cannot be drawn (no free cell, name taken): other choices
            continue
    raise RuntimeError(f"no {kind} request of {length} edits after {MAX_TRIES} tries; the grammar has a dead end")


def _try_sample(rng: Random, split: str, id_: str, kind: str, length: int, size: int, wordings: float) -> SandboxSample:
    scene = random_scene(rng, split, fewest=min(8, max(1 + (kind != "direct"), length)))
    speaker = Speaker(rng, plain=kind == "direct", unseen=split == "test", share=wordings)
    draft = Draft(scene, rng, speaker, split)
    if kind == "multi_step":
        length = max(2, length)
        multi_step(draft, room=length)
    elif kind == "indirect":
        indirect(draft)
    while len(draft.edits) < length:
        if kind == "indirect" and rng.random() < 0.6:
            indirect(draft)
        else:
            explicit(draft, rng.choices(EDIT_ACTIONS, EDIT_WEIGHTS)[0])
    if len(draft.edits) > LENGTHS[-1]:
        raise Retry
    gold = tuple(draft.edits)
    after = apply_edits(scene, gold)
    if after == scene:
        raise Retry
    request = speaker.dress(speaker.join(draft.clauses))
    return SandboxSample(id_, request, gold, kind, before=scene, after=after, size=size)


SESSION_ACTIONS = ("add", "replace", "recolor", "material", "move", "count", "remove")
PRONOUN_ACTIONS = ("remove", "recolor", "material", "move", "count")  # what may be done with "it"
RULES = ("recolor", "material")  # kinds of lasting rules


@dataclass(frozen=True)
class SessionMix:
    """Weights of what the turns of sessions ask for, and of the kinds of lasting rules."""

    actions: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(SESSION_ACTIONS, 1.0))
    rules: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(RULES, 1.0))

    def __post_init__(self) -> None:
        for name, weights, known in (("action", self.actions, SESSION_ACTIONS), ("rule", self.rules, RULES)):
            if unknown := [key for key in weights if key not in known]:
                raise BadInput(f"a session has no {name} {unknown[0]!r}; choose among {', '.join(known)}")
            if not any(w > 0 for w in weights.values()):
                raise BadInput(f"the weights of a session's {name}s are all 0; give one above 0")
        if not any(self.actions.get(a, 0) > 0 for a in PRONOUN_ACTIONS):
            raise BadInput(
                f'a session needs one of the actions {", ".join(PRONOUN_ACTIONS)}, which can be done with "it"'
            )


EVERY_ACTION = SessionMix()


def make_session(
    split: str, seed: int, index: int, turns: int = 3, size: int = 64, mix: SessionMix = EVERY_ACTION
) -> EditSession:
    """A session: half carry a lasting rule said in turn 1, the others call things by pronouns in later turns."""
    rng = Random(f"session/{split}/{seed}/{index}")
    for _ in range(MAX_TRIES):
        try:
            return _try_session(rng, split, f"sandbox-session-{split}-{seed}-{index}", turns, size, mix)
        except (Retry, BadInput):
            continue
    raise RuntimeError(f"no session of {turns} turns after {MAX_TRIES} tries; the grammar has a dead end")


def _pick(rng: Random, options: Sequence[str], weights: Mapping[str, float]) -> str:
    """One of the options by weight; equal weights draw as `rng.choice` does, so that sessions stay what they were."""
    there = [o for o in options if weights.get(o, 0) > 0]
    if not there:
        raise Retry
    if len({weights[o] for o in there}) == 1:
        return rng.choice(there)
    return rng.choices(there, [weights[o] for o in there])[0]


def _try_session(rng: Random, split: str, id_: str, turns: int, size: int, mix: SessionMix) -> EditSession:
    scene = random_scene(rng, split, fewest=3, most=6)
    ruled = rng.random() < 0.5
    rule, rule_text = _draw_rule(rng, split, mix) if ruled else (None, None)
    samples: list[SandboxSample] = []
    touched: Thing | None = None
    for k in range(turns):
        speaker = Speaker(rng, unseen=split == "test")
        draft = Draft(scene, rng, speaker, split)
        pronoun = not ruled and touched is not None and rng.random() < 0.7
        if pronoun and touched is not None:
            fitting = [a for a in PRONOUN_ACTIONS if FITS.get(a, lambda t: True)(touched)]
            action = _pick(rng, fitting, mix.actions)
            draft.used.add(touched.name)
            edit = draft.change(action, touched)
            draft.say(speaker.clause(edit, draft.things, ref="it"), edit)
        else:
            explicit(draft, _pick(rng, SESSION_ACTIONS, mix.actions))
        gold = tuple(draft.edits)
        plain = apply_edits(scene, gold)
        changed = _changed(scene, plain)
        after = plain
        if rule is not None and changed is not None:
            after = plain.with_thing(changed, _ruled(changed, rule))
            if len({t.name for t in after.things}) < len(after.things):
                raise Retry
            changed = _changed(scene, after)
        if after == scene:  # a rule can undo the edit it belongs to
            raise Retry
        request = speaker.join(draft.clauses)
        if k == 0 and rule_text:
            request = rule_text + speaker.pick_of(T.RULE_JOIN).format(c=request)
        history = tuple(s.request for s in samples)
        samples.append(
            SandboxSample(
                f"{id_}-{k}",
                request,
                gold,
                "cm" if ruled else "cu",
                history,
                before=scene,
                after=after,
                size=size,
                rule=rule,
            )
        )
        scene, touched = after, changed
    return EditSession(id_, tuple(samples), rule_text)


def _draw_rule(rng: Random, split: str, mix: SessionMix) -> tuple[Edit, str]:
    action = _pick(rng, RULES, mix.rules)
    value = rng.choice(tuple(S.COLOURS) if action == "recolor" else S.MATERIALS[1:])
    text = Speaker(rng, unseen=split == "test").pick(T.RULES[action]).format(g=value)
    return Edit(action, "", value), text


def _ruled(thing: Thing, rule: Edit) -> Thing:
    value = rule.goal or ""
    return replace(thing, colour=value) if rule.action == "recolor" else replace(thing, material=value)


def _changed(before: Scene, after: Scene) -> Thing | None:
    """The one thing that is new or different after a single edit, None when it was removed."""
    fresh = [t for t in after.things if t not in before.things]
    return fresh[0] if len(fresh) == 1 else None


class SandboxBenchmark:
    """An endless benchmark: `sample(i)` and `session(i)` for any i >= 0."""

    def __init__(
        self,
        split: str = "test",
        seed: int = 0,
        size: int = 64,
        kinds: Sequence[str] | Mapping[str, float] = KINDS,
        max_edits: int = 5,
        lengths: Sequence[float] = LENGTH_WEIGHTS,
        wordings: float = 1.0,
        series: str = "",
    ):
        """`kinds` are equally likely, or have weights; `lengths` weighs requests of 1..5 edits; `wordings` < 1 keeps to
        the first share of every list of templates (a supervised start sees only part of the grammar); `series` names
        another sequence of samples of the same split."""
        if split not in SPLITS:
            raise BadInput(f"unknown split '{split}'; one of {', '.join(SPLITS)}")
        if unknown := [k for k in kinds if k not in KINDS]:
            raise BadInput(f"unknown request kind '{unknown[0]}'; any of {', '.join(KINDS)}")
        if not 1 <= max_edits <= LENGTHS[-1]:
            raise BadInput(f"max_edits must be 1..{LENGTHS[-1]}, not {max_edits}")
        self.split, self.seed, self.size, self.wordings, self.series = split, seed, size, wordings, series
        self.kinds = dict(kinds) if isinstance(kinds, Mapping) else dict.fromkeys(kinds, 1.0)
        self.lengths = tuple(w if n <= max_edits else 0 for n, w in zip(LENGTHS, lengths, strict=True))

    def sample(self, index: int) -> SandboxSample:
        return make_sample(
            self.split, self.seed, index, self.kinds, self.lengths, self.size, self.wordings, self.series
        )

    def session(self, index: int, turns: int = 3) -> EditSession:
        return make_session(self.split, self.seed, index, turns, self.size)
