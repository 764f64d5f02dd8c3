"""The folder of a published part, complete or not there at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from common.atomic import atomic_folder
from common.errors import BadInput, MissingFile
from common.files import read_bytes, read_json, write_json, write_text
from experiments.publishing.card import CardFacts, card_text
from experiments.publishing.parts import TrainedPart

MARK = "imageedit_r1.json"  # says that the folder was written here, and of which run
LEFT_OUT = (
    "card.json",
    "README.md",
    MARK,
    ".cache",
)  # of the model's own folder: the start's scores are not the trained one's
Place = Callable[[Path, Path], Any]  # how a file gets to its place: copied, or linked where it is only read once


def check_own(out: Path) -> None:
    """Raises BadInput where the folder holds anything that was not published here before."""
    if out.is_symlink() or out.is_file():
        raise BadInput(f"to={out} is a file or a link; give a folder that does not exist yet")
    if out.is_dir() and any(out.iterdir()) and not (out / MARK).is_file():
        raise BadInput(f"to={out} holds files that were not published here; give another folder, or empty it yourself")


def model_files(part: TrainedPart) -> Iterator[tuple[Path, Path]]:
    """(place in the folder, file) of everything that loading the model takes, links followed. Raises MissingFile for links
    that lead nowhere: an editor's untrained models lie where its base lies."""
    for path in sorted(part.folder.iterdir()):
        if path.name in LEFT_OUT:
            continue
        if not path.exists():
            raise MissingFile(f"{path} leads to {os.readlink(path)}, which is not there any more; put it back")
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in files:
            if ".cache" not in file.parts:
                yield file.relative_to(part.folder), file


def size_of(part: TrainedPart) -> int:
    """Bytes of the model's files."""
    return sum(file.stat().st_size for _, file in model_files(part))


def write_folder(facts: CardFacts, run: Path, out: Path, place: Place = shutil.copyfile) -> Path:
    """Write model, card, numbers and configuration. Raises BadInput for a folder that is not its own, SaveFailed where the disk
    refuses; then what was there is as it was."""
    check_own(out)
    with atomic_folder(out, remedy="The run is intact; free space and give the same command again") as draft:
        for name, file in model_files(facts.part):
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            place(file.resolve(), draft / name)
        name_video_processor(draft / "processor" / "processor_config.json")
        write_text(draft / "README.md", card_text(facts))
        write_text(draft / "training.yaml", _configuration(facts.config))
        write_json(draft / "results.json", without_folders(read_json(run / "results.json")))
        if prompt := _prompt(facts):
            write_text(draft / "prompt.txt", prompt)
        write_json(draft / MARK, _mark(facts, run, draft))
    return out


def name_video_processor(file: Path) -> None:
    """Pipelines that were saved without torchvision name a stand-in of this project (editors/processor.py) for the part that
    reads videos; elsewhere it has to be the class of transformers, of the same sizes."""
    said = read_json(file) if file.is_file() else {}
    if said.get("video_processor", {}).get("video_processor_type") == "NoVideos":
        sizes = {k: said["image_processor"][k] for k in ("patch_size", "merge_size", "temporal_patch_size")}
        said["video_processor"] = {"video_processor_type": "Qwen2VLVideoProcessor", **sizes}
        write_json(file, said)


def _mark(facts: CardFacts, run: Path, draft: Path) -> dict[str, Any]:
    weights = sorted(p for p in draft.rglob("*.safetensors"))
    digests = {p.relative_to(draft).as_posix(): hashlib.sha256(read_bytes(p)).hexdigest() for p in weights}
    return {"run": run.resolve().name, "part": facts.part.name, "base_model": facts.origin.model, "sha256": digests}


def _configuration(config: Any) -> str:
    """All values of the run; of folders of this machine only their names are published."""
    import yaml

    from conf.parts import config_values

    return str(yaml.safe_dump(without_folders(config_values(config)), sort_keys=False, allow_unicode=True))


def without_folders(value: Any) -> Any:
    """The values with `<folder>/name` for every whole path."""
    if isinstance(value, dict):
        return {key: without_folders(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(one) for one in value]
    if isinstance(value, str) and value.startswith("/"):
        return f"<folder>/{Path(value).name}"
    return value


def _prompt(facts: CardFacts) -> str:
    c, kind = facts.config, facts.part.kind
    if kind == "editor":
        return ""
    if kind == "rrm":
        from judges.prompt import PROMPTS

        return (PROMPTS / f"{c.rrm.prompt}.txt").read_text(encoding="utf-8")
    from agents.prompt_files import load_prompt

    return load_prompt((c.decomposer if kind == "decomposer" else c.intent).prompt)


__all__ = ["MARK", "check_own", "model_files", "size_of", "without_folders", "write_folder"]
