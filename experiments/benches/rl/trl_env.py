"""An environment of its own for the newest TRL that installs here: beside the project, never in it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

import torch

from common.errors import RunFailed
from common.progress import say


def trl_python(folder: Path) -> Path:
    """The Python of the environment in `folder`, which is made on the first call and then kept; delete it for a newer TRL.

    The same torch as here (CPU build), the newest TRL with whatever it asks for. Raises RunFailed with the installer's last lines.
    """
    python, ready = folder / "bin" / "python", folder / ".ready"
    if ready.is_file() and python.exists():
        return python
    if importlib.util.find_spec("uv") is None:
        raise RunFailed("TRL's environment is made with uv, which is missing here: python -m pip install uv")
    say(f"making {folder} with the newest TRL …")
    venv.EnvBuilder(clear=True, symlinks=True).create(folder)
    version = torch.__version__.partition("+")[0]
    links = find_links()
    command = [sys.executable, "-m", "uv", "pip", "install", "--python", str(python), *torch_flags(version, links)]
    command += [f"torch=={version}", "trl", "pillow"]
    environment = os.environ | ({"UV_FIND_LINKS": ",".join(links)} if links else {})
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise RunFailed(f"installing TRL into {folder} failed; is the package index reachable?\n{tail}")
    ready.touch()
    return python


def find_links() -> list[str]:
    """Folders of wheels that uv or pip is configured with, as scripts/setup.sh looks for them."""
    if given := os.environ.get("UV_FIND_LINKS"):
        return given.replace(",", " ").split()
    if given := os.environ.get("PIP_FIND_LINKS"):
        return given.split()
    command = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.split()


def torch_flags(version: str, links: list[str]) -> list[str]:
    """Nothing where a configured folder offers the wheel, else uv's own index of CPU builds."""
    offered = any(list(Path(link.removeprefix("file://")).glob(f"torch-{version}*.whl")) for link in links)
    return [] if offered else ["--torch-backend=cpu"]


__all__ = ["find_links", "torch_flags", "trl_python"]
