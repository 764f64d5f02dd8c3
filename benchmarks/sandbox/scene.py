"""The sandbox world's data model: what a scene is made of and how its things are named. No pixels here (`render.py`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

COLOURS = {  # name -> RGB; far enough apart to be told from one pixel
    "red": (220, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (245, 220, 50),
    "green": (50, 160, 70),
    "cyan": (60, 200, 210),
    "blue": (50, 90, 220),
    "purple": (140, 60, 190),
    "pink": (245, 130, 185),
    "brown": (135, 85, 45),
    "gray": (130, 130, 130),
    "black": (30, 30, 30),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "cross", "ring", "moon", "house", "tree", "fish")
ROUND_SHAPES = ("circle", "ring", "moon")
LABEL_SHAPES = ("circle", "square", "heart", "diamond", "house")  # wide enough in the middle to carry a short label
MATERIALS = ("plain", "striped", "dotted", "checkered", "metallic")
SIZES = ("small", "medium", "large")
BACKGROUNDS = ("white", "sky", "grass", "sand", "night", "snow", "sea", "sunset", "brick", "forest")
LIGHTS = ("brighter", "darker")
TONES = ("warmer", "cooler", "grayscale", "sepia")
ROWS, COLS = ("top", "middle", "bottom"), ("left", "center", "right")
CELLS = tuple((r, c) for r in range(3) for c in range(3))
CELL_NAMES = {(r, c): "center" if (r, c) == (1, 1) else f"{ROWS[r]} {COLS[c]}" for r, c in CELLS}
RELATIONS = ("left of", "right of", "above", "below")
MAX_COUNT = 5
SMALLEST_SIDE, LARGEST_SIDE = 48, 4096  # of a picture, pixels; in a smaller one a caption does not fit into its band
MAX_LABEL, MAX_CAPTION = 3, 8  # characters A-Z 0-9; labels sit on an object, the caption in the band under the grid


@dataclass(frozen=True)
class Thing:
    """One object (or `count` equal small copies of it) in one cell of the 3x3 grid. `nudge` is its offset in 1/64 of the side."""

    shape: str
    colour: str
    cell: tuple[int, int]
    material: str = "plain"
    size: str = "medium"
    count: int = 1
    label: str = ""
    nudge: tuple[int, int] = (0, 0)  # (dy, dx), each -1..1

    @property
    def name(self) -> str:
        """What everybody calls it: colour and shape, unique within a generated scene."""
        return f"{self.colour} {self.shape}"

    @property
    def phrase(self) -> str:
        """The name with every marked attribute, as in 'add a small striped red circle'."""
        size = "" if self.size == "medium" else self.size + " "
        material = "" if self.material == "plain" else self.material + " "
        return f"{size}{material}{self.name}"


@dataclass(frozen=True)
class Scene:
    """A background, at most nine things in distinct cells, an optional caption, and the photo edits applied on top."""

    background: str
    things: tuple[Thing, ...]
    caption: str = ""
    light: str = ""  # one of LIGHTS or ""
    tone: str = ""  # one of TONES or ""
    zoom: str = ""  # a cell name, or "" for the whole picture

    def with_thing(self, old: Thing, new: Thing | None) -> Scene:
        """The scene with `old` replaced by `new`, or removed."""
        things = (new if t is old else t for t in self.things)
        return replace(self, things=tuple(t for t in things if t is not None))

    @property
    def free_cells(self) -> tuple[tuple[int, int], ...]:
        taken = {t.cell for t in self.things}
        return tuple(c for c in CELLS if c not in taken)
