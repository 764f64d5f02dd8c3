"""`experiments.session` past its command line: the session is opened or begun, then the dialogue runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agents.traces import digest
from common.errors import BadInput
from common.pictures import Picture, load_picture
from common.progress import console
from experiments.editing.dialogue import Dialogue, begin
from experiments.editing.lines import Lines
from experiments.editing.screen import Screen
from experiments.editing.store import Store, opened
from experiments.runs.team_loader import TeamLoader

if TYPE_CHECKING:
    from conf.schema import SessionConfig

SESSIONS = "sessions"  # folder in paths.outputs


def play(config: SessionConfig) -> None:
    """Raises BadInput, MissingFile, BadData, SaveFailed."""
    loader = TeamLoader(config, "experiments.session")
    loader.check_settings()
    given = None if config.image is None else load_picture(config.image)
    folder = Path(config.out) if config.out else Path(config.paths.outputs) / SESSIONS / _name(config, given)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"out={folder} is a file; give the name of a folder")
    with opened(folder) as stored:
        if stored is None:
            picture, name = given or _scene(config), config.image or f"scene {config.scene}"
        else:
            picture, name = stored.given, f"the picture of {folder}"
            if given is not None and digest(given.rgb) != stored.session.source_digest:
                raise BadInput(
                    f"the session in {folder} began with another picture than image={config.image}; leave image out to go on with "
                    "it, or choose another out=<folder>"
                )
        screen, lines = Screen(console, config.execution.name), Lines()
        for line in loader.allowed([(name, picture.rgb)], []):
            screen.line(f"allowed by allow_tiny=true: {line}")
        loader.check_machine()
        source = Path(config.image) if config.image else None
        store = stored or Store.new(folder, digest(picture.rgb), picture, source)
        begin(screen, store, folder, lines.interactive, resumed=stored is not None)
        Dialogue(loader, store, screen, lines, config.image).run()


def _name(config: SessionConfig, given: Picture | None) -> str:
    """Of the folder: the same picture, or scene, has the same one."""
    if given is None:
        return f"scene-{config.scene}"
    return f"{Path(config.image or '').stem or 'picture'}-{digest(given.rgb)[:8]}"


def _scene(config: SessionConfig) -> Picture:
    if config.scale.name != "tiny":
        raise BadInput(
            f"missing: image=<picture>; scenes of the sandbox are for scale=tiny, not scale={config.scale.name}"
        )
    from benchmarks.sandbox.generate import SandboxBenchmark

    scene = SandboxBenchmark("test", size=config.scale.image_size).sample(config.scene).image
    assert scene is not None
    return Picture(scene)


__all__ = ["SESSIONS", "play"]
