"""The Dockerfile: what can be said of it without building it, and a build where a daemon is at hand."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from common.places import ROOT

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]


def instructions() -> list[tuple[str, str]]:
    """(instruction, arguments), continued lines joined, comments left out."""
    lines = "\n".join(line for line in TEXT.splitlines() if not line.startswith("#")).replace("\\\n", " ").splitlines()
    pairs = (line.strip().partition(" ") for line in lines if line.strip())
    return [(name.upper(), " ".join(rest.split())) for name, _, rest in pairs]


def of(kind: str) -> list[str]:
    return [rest for name, rest in instructions() if name == kind]


def test_every_instruction_is_one() -> None:
    known = ["FROM", "LABEL", "RUN", "WORKDIR", "COPY", "USER", "ENV", "ARG", "VOLUME", "CMD"]
    assert {name for name, _ in instructions()} <= set(known) and instructions()[0][0] == "FROM"


def test_stages_are_named_and_their_images_have_a_version() -> None:
    stages = [re.fullmatch(r"(\S+) AS (\w+)", stage) for stage in of("FROM")]
    assert all(stages) and {"cpu", "cuda"} <= {s[2] for s in stages if s}
    own = {s[2] for s in stages if s}
    for image in (s[1] for s in stages if s and s[1] not in own):
        name, _, tag = image.partition(":")
        assert tag and "latest" not in tag and "/" not in name
    assert "latest" not in TEXT


def test_every_copied_file_exists_and_is_not_left_out() -> None:
    for rest in of("COPY"):
        *sources, _ = [word for word in rest.split() if not word.startswith("--")]
        assert sources and all((ROOT / source).exists() for source in sources)
    for needed in (
        "Makefile",
        "pyproject.toml",
        "requirements/core.in",
        "scripts/setup.sh",
        "assets/tiny",
        "conf/run.yaml",
        "tests",
    ):
        assert (ROOT / needed).exists() and not left_out(needed), needed


@pytest.mark.parametrize("place", [".git", ".venv", "outputs", "site", "rl/__pycache__", "wandb"])
def test_what_an_image_does_not_need_is_left_out(place: str) -> None:
    assert left_out(place)


def left_out(place: str) -> bool:
    parts = Path(place).parts
    roots = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    return any(
        fnmatch(root, rule) or fnmatch(f"/{root}", f"*/{rule.removeprefix('**/')}")
        for root in roots
        for rule in IGNORED
    )


def test_it_runs_as_a_user_who_is_not_root() -> None:
    names = [name for name, _ in instructions()]
    (user,) = of("USER")
    assert user not in ("root", "0") and f"useradd --create-home --uid 1000 {user}" in TEXT
    last = max(i for i, n in enumerate(names) if n == "USER")
    setups = [i for i, (name, rest) in enumerate(instructions()) if name == "RUN" and "make setup" in rest]
    assert len(setups) == 2 and all(i > last for i in setups)


def test_it_ends_in_the_same_commands_as_any_machine() -> None:
    assert of("CMD") == ['["make", "run"]']
    makefile = (ROOT / "Makefile").read_text()
    for rest in of("RUN"):
        for targets in re.findall(r"\bmake ((?:[a-z-]+ ?)+)$", rest):
            assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets.split())


def test_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f'image.version="{project["version"]}"' in TEXT and f'image.licenses="{project["license"]}"' in TEXT
    (tag,) = re.findall(r"FROM python:(\d+\.\d+)", TEXT)
    assert f"--python-version {tag}" in (ROOT / "scripts" / "setup.sh").read_text()  # the locks are made for it
    pinned = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements" / "pins.txt").read_text(), re.MULTILINE))
    for package, version in re.findall(r"\b([\w-]+)==([\w.]+)", TEXT):
        assert pinned[package] == version
    assert "IMAGEEDIT_CUDA" in (ROOT / "scripts" / "setup.sh").read_text()


def test_no_package_index_and_no_key_is_named() -> None:
    assert not re.search(r"https?://|index-url|_KEY=|TOKEN=|pip install", TEXT)


@pytest.mark.slow
def test_the_cpu_image_builds_and_can_do_a_first_run() -> None:
    """Minutes, and gigabytes of packages the first time."""
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.skip("no docker daemon is running here")
    (image,) = re.findall(r"FROM (python\S+)", TEXT)
    if subprocess.run(["docker", "pull", image], capture_output=True).returncode:
        pytest.skip(f"the image {image} cannot be fetched here")
    subprocess.run(["docker", "build", "--target", "cpu", "-t", "imageedit-r1:test", str(ROOT)], check=True)
    command = ["docker", "run", "--rm", "imageedit-r1:test", "python", "-m", "experiments.doctor"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "scale=tiny" in done.stdout, done.stderr
