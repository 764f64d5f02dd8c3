"""What mkdocs calls while it builds the site (mkdocs.yml, `hooks`): generated pages, and links that lead out of docs/."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:  # mkdocs reads this file by its path
    sys.path.insert(0, str(ROOT))

BESIDE = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}  # pages that are files of the checkout
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_config(config: Any) -> Any:
    """The groups' pages, and every page of docs/ that the list in mkdocs.yml does not name, get their place in it."""
    from experiments.site.groups import FOLDER, dotted, groups, page_name

    options = [{"All groups": f"{FOLDER}/index.md"}, *({dotted(g): f"{FOLDER}/{page_name(g)}"} for g in groups())]
    named = set(re.findall(r"[\w/.-]+\.md", str(config.nav)))
    docs = Path(config.docs_dir)
    others = sorted(p.relative_to(docs).as_posix() for p in docs.rglob("*.md"))
    more = [place for place in others if place not in named]
    for entry in config.nav:
        if "Reference" in entry:
            entry["Reference"] = [*entry["Reference"], {"Options": options}]
        if more and "Guides" in entry:
            entry["Guides"] = [*entry["Guides"], *more]
    return config


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    from experiments.site import commands, groups

    generated = groups.pages() | {"commands.md": commands.page()}
    generated |= {name: (ROOT / file).read_text(encoding="utf-8") for name, file in BESIDE.items()}
    for place, text in generated.items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to source files become their names: the site has no copy of the code. Links of files beside docs/ into it are
    followed."""
    beside = page.file.src_uri in BESIDE

    def mend(match: re.Match[str]) -> str:
        text, target = match[1], match[2]
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        if beside:
            inside = target.removeprefix("docs/")
            return f"[{text}]({inside})" if target.startswith("docs/") else text
        return text if target.startswith("../") and not _on_site(page.file.src_uri, target, files) else match[0]

    parts = re.split(r"(```.*?```)", markdown, flags=re.DOTALL)
    return "".join(part if part.startswith("```") else LINK.sub(mend, part) for part in parts)


def _on_site(place: str, target: str, files: Any) -> bool:
    parts = [*Path(place).parent.parts]
    for word in target.partition("#")[0].split("/"):
        if word == "..":
            if not parts:
                return False
            parts.pop()
        else:
            parts.append(word)
    return files.get_file_from_path("/".join(parts)) is not None


__all__ = ["on_config", "on_files", "on_page_markdown"]
