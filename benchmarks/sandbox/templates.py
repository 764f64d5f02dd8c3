"""The sandbox's wordings: clause templates per action, synonyms, politeness and fillers.

Slots: {s} the thing named with its article, {S} the same without an article, {g} the goal as words, {a} the goal with "a".
A template that starts with "!" appears only in the test split, so that generalisation to unseen wordings is measured.
"""

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet", "cherry"),
    "orange": ("orange", "tangerine", "amber"),
    "yellow": ("yellow", "lemon", "golden"),
    "green": ("green", "emerald", "lime"),
    "cyan": ("cyan", "turquoise", "teal"),
    "blue": ("blue", "navy", "azure"),
    "purple": ("purple", "violet", "lilac"),
    "pink": ("pink", "rose", "magenta"),
    "brown": ("brown", "chocolate", "tan"),
    "gray": ("gray", "grey", "silver"),
    "black": ("black", "ebony", "jet"),
    "white": ("white", "ivory", "snowy"),
}
SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "disc", "ball"),
    "square": ("square", "box", "block"),
    "triangle": ("triangle", "pyramid"),
    "star": ("star", "asterisk"),
    "heart": ("heart", "love symbol"),
    "diamond": ("diamond", "rhombus"),
    "cross": ("cross", "plus sign"),
    "ring": ("ring", "hoop"),
    "moon": ("moon", "crescent"),
    "house": ("house", "hut"),
    "tree": ("tree", "fir"),
    "fish": ("fish", "carp"),
}
MATERIAL_WORDS: dict[str, tuple[str, ...]] = {
    "plain": ("plain", "solid"),
    "striped": ("striped", "stripy"),
    "dotted": ("dotted", "spotted"),
    "checkered": ("checkered", "chequered"),
    "metallic": ("metallic", "shiny"),
}
BACKGROUND_WORDS: dict[str, tuple[str, ...]] = {
    "white": ("white", "blank"),
    "sky": ("sky", "clear sky"),
    "grass": ("grass", "meadow"),
    "sand": ("sand", "desert"),
    "night": ("night", "night sky"),
    "snow": ("snow", "snowy field"),
    "sea": ("sea", "ocean"),
    "sunset": ("sunset", "evening sky"),
    "brick": ("brick", "brick wall"),
    "forest": ("forest", "woods"),
}
NUMBER_WORDS: dict[str, tuple[str, ...]] = {
    "1": ("1", "one"),
    "2": ("2", "two"),
    "3": ("3", "three"),
    "4": ("4", "four"),
    "5": ("5", "five"),
}

# ---- explicit wordings: kind "direct" draws from the first two, kind "paraphrased" from all ----
CLAUSES: dict[str, tuple[str, ...]] = {
    "add": (
        "add {a}",
        "put {a} in the picture",
        "insert {a}",
        "i want {a} in there",
        "place {a} in the scene",
        "there should also be {a}",
        "draw {a} for me",
        "include {a}",
        "!the image needs {a}",
        "!drop {a} in",
    ),
    "add_at": (
        "add {a} {g}",
        "put {a} {g}",
        "insert {a} {g}",
        "i want {a} {g}",
        "place {a} {g}",
        "{g} there should be {a}",
        "draw {a} {g}",
        "{g} i would like {a}",
        "!drop {a} {g}",
        "!have {a} appear {g}",
    ),
    "remove": (
        "remove {s}",
        "delete {s}",
        "get rid of {s}",
        "take {s} away",
        "erase {s}",
        "i don't want {s} any more",
        "{s} has to go",
        "take out {s}",
        "lose {s}",
        "!make {s} vanish",
        "!{s} should disappear",
    ),
    "replace": (
        "replace {s} with {a}",
        "swap {s} for {a}",
        "turn {s} into {a}",
        "exchange {s} for {a}",
        "put {a} where {s} is",
        "i want {a} instead of {s}",
        "substitute {a} for {s}",
        "!{s} should become {a}",
        "!trade {s} for {a}",
    ),
    "recolor": (
        "change the color of {s} to {g}",
        "recolor {s} to {g}",
        "make {s} {g}",
        "paint {s} {g}",
        "turn {s} {g}",
        "{s} should be {g}",
        "i'd like {s} in {g}",
        "color {s} {g}",
        "can {s} be {g}",
        "!give {s} a {g} color",
        "!dye {s} {g}",
    ),
    "material": (
        "change the material of {s} to {g}",
        "make {s} {g}",
        "give {s} a {g} texture",
        "{s} should look {g}",
        "turn {s} into something {g}",
        "i want a {g} surface on {s}",
        "the pattern of {s} should be {g}",
        "!cover {s} with a {g} pattern",
        "!render {s} {g}",
    ),
    "text": (
        "add the text '{g}' to the image",
        "write '{g}' on the image",
        "put the words '{g}' in the picture",
        "caption it '{g}'",
        "the image should say '{g}'",
        "add a caption reading '{g}'",
        "!print '{g}' at the bottom",
    ),
    "text_on": (
        "change the text on {s} to '{g}'",
        "write '{g}' on {s}",
        "put the letters '{g}' on {s}",
        "{s} should say '{g}'",
        "label {s} with '{g}'",
        "!print '{g}' on {s}",
    ),
    "move": (
        "move {s} {g}",
        "change the position of {s} {g}",
        "shift {s} {g}",
        "put {s} {g} instead",
        "{s} belongs {g}",
        "bring {s} {g}",
        "drag {s} {g}",
        "!relocate {s} {g}",
        "!{s} should go {g}",
    ),
    "count": (
        "change the count of {s} to {g}",
        "make it {g} of {s}",
        "i want {g} of {s}",
        "there should be {g} of {s}",
        "show {g} copies of {s}",
        "have {g} of {s} there",
        "!{s} should appear {g} times",
    ),
    "background": (
        "change the background to {g}",
        "make the background {g}",
        "replace the backdrop by {g}",
        "use {g} as the background",
        "put everything in front of {g}",
        "i want {g} behind it all",
        "!set the scene against {g}",
    ),
    "relight:brighter": (
        "make the image brighter",
        "brighten the image",
        "turn up the light",
        "lighten the whole picture",
        "more light please",
        "!increase the brightness",
    ),
    "relight:darker": (
        "make the image darker",
        "darken the image",
        "turn down the light",
        "dim the whole picture",
        "less light please",
        "!lower the brightness",
    ),
    "tone:warmer": (
        "make the image warmer",
        "give the image a warmer tone",
        "shift the colors towards warm",
        "warm up the picture",
        "!add some warmth to the colors",
    ),
    "tone:cooler": (
        "make the image cooler",
        "give the image a cooler tone",
        "shift the colors towards cool",
        "cool down the picture",
        "!add a cold tint",
    ),
    "tone:grayscale": (
        "make the image grayscale",
        "convert the image to black and white",
        "take all the color out of the picture",
        "turn it into a monochrome picture",
        "!desaturate everything",
    ),
    "tone:sepia": (
        "make the image sepia",
        "give the image a sepia tone",
        "make it look like an old photograph",
        "!give it a vintage brown look",
    ),
    "zoom": (
        "zoom in on the {g}",
        "crop the image to the {g}",
        "show only the {g} part",
        "enlarge the {g} of the picture",
        "cut away all but the {g}",
        "!get closer to the {g}",
    ),
}

# ---- indirect wordings: what to do is said, to what or to which value only the picture tells ----
DISLIKE = (
    "i don't like {s}",
    "{s} bothers me",
    "{s} is in the way",
    "it would look better without {s}",
    "!{s} spoils the picture",
)
VAGUE: dict[str, tuple[str, ...]] = {  # "action:goal" -> wordings
    "background:night": (
        "it should look like night",
        "make it night time",
        "!the sun has gone down already, show that",
    ),
    "background:snow": ("make it winter", "it should look like winter", "!it has been snowing all day, show that"),
    "background:sea": (
        "let it all float in the ocean",
        "make it happen out at sea",
        "!we are on a boat now, show that",
    ),
    "background:forest": ("put it all among trees", "it should be deep in the woods", "!take the scene into the woods"),
    "background:sunset": ("make it evening", "the sun should be setting", "!the day is ending, show that"),
    "background:sand": ("make it happen at the beach", "it should be in a desert", "!we are in the dunes, show that"),
    "background:grass": ("let it lie on a lawn", "it should be on a meadow", "!put it all out in a field"),
    "background:sky": ("let everything fly", "it should be up in the air", "!lift the scene into the clouds"),
    "background:brick": ("hang it all on a wall", "it should be on a wall", "!it was painted on a wall, show that"),
    "relight:brighter": ("it is too dark", "i can hardly see anything", "!the picture is gloomy, fix it"),
    "relight:darker": ("it is too bright", "the light hurts my eyes", "!the picture is glaring, fix it"),
    "tone:warmer": ("it feels too cold", "the mood is chilly, fix it", "!the colors look icy, change that"),
    "tone:cooler": ("it feels too hot", "the mood is too fiery, calm it", "!the colors look like an oven, change that"),
}
SAME_COLOUR = (
    "make {s} match the color of {r}",
    "{s} should have the same color as {r}",
    "give {s} the color of {r}",
    "paint {s} like {r}",
    "!let {s} borrow the color of {r}",
)
SAME_MATERIAL = (
    "give {s} the pattern of {r}",
    "{s} should have the same pattern as {r}",
    "!let {s} borrow the pattern of {r}",
)

# ---- several steps that depend on each other ----
SWAP_COLOURS = (
    "swap the colors of {s} and {r}",
    "let {s} and {r} exchange colors",
    "{s} and {r} should trade colors",
    "!switch the colors of {s} and {r} around",
)
THEN = {  # what follows an edit on the thing just touched, which is called "it"
    "remove": ("then remove it", "and after that delete it", "!and finally get rid of it"),
    "recolor": ("then make it {g}", "and after that paint it {g}", "!and finally color it {g}"),
    "material": ("then make it {g}", "and after that give it a {g} texture", "!and finally make it {g}"),
    "move": ("then move it {g}", "and after that shift it {g}", "!and finally bring it {g}"),
    "count": ("then make it {g} of them", "and after that show {g} of it", "!and finally have {g} of it"),
}
ALL_OF = {
    "recolor": ("make every {k} {g}", "paint all the {k} things {g}", "!color each {k} thing {g}"),
    "remove": ("remove every {k}", "get rid of all the {k} things", "!erase each {k} thing"),
    "material": ("make every {k} {g}", "give all the {k} things a {g} texture", "!make each {k} thing {g}"),
}
SAME_AGAIN = ("and do the same to {r}", "and likewise {r}", "{r} too", "!and treat {r} the same way")

# ---- sessions ----
RULES = {  # said once in turn 1; holds for every thing that is added or changed later
    "recolor": (
        "from now on everything you add or change must be {g}",
        "set a lasting rule: use {g} for whatever is touched and nothing else",
        "keep to this in all edits: only the edited thing becomes {g}",
        "!remember for the rest: what you edit turns {g}",
    ),
    "material": (
        "from now on everything you add or change must be {g}",
        "set a lasting rule: whatever is touched gets a {g} texture and nothing else does",
        "keep to this in all edits: only the edited thing becomes {g}",
        "!remember for the rest: what you edit gets a {g} pattern",
    ),
}
RULE_JOIN = (". with this rule active, {c}", ". now {c}", ". first, {c}")

# ---- around the clauses; all of these appear in every split ----
OPENERS = (
    "",
    "",
    "",
    "",
    "please ",
    "could you ",
    "hey, ",
    "can you ",
    "i need you to ",
    "would you ",
    "ok so ",
    "quick one: ",
    "hi! ",
    "kindly ",
)
ASKING = ("please ", "could you ", "can you ", "i need you to ", "would you ", "kindly ")  # only before a verb
CLOSERS = ("", "", "", "", " please", " thanks", ", thank you", " if possible", ". cheers", ", much obliged")
JOINS = ("; ", ", then ", " and ", ". ", ", ", ". also, ", " and then ", ". after that ", ". oh, and ")
DIRECT_JOINS = ("; ", ", then ", " and ", ". ")
