"""The site builds without a warning and shows nothing that lies elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("material", reason="the extra docs is not installed")

from common.places import ROOT
from experiments.site import groups, hooks


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make docs` does, any warning an error."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_every_page_is_there(site: Path) -> None:
    for name in ("index", "concepts", "commands", "contributing", "changelog", "extending/editor", "options/index"):
        assert (site / f"{name}.html").is_file()
    for group in groups.groups():
        assert (site / groups.FOLDER / groups.page_name(group)).with_suffix(".html").is_file()
    shown = {p.relative_to(ROOT / "docs").with_suffix(".html") for p in (ROOT / "docs").rglob("*.md")}
    assert not [place for place in shown if not (site / place).is_file()]


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="?((?:https?:)?//[^"\s>]+)')
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not [url for url in loaded.findall(text)], page
    for style in site.rglob("*.css"):
        assert "@import" not in style.read_text(encoding="utf-8") and "url(http" not in style.read_text(
            encoding="utf-8"
        )


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        for target in re.findall(r'(?:href|src)="([^"#:?]+)(?:[#?][^"]*)?"', page.read_text(encoding="utf-8")):
            if page.name != "404.html":
                assert (page.parent / target).resolve().exists(), f"{page.relative_to(site)}: {target}"


def test_links_to_source_files_become_their_names() -> None:
    files = SimpleNamespace(get_file_from_path=lambda place: place if place == "training.md" else None)

    def shown(text: str, place: str) -> str:
        return hooks.on_page_markdown(text, SimpleNamespace(file=SimpleNamespace(src_uri=place)), None, files)

    assert shown("see [`rl/loop.py`](../rl/loop.py), [x](reward.md)", "a.md") == "see `rl/loop.py`, [x](reward.md)"
    assert shown("[t](../training.md#a) and [r](../../README.md)", "extending/a.md") == "[t](../training.md#a) and r"
    assert shown("```\n[a](../b.py)\n```\n[a](../b.py)", "a.md") == "```\n[a](../b.py)\n```\na"
    assert (
        shown("[e](docs/training.md) [c](CHANGELOG.md) [w](https://a.b/c)", "contributing.md")
        == "[e](training.md) c [w](https://a.b/c)"
    )
