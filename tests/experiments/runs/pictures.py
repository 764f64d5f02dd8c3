"""Pictures for the samples of a made-up run."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from common.filenames import folder_name
from experiments.runs.results import Evaluation


def with_pictures(folder: Path, n: int) -> Path:
    """The run with its report, and with the given picture and one result of n samples of each arm."""
    for arm, lines in Evaluation.load(folder).arms.items():
        for line in lines[:n]:
            place = folder / "traces" / arm / folder_name(line["id"])
            place.mkdir(parents=True, exist_ok=True)
            for k in range(2):
                Image.new("RGB", (8, 8), (40 * k, 9, 9)).save(place / f"{k}.png")
    (folder / "report.html").write_text("<html>the report</html>")
    return folder
