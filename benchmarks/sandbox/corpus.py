"""Text-only sessions about everyday things, in the sandbox's own grammar: what teaches a tiny model to copy names.

The sandbox has 144 names; real requests name anything. Here the same actions are asked for on random noun phrases
(with invented words among them), over several turns, with lasting rules and pronouns. There is no picture, and no line of
it comes from a published data set.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from benchmarks.base import Edit, EditSample
from benchmarks.sandbox import templates as T
from benchmarks.sandbox.language import Speaker

MATERIAL_NAMES = """metal wood wooden plastic glass cotton wool silk leather denim paper stone brick ceramic rubber fabric concrete linen velvet
nylon marble bronze copper steel straw wicker felt canvas clay wax fur lace cardboard bamboo porcelain chrome iron tin suede satin crystal granite
polyester synthetic fiberglass aluminum vinyl foam knit plaster chainmail tweed corduroy gold silver""".split()
COLOUR_NAMES = """red orange yellow green cyan blue purple pink brown gray grey black white beige navy teal maroon peach tan gold silver olive
turquoise violet crimson ivory lavender coral mint cream khaki magenta indigo amber rust mustard""".split()
LOOKS = "old small big tall round long short dark light broken vintage modern striped spotted shiny folded empty open tiny huge wet".split()
NOUNS = """chair table lamp sofa shelf desk bench stool bed pillow blanket curtain rug mirror clock vase candle frame picture painting poster window door
fence gate wall roof floor stair railing column tower bridge castle church barn tent cabin lighthouse fountain statue sculpture pedestal
car truck bus train tram bicycle motorcycle scooter boat ship canoe kayak airplane helicopter balloon rocket van taxi wagon tractor
dog cat horse cow sheep goat pig rabbit fox bear wolf deer lion tiger monkey elephant giraffe zebra mouse squirrel hedgehog otter seal whale
bird eagle owl duck goose swan parrot pigeon seagull chicken rooster penguin crow crane butterfly bee spider ant beetle snail frog turtle lizard snake crab shrimp
apple pear banana lemon cherry grape peach plum melon pineapple strawberry tomato carrot potato onion pepper pumpkin mushroom corn bread cake cookie cupcake
cheese egg sandwich pizza burger noodle soup salad bowl plate cup mug glass bottle jar pot pan kettle teapot spoon fork knife tray napkin basket box bucket barrel
shirt jacket coat sweater hoodie vest dress skirt pants trousers jeans shorts suit tie scarf hat cap beanie helmet crown glove mitten sock shoe boot sandal sneaker belt
watch ring necklace bracelet earring glasses sunglasses goggles backpack handbag purse suitcase briefcase umbrella wallet key fan flag banner ribbon
book newspaper magazine map card letter envelope pen pencil brush marker ruler stapler notebook calendar laptop phone camera radio television speaker microphone
headphones keyboard monitor printer drum guitar piano violin trumpet flute harp ball bat racket skateboard ski sled kite puppet doll robot toy puzzle dice
tree bush flower rose tulip daisy sunflower cactus fern leaf branch log grass rock pebble shell feather cloud moon sun star mountain hill river lake pond island
wheel tire engine ladder hammer saw wrench drill nail screw rope chain hook net pipe tap hose broom mop sponge towel soap
man woman boy girl child baby player dancer singer farmer sailor soldier knight king queen wizard clown chef nurse cyclist runner
sign billboard mailbox streetlight hydrant bin cone crate pallet cart stroller wheelchair swing slide sandbox trampoline pole post lantern torch candlestick
anchor compass telescope microscope globe trophy medal badge mask wig beard hair tattoo eyebrow collar pocket button zipper sleeve hood strap handle lid label tag
cabinet drawer wardrobe counter sink stove oven fridge toaster blender microwave heater chimney fireplace balcony awning shutter curb staircase tablecloth cushion
hut temple pyramid windmill skyscraper factory stadium garage shed kiosk tunnel dam pier dock runway highway crosswalk sidewalk parasol hammock deckchair""".split()
SCENES = """forest beach desert library kitchen garden castle gym stadium city street museum cave jungle mountain farm market harbor classroom office
bedroom theater park playground lake river spaceship moon sunset field meadow subway airport hospital bakery church temple garage workshop attic rooftop
desert canyon glacier island vineyard orchard aquarium circus cathedral warehouse courtyard lobby balcony alley diner nightclub space swamp waterfall""".split()
TEXT_WORDS = """happy summer city dream sale open welcome home love peace music coffee night star new best free good world life big blue green wild
hello fresh market sweet stay way time team club road art rock magic sun sea north south king queen vintage classic never always today power""".split()
SYLLABLES = [
    a + b + c
    for a in "b c d f g k l m n p r s t v z br st tr gl".split()
    for b in "aeiou"
    for c in ("", "", "n", "r", "s", "l", "ck")
]
SIDES = ("left", "right", "above", "below")

RULE_TEXTS = (
    "from now on use {v} only on what is {verb} and leave the rest as it is",
    "set a lasting rule for all edits: {v} must go on the edited object and nothing else, keep the background and other objects untouched",
    "apply this to all edits that follow: only the object directly touched gets {v}, every other area must remain unaffected",
    "standing constraint: the object being {verb} is given {v}, do not alter surrounding elements",
)
RULE_LINKS = (". with this rule active, {c}", ". now {c}", " - {c}", ". first {c}")
ADD_AT = (
    "add {S} on the {d} of {R}",
    "put {S} {d} of {R}",
    "place {a} on the {d} of the {R}",
    "insert {S} to the {d} of {R}",
)
MOVE = (
    "change the position of {S} to {d} of {R}",
    "move the {S} to the {d} of the {R}",
    "shift {S} to {d} of {R}",
    "put the {S} on the {d} of {R}",
)
TEXT_ON = (
    "replace the text '{t}' on {S} with '{g}'",
    "change the text '{t}' on the {S} to '{g}'",
    "the {S} should say '{g}' instead of '{t}'",
)
TEXT_IMAGE = ("add text '{g}' on the image", *T.CLAUSES["text"])
COUNT = ("change the count of {S} to {g}", "there should be {g} of {S}", "make it {g} {S}", "i want {g} of the {S}")
KEEP = (", remain the {k} unchanged", ", keep the {k} as they are", " but leave the {k} alone", "")


@dataclass(frozen=True)
class Noun:
    """A noun phrase whose material and colour can change over a session."""

    noun: str
    material: str = ""
    colour: str = ""

    def __str__(self) -> str:
        return " ".join(w for w in (self.material, self.colour, self.noun) if w)


def invented(rng: Random) -> str:
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 3)))


def noun(rng: Random) -> Noun:
    """A random noun phrase of one to four words."""
    head = rng.choice(NOUNS) if rng.random() < 0.75 else invented(rng)
    extra = rng.random()
    if extra < 0.25:
        head = f"{rng.choice(NOUNS)} {head}"
    elif extra < 0.33:
        head = f"{rng.choice(LOOKS)} {head}"
    elif extra < 0.36:
        head = f"{rng.choice(LOOKS)} and {rng.choice(LOOKS)} {head}"
    material = rng.choice(MATERIAL_NAMES) if rng.random() < 0.45 else ""
    colour = rng.choice(COLOUR_NAMES) if rng.random() < 0.5 else ""
    return Noun(head, material, colour)


def shown_text(rng: Random) -> str:
    """What a text edit wants to read: words, codes or invented strings."""
    draw = rng.random()
    if draw < 0.6:
        words = [rng.choice(TEXT_WORDS if rng.random() < 0.7 else NOUNS) for _ in range(rng.randint(1, 3))]
        if rng.random() < 0.2:
            words.append(str(rng.randint(1, 2030)))
        return " ".join(words)
    if draw < 0.8:
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz0123456789") for _ in range(rng.randint(1, 8)))
    return " ".join(invented(rng) for _ in range(rng.randint(1, 3)))


def open_turn(rng: Random, turns: int = 3) -> EditSample:
    """One turn (any of the first `turns`) of a random session, with its history; text only."""
    speaker, turn = Speaker(rng), rng.randrange(turns)
    ruled = rng.random() < 0.4
    scene = [noun(rng) for _ in range(rng.randint(1, 5))]
    history: list[str] = []
    touched: Noun | None = None
    while True:
        clause, edits, touched, scene = _open_clause(rng, speaker, scene, touched if not ruled else None)
        if not history and ruled:
            value = (
                rng.choice(COLOUR_NAMES) + rng.choice((" color", ""))
                if rng.random() < 0.5
                else rng.choice(MATERIAL_NAMES) + " material"
            )
            rule = rng.choice(RULE_TEXTS).format(v=value, verb=rng.choice(("added", "modified", "added or changed")))
            clause = rule + rng.choice(RULE_LINKS).format(c=clause)
        if len(history) == turn:
            request = clause if rng.random() < 0.6 else speaker.dress(clause)
            return EditSample("", request, edits, "cm" if ruled else "cu", tuple(history))
        history.append(clause)


def _open_clause(
    rng: Random, speaker: Speaker, scene: list[Noun], touched: Noun | None
) -> tuple[str, tuple[Edit, ...], Noun | None, list[Noun]]:
    """One edit on the present things: its words, gold, the thing it leaves touched, and the things there are now."""
    it = touched is not None and touched in scene and rng.random() < 0.7
    old = touched if it and touched is not None else rng.choice(scene) if scene else noun(rng)
    others = [n for n in scene if n is not old] or [noun(rng)]
    ref, anchor = ("it" if it else f"the {old}" if rng.random() < 0.4 else str(old)), rng.choice(others)
    action = rng.choice(
        ("add", "add", "remove", "replace", "recolor", "material", "text", "move", "count", "background")
    )
    if it and action in ("add", "text", "background"):
        action = rng.choice(("recolor", "recolor", "remove", "material", "count"))
    rest = [n for n in scene if n is not old]
    match action:
        case "add":
            new = noun(rng)
            if rng.random() < 0.5:
                side = rng.choice(SIDES)
                text = rng.choice(ADD_AT).format(S=new, a=f"a {new}", d=side, R=anchor)
                goal = f"{side} of {anchor}" if side in ("left", "right") else f"{side} {anchor}"
                return text, (Edit("add", str(new), goal),), new, [*scene, new]
            text = f"add {new}" if rng.random() < 0.4 else speaker.pick(T.CLAUSES["add"]).format(a=f"a {new}")
            return text, (Edit("add", str(new)),), new, [*scene, new]
        case "remove":
            return speaker.pick(T.CLAUSES["remove"]).format(s=ref), (Edit("remove", str(old)),), None, rest
        case "replace":
            new = noun(rng)
            brought = str(new) if rng.random() < 0.5 else f"a {new}"
            text = speaker.pick(T.CLAUSES["replace"]).format(s=ref, a=brought)
            return text, (Edit("replace", str(old), str(new)),), new, [*rest, new]
        case "recolor":
            new = replace(old, colour=rng.choice(COLOUR_NAMES))
            if it and rng.random() < 0.5:
                text = rng.choice(("change its color to {g}", "its color should be {g}", "make its color {g}")).format(
                    g=new.colour
                )
            else:
                text = speaker.pick(T.CLAUSES["recolor"]).format(s=ref, g=new.colour)
            return text, (Edit("recolor", str(old), new.colour),), new, [*rest, new]
        case "material":
            new = replace(old, material=rng.choice(MATERIAL_NAMES))
            if it and rng.random() < 0.5:
                text = rng.choice(("change its material to {g}", "its material should be {g}")).format(g=new.material)
            else:
                text = speaker.pick(T.CLAUSES["material"]).format(s=ref, g=new.material)
            return text, (Edit("material", str(old), new.material),), new, [*rest, new]
        case "text":
            if rng.random() < 0.6:
                goal = shown_text(rng)
                return speaker.pick(TEXT_IMAGE).format(g=goal), (Edit("text", "image", goal),), touched, scene
            goal = shown_text(rng)
            text = rng.choice(TEXT_ON).format(t=shown_text(rng), S=old, g=goal)
            return text, (Edit("text", str(old), goal),), old, scene
        case "move":
            side = rng.choice(SIDES)
            goal = f"{side} of {anchor}" if side in ("left", "right") else f"{side} {anchor}"
            subject = "it" if it else str(old)
            text = rng.choice(MOVE).format(S=subject, d=side, R=anchor).replace("the it", "it")
            return text, (Edit("move", str(old), goal),), old, scene
        case "count":
            goal = str(rng.randint(1, 5))
            subject = "it" if it else str(old)
            text = rng.choice(COUNT).format(S=subject, g=speaker.word(T.NUMBER_WORDS, goal)).replace("the it", "it")
            return text, (Edit("count", str(old), goal),), old, scene
    goal = rng.choice(SCENES) if rng.random() < 0.8 else f"{rng.choice(NOUNS)} {rng.choice(SCENES)}"
    text = speaker.pick(T.CLAUSES["background"]).format(g=goal)
    if scene and rng.random() < 0.6:
        text += rng.choice(KEEP).format(k=", ".join(map(str, scene)))
    return text, (Edit("background", "background", goal),), touched, scene
