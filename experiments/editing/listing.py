"""Which pictures are edited by which instruction: one picture, a folder, a pattern, or a CSV of files and instructions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from itertools import chain, count
from pathlib import Path

from agents.decomposer import clean_request
from benchmarks.rows import read_rows
from common.errors import BadData, BadInput, MissingFile

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
COLUMNS = ("file", "instruction")


@dataclass(frozen=True)
class Work:
    """A picture and its instruction. `name`: of the result, without an ending."""

    image: Path
    instruction: str
    name: str


def is_several(image: str | None, table: str | None) -> bool:
    """Whether a folder, a pattern or a table of pictures is meant, and not one picture."""
    return table is not None or (image is not None and (Path(image).is_dir() or is_pattern(image)))


def is_pattern(image: str) -> bool:
    """A file may have a name with brackets in it."""
    return has_magic(image) and not Path(image).exists()


def pictures_in(image: str) -> list[Path]:
    """The pictures of a folder (not of folders in it), or the files that a pattern means, by name. Raises BadInput where there are
    none."""
    if is_pattern(image):
        found = sorted(path for path in map(Path, glob(image, recursive=True)) if path.is_file())
        if not found:
            raise BadInput(f"image={image}: no file has such a name")
        return found
    try:
        found = sorted(path for path in Path(image).iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    except OSError as error:
        raise BadInput(f"image={image} cannot be read ({error.strerror or error})") from None
    if not found:
        raise BadInput(f"image={image}: the folder has no pictures ({', '.join(ENDINGS)})")
    return found


def one_instruction(image: str, instruction: str) -> list[Work]:
    """The same instruction for every picture."""
    return named([(path, instruction) for path in pictures_in(image)])


def from_table(table: str, image: str | None, limit: int | None) -> list[Work]:
    """The rows of a CSV, TSV or JSONL; files are looked for in the folder `image`, else beside the table. A file that is
    not there is found when it is edited, so that the others go on. Raises MissingFile, BadInput and BadData naming the line."""
    path = Path(table)
    if not path.is_file():
        raise MissingFile(f"there is no table at {path}; give instructions=<a CSV with the columns file,instruction>")
    if image is not None and not Path(image).is_dir():
        raise BadInput(f"image={image}: with instructions= it is the folder of the files that the table names")
    folder = path.parent if image is None else Path(image)
    rows = []
    for line, values in read_rows(path):
        where = f"{path}:{line}"
        if set(values) != set(COLUMNS):
            raise BadData(f"{where}: the columns are {', '.join(values)}; give {' and '.join(COLUMNS)}")
        file, instruction = values["file"], values["instruction"]
        if not isinstance(file, str) or not isinstance(instruction, str):
            raise BadData(f"{where}: file and instruction are both needed, as text")
        try:
            clean_request(instruction, limit)
        except BadInput as error:
            raise BadData(f"{where}: {error}") from None
        rows.append((folder / file, instruction))
    return named(rows)


def named(rows: Sequence[tuple[Path, str]]) -> list[Work]:
    """Every result gets a name of its own: that of its picture, with the ending (a_png) where two pictures share a name, and with a
    number where one picture has several instructions."""
    stems = Counter(path.stem for path in {path for path, _ in rows})
    taken: set[str] = set()
    works = []
    for path, instruction in rows:
        name = path.stem if stems[path.stem] == 1 else path.name.replace(".", "_")
        own = next(n for n in chain([name], (f"{name}-{k}" for k in count(2))) if n not in taken)
        taken.add(own)
        works.append(Work(path, instruction, own))
    return works


__all__ = ["ENDINGS", "Work", "from_table", "is_pattern", "is_several", "named", "one_instruction", "pictures_in"]
