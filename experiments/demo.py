"""`python -m experiments.demo`: the team in a browser, with its steps as they come and a plan that can be changed.

The page is for this machine alone unless `host=` says otherwise. Ctrl-C or SIGTERM ends it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from conf.schema import DemoConfig
from experiments.edit import trained
from experiments.runs.cli import command

if TYPE_CHECKING:
    from PIL import Image

    from agents.team import Team

FREE_TEXT = ("run", "password")  # keys whose values are taken as they are
PASSWORD = "IMAGEEDIT_PASSWORD"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main(config: DemoConfig) -> None:
    from common.errors import MissingFile
    from common.progress import console
    from experiments.build.device import use_threads
    from experiments.preflight.command_limits import check_edit
    from experiments.preflight.editor import missing_editor, missing_editor_memory
    from experiments.preflight.machine import missing_of, one_process
    from experiments.preflight.unlike_sandbox import objections, refuse
    from experiments.runs.libraries import quiet_libraries
    from experiments.runs.team import TeamParts
    from experiments.serving.about import about
    from experiments.serving.limits import MB, PictureLimits
    from experiments.serving.web import Address, check_gradio, make_app, own_folder, serve
    from experiments.serving.workshop import Rules, Workshop

    check_gradio()
    check_edit(config)
    settings = trained(config)
    used = replace(config, decomposer=settings)
    if lacking := [*missing_of(settings), *missing_editor(config.editor), *missing_editor_memory(config)]:
        raise MissingFile("; ".join(lacking))
    one_process(config.engine, "experiments.demo")
    listener = Address(config.host, config.port).listen()  # before the models are loaded, which may take minutes
    quiet_libraries(config.verbose)

    def make_team() -> Team:
        use_threads(config.engine)
        # a sequencer that asks a model uses the configured decomposer's backbone, not the trained one
        return TeamParts(used, Path(config.decomposer.checkpoint)).team(Path(settings.checkpoint))

    def unlike(pictures: Sequence[tuple[str, Image.Image]], texts: Sequence[tuple[str, str]]) -> list[str]:
        return refuse(list(objections(used, pictures, texts, config.unlike)), config.allow_tiny)

    limits = PictureLimits(int(config.max_upload_mb * MB), config.max_pixels)
    rules = Rules(
        config.queue,
        config.max_turns,
        config.max_sessions,
        60 * config.idle_minutes,
        config.max_memory_mb * MB,
    )
    console.print("loading the models …", markup=False)
    shop = Workshop(make_team, limits, rules, config.seed, unlike)
    with own_folder():
        password = config.password or os.environ.get(PASSWORD) or None
        app = make_app(shop, about(used), password, config.scale.image_size)
        port = listener.getsockname()[1]
        host = f"[{config.host}]" if ":" in config.host else config.host
        console.print(f"the page: http://{host}:{port}/ (Ctrl-C stops it)", markup=False, highlight=False)
        if config.host not in LOOPBACK and password is None:
            console.print(
                f"note: who reaches this machine can use the page; {PASSWORD}=… asks for a password", markup=False
            )
        serve(app, listener, shop)


if __name__ == "__main__":
    command("demo", main, FREE_TEXT)
