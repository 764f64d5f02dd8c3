"""What defines a run, and what does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from common.errors import BadData, MissingFile
from conf.schema import RunConfig
from experiments.runs.cli import compose, typed
from experiments.runs.contents import known_by_name
from experiments.runs.identity import config_text, identity, load_config, run_folder, run_hash

SAME = (
    "paths.outputs=elsewhere",
    "tracker=wandb",
    "tracker=wandb tracker.project=x",
    "force=true",
    "verbose=true",
    "engine.device=cpu",
    "scale.strips=3",
    "algo.checkpoint_every=1",
)
OTHER = (
    "seed=1",
    "reward=f1",
    "algo.lr=1e-3",
    "execution=multi",
    "scale.test_samples=7",
    "engine.threads=2",
    "algo=dapo",
)


def config(*overrides: str) -> RunConfig:
    return typed(compose("run", list(overrides)))


@pytest.mark.parametrize("override", SAME)
def test_where_and_how_a_run_is_watched_does_not_define_it(override: str) -> None:
    assert run_hash(identity(config(*override.split()))) == run_hash(identity(config()))


@pytest.mark.parametrize("override", OTHER)
def test_what_changes_a_result_defines_the_run(override: str) -> None:
    assert run_hash(identity(config(override))) != run_hash(identity(config()))


def test_the_content_of_checkpoint_and_data_counts_and_not_their_place(tmp_path: Path) -> None:
    for name, content in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cm.jsonl").write_text(content)
    a, b, c = (run_hash(identity(config("benchmark=mice_text", f"benchmark.path={tmp_path / n}"))) for n in "abc")
    assert a == b != c


def copied(tmp_path: Path, name: str) -> Path:
    return Path(shutil.copytree("assets/tiny/decomposer", tmp_path / name))


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


FILES = {  # an option that names a file or folder, and a file in it that is read
    "decomposer.prompt={0}": "prompt.txt",
    "editor.lora={0}": "edit.safetensors",
    "editor.lora={0.parent} editor.lora_weight_name=edit.safetensors": "lora/edit.safetensors",
    "sequencer=vlm sequencer.prompt={0}": "order.txt",
    "judge=vlm judge.model={0.parent}": "model/preprocessor_config.json",
    "benchmark=mice_text benchmark.path={0.parent}": "records/cm.jsonl",
    "editor.checkpoint={0.parent}": "pipe/tokenizer.model",
    "experiment=loop execution.baseline={0.parent.parent}": "run/decomposer/tokenizer.json",
}


@pytest.mark.parametrize("words", FILES)
def test_another_content_of_a_file_that_is_named_is_another_run(tmp_path: Path, words: str) -> None:
    names = {}
    for place, content in (("here", "one"), ("there", "one"), ("here", "two")):
        path = write(tmp_path / place / FILES[words], content)
        if "judge" in words:
            write(path.parent / "config.json", "{}")
        names[place, content] = run_folder(config(*words.format(path).split())).name
    moved = names["there", "one"] == names["here", "one"]
    assert names["here", "two"] != names["here", "one"] and (moved or words.startswith("judge"))


@pytest.mark.parametrize(
    "file", ["chat_template.jinja", "tokenizer.json", "preprocessor_config.json", "model.safetensors"]
)
def test_every_file_that_a_checkpoint_is_read_from_counts(tmp_path: Path, file: str) -> None:
    a, b = copied(tmp_path, "a"), copied(tmp_path, "b")
    same = run_folder(config(f"decomposer.checkpoint={a}"))
    assert run_folder(config(f"decomposer.checkpoint={b}")) == same
    (b / file).write_bytes((b / file).read_bytes() + b" ")
    assert run_folder(config(f"decomposer.checkpoint={b}")) != same


def test_weights_of_equal_size_and_of_any_size_are_told_apart(tmp_path: Path) -> None:
    names = set()
    for name, byte in (("a", b"\1"), ("b", b"\2")):
        folder = copied(tmp_path, name)
        with (folder / "model-2.safetensors").open("wb") as stream:
            stream.truncate((1 << 30) + 1)
            stream.seek(99)
            stream.write(byte * 99)
        names.add(run_folder(config(f"decomposer.checkpoint={folder}")))
    assert len(names) == 2


def test_pictures_of_prepared_data_count_also_where_they_lie_elsewhere(tmp_path: Path) -> None:
    there = write(tmp_path / "elsewhere" / "q.JPG", "1")
    write(tmp_path / "set" / "records.jsonl", json.dumps({"id": "a", "picture": str(there)}) + "\n{damaged\n")
    inside = write(tmp_path / "set" / "pictures" / "p.PNG", "1")
    name = lambda: run_folder(config("benchmark=prepared", f"benchmark.path={tmp_path / 'set'}"))  # noqa: E731
    names = [name()]
    for path in (inside, there):
        path.write_text("2")
        names.append(name())
    assert len(set(names)) == 3


def test_files_of_a_users_part_count_where_it_declares_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path / "wordy_part.py",
        "from common.parts import Content\n"
        "class Reward:\n"
        "    def __init__(self, words: str, other: str = ''):\n        self.words = words\n"
        "    def contents(self):\n        return [Content(self.words)]\n"
        "    def __call__(self, samples, texts, seeds):\n        return [1.0 for _ in texts]\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    words, other = write(tmp_path / "words.txt", "one"), write(tmp_path / "other.txt", "one")
    use = ("reward._target_=wordy_part.Reward", f"reward.words={words}", f"reward.other={other}")
    one = run_folder(config(*use))
    words.write_text("two")
    assert run_folder(config(*use)) != one
    (line,) = known_by_name(config(*use).reward)
    assert "other.txt" in line and "contents()" in line


def test_editors_that_make_a_reward_models_data_count_with_their_weights(tmp_path: Path) -> None:
    """`rrm.data.editors` names them; the editor of the run is another."""
    names, here = [], Path("assets/tiny").absolute()
    for place in ("one", "same", "other"):
        folder = tmp_path / place / "tiny"
        folder.mkdir(parents=True)
        for part in here.iterdir():
            (folder / part.name).symlink_to(part)
        (folder / "qwen_image_edit").unlink()
        for path in ("model_index.json", "transformer/config.json"):
            write(folder / "qwen_image_edit" / path, (here / "qwen_image_edit" / path).read_text())
        if place == "other":
            write(folder / "qwen_image_edit" / "transformer" / "model.safetensors", "other weights")
        own = ("experiment=edit_r1", "rrm.data.editors=[qwen]", f"paths.assets={tmp_path / place}")
        names.append(run_folder(config(*own)))
    assert names[0] == names[1] != names[2]


def test_what_counts_by_its_name_alone_is_said() -> None:
    fetched = config("editor.checkpoint=nobody/nothing", "editor.allow_download=true")
    (line,) = known_by_name(fetched.editor)
    assert "nobody/nothing" in line
    assert not list(known_by_name(config().editor)) + list(known_by_name(config().decomposer))


def test_the_folder_is_name_and_hash() -> None:
    folder = run_folder(config("name=mine", "paths.outputs=there"))
    assert folder.parent == Path("there")
    assert folder.name.startswith("mine-") and len(folder.name) == len("mine-") + 8


def test_a_saved_configuration_comes_back_as_it_was(tmp_path: Path) -> None:
    mine = config("reward=f1", "algo.dual_clip=3", "seed=4")
    (tmp_path / "config.yaml").write_text(config_text(mine))
    assert load_config(tmp_path) == mine


def test_a_folder_that_is_no_run_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"config\.yaml"):
        load_config(tmp_path)
    (tmp_path / "config.yaml").write_text("seed: [1\n")
    with pytest.raises(BadData, match=r"config\.yaml"):
        load_config(tmp_path)
    (tmp_path / "config.yaml").write_text("sead: 1\n")
    with pytest.raises(BadData, match="sead"):
        load_config(tmp_path)
