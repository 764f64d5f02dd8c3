"""`python -m experiments.demo`: edit pictures in a browser, with each step shown as it comes and a plan that you can change.

The page is for this machine alone unless `host=` says otherwise. Ctrl-C or SIGTERM ends it.
"""

from __future__ import annotations

import os
from dataclasses import replace

from conf.schema import DemoConfig
from experiments.runs.cli import command

FREE_TEXT = ("run", "password")  # keys whose values are taken as they are
PASSWORD = "IMAGEEDIT_PASSWORD"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main(config: DemoConfig) -> None:
    from common.interrupts import Interrupts
    from common.progress import console
    from common.third_party import library_lines
    from experiments.build.device import use_threads
    from experiments.runs.team_loader import TeamLoader
    from experiments.serving.about import about
    from experiments.serving.limits import MB, PictureLimits
    from experiments.serving.web import check_gradio, make_app, own_folder, serve
    from experiments.serving.workshop import Rules, Workshop

    check_gradio()
    from experiments.serving.server import address_of, listen

    loader = TeamLoader(config, "experiments.demo")
    loader.check_settings()
    loader.check_machine()
    listener = listen(config.host, config.port)  # before the models are loaded, which may take minutes
    limits = PictureLimits(int(config.max_upload_mb * MB), config.max_pixels)
    rules = Rules(
        config.queue,
        config.max_turns,
        config.max_sessions,
        60 * config.idle_minutes,
        config.max_memory_mb * MB,
    )
    console.print("loading the models …", markup=False)
    with Interrupts():
        team, writer = loader.team, loader.writer
    shop = Workshop(
        team,
        limits,
        rules,
        config.seed,
        loader.allowed,
        prepare=lambda: use_threads(config.engine),
        writer=writer,
    )
    with own_folder(), library_lines():
        password = config.password or os.environ.get(PASSWORD) or None
        app = make_app(shop, about(replace(config, decomposer=loader.decomposer)), password, config.scale.image_size)
        console.print(f"the page: {address_of(listener)}/ (Ctrl-C stops it)", markup=False, highlight=False)
        if config.host not in LOOPBACK and password is None:
            console.print(
                f"note: who reaches this machine can use the page; {PASSWORD}=… asks for a password", markup=False
            )
        serve(app, listener, shop)


if __name__ == "__main__":
    command("demo", main, FREE_TEXT)
