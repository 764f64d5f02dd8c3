"""`python -m experiments.demo`: edit pictures in a browser, with each step shown as it comes and a plan that you can change.

The page is for this machine alone unless `host=` says otherwise. Ctrl-C or SIGTERM ends it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from conf.schema import DemoConfig
from experiments.runs.cli import command

if TYPE_CHECKING:
    from PIL import Image

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
    from experiments.runs.trained import start_of, trained
    from experiments.serving.about import about
    from experiments.serving.limits import MB, PictureLimits
    from experiments.serving.web import check_gradio, make_app, own_folder, serve
    from experiments.serving.workshop import Rules, Workshop

    check_gradio()
    from experiments.serving.server import address_of, listen

    check_edit(config)
    settings = trained(config)
    used = replace(config, decomposer=settings)
    if lacking := [*missing_of(settings), *missing_editor(config.editor), *missing_editor_memory(config)]:
        raise MissingFile("; ".join(lacking))
    one_process(config.engine, "experiments.demo")
    listener = listen(config.host, config.port)  # before the models are loaded, which may take minutes
    quiet_libraries(config.verbose)

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
    # a sequencer that asks a model uses the backbone from before RL, not the trained one
    team = TeamParts(used, start_of(config)).team(Path(settings.checkpoint))
    shop = Workshop(team, limits, rules, config.seed, unlike, prepare=lambda: use_threads(config.engine))
    with own_folder():
        password = config.password or os.environ.get(PASSWORD) or None
        app = make_app(shop, about(used), password, config.scale.image_size)
        console.print(f"the page: {address_of(listener)}/ (Ctrl-C stops it)", markup=False, highlight=False)
        if config.host not in LOOPBACK and password is None:
            console.print(
                f"note: who reaches this machine can use the page; {PASSWORD}=… asks for a password", markup=False
            )
        serve(app, listener, shop)


if __name__ == "__main__":
    command("demo", main, FREE_TEXT)
