"""The page that shows what a tiny editor learned: scores per action, and before / after / wanted of held-out edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from common.errors import SaveFailed
from experiments.reports.html import inline, page, table

SHOWN = 48


def write_report(
    path: Path, title: str, scores: Mapping[str, Mapping[str, float]], rows: Sequence[Mapping[str, Any]]
) -> Path:
    """A self-contained page; the samples shown are the first ones, chosen by nobody. Raises SaveFailed."""
    columns = [key for key in scores["all"] if key != "n"]
    cells = [
        ([escape(name), *(f"{values[key]:z.2f}" for key in columns), str(int(values["n"]))], False)
        for name, values in sorted(scores.items(), key=lambda entry: entry[0] != "all")
        if values["n"]
    ]
    figures = "".join(_figure(row) for row in rows[:SHOWN])
    body = [
        f"<h1>{escape(title)}: held-out single edits</h1>",
        '<p class="muted">Means of scores from 0 to 10, by judge=sandbox on held-out scenes of benchmark=sandbox.</p>',
        table(["edit", *(c.replace("_", " ") for c in columns), "n"], cells),
        "<h2>Before, after, wanted</h2>",
        f'<div class="edits">{figures}</div>',
    ]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(title, body), encoding="utf-8")
    except OSError as e:
        raise SaveFailed(f"could not write {path}: {e}; free space and run again") from e
    return path


def _figure(row: Mapping[str, Any]) -> str:
    sample = row["sample"]
    shown = zip(("given", "edited", "wanted"), (sample.image, row["edited"], sample.target), strict=True)
    images = " ".join(_image(im, f"{name}: {sample.request}") for name, im in shown)
    score = f"{row['scores']['overall']:.1f}" if row["scores"] else "invalid"
    return f"<figure>{images}<figcaption>{escape(sample.request)} · {score}</figcaption></figure>"


def _image(image: Image.Image, alt: str) -> str:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return inline(buffer.getvalue(), "png", alt)


__all__ = ["write_report"]
