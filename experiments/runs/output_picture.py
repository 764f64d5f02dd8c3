"""Where an edited picture goes: checked before anything is edited, and written in the format of its file's ending."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import BadInput, SaveFailed

if TYPE_CHECKING:
    from PIL import Image

    from common.pictures import Picture

FORMATS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
WITH_ALPHA = (".png", ".webp", ".tif", ".tiff")
EDITS = "edits"  # folder in paths.outputs


def output_path(out: str | None, image: str, outputs: str) -> Path:
    """The file to write; without `out` a PNG of the picture's name in `<outputs>/edits/`. Raises BadInput for a name that cannot
    be meant."""
    path = Path(outputs) / EDITS / f"{Path(image).stem or 'picture'}.png" if out is None else Path(out)
    if path.suffix.lower() not in FORMATS:
        raise BadInput(f"out={path}: the ending says the format; give one of {', '.join(FORMATS)}")
    if path.resolve() == Path(image).resolve():
        raise BadInput(f"out={path} is the picture itself; give another name")
    if path.is_dir():
        raise BadInput(f"out={path} is a folder; give the name of a file in it")
    return path


def trace_folder(out: Path) -> Path:
    return out.with_name(out.stem + "_trace")


def check_writable(out: Path) -> None:
    """Raises SaveFailed where the picture or its trace could not be written, so that this is known before anything is edited."""
    for folder in (out.parent, trace_folder(out)):
        check_folder(folder, out)


def check_folder(folder: Path, out: Path) -> None:
    """Raises SaveFailed where nothing can be written to the folder, which is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part"):
            pass
    except OSError as error:
        raise SaveFailed(
            f"out={out} cannot be written: {error.strerror or error}; mend the permissions or choose another out=<file>"
        ) from error


def save_edited(edited: Image.Image, given: Picture, out: Path) -> str:
    """Write the picture with the transparency of the given one, where the format has any. Returns a sentence about that, or ""."""
    from PIL import Image

    from common.alpha import put_back
    from common.atomic import atomic_file

    kept, note = put_back(edited, given)
    if note and out.suffix.lower() not in WITH_ALPHA:
        kept, note = edited, f"{out.suffix} files have no transparency: it is filled with white"
    with atomic_file(out, remedy="Free space or choose another out=<file>") as file:
        kept.save(file, format=Image.registered_extensions()[out.suffix.lower()])
    return note


__all__ = ["check_folder", "check_writable", "output_path", "save_edited", "trace_folder"]
