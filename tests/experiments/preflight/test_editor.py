"""What an editor lacks is found before anything starts, whatever it is, with what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from common.errors import BadInput, MissingFile
from conf.schema import RunConfig
from experiments.preflight import editor as editor_preflight
from experiments.preflight import machine
from experiments.preflight import run as preflight
from experiments.runs.cli import compose, typed
from tests.saved_editors import save_kontext, save_qwen

GIB = 2**30


def run_config(*overrides: str) -> RunConfig:
    config = typed(compose("run", list(overrides)))
    assert isinstance(config, RunConfig)
    return config


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, tiny_vlm_path: Path) -> dict[str, Path]:
    return {
        "qwen": save_qwen(tmp_path_factory.mktemp("qwen"), tiny_vlm_path),
        "flux_kontext": save_kontext(tmp_path_factory.mktemp("kontext")),
    }


@pytest.fixture
def folder(saved: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the FLUX Kontext folder, to break."""
    return Path(shutil.copytree(saved["flux_kontext"], tmp_path / "flux"))


def lines(name: str, checkpoint: Path, *overrides: str) -> list[str]:
    config = run_config(f"editor={name}", f"editor.checkpoint={checkpoint}", *overrides)
    return list(editor_preflight.missing_editor(config.editor))


@pytest.mark.parametrize("name", ["qwen", "flux_kontext"])
def test_a_whole_folder_passes(name: str, saved: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(name, saved[name]) == []
    preflight.preflight(run_config(f"editor={name}", f"editor.checkpoint={saved[name]}"))


def test_every_kind_of_damage_is_named_with_its_file(folder: Path) -> None:
    transformer = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    whole = transformer.read_bytes()
    transformer.write_bytes(whole[:-100])
    (line,) = lines("flux_kontext", folder)
    assert str(transformer) in line and "cut short" in line and "make tiny" in line
    transformer.unlink()
    (line,) = lines("flux_kontext", folder)
    assert "transformer" in line and "no weights" in line
    transformer.write_bytes(whole)
    shutil.rmtree(folder / "tokenizer_2")
    (line,) = lines("flux_kontext", folder)
    assert "tokenizer_2" in line
    (folder / "model_index.json").unlink()
    (line,) = lines("flux_kontext", folder)
    assert "model_index.json" in line


def test_a_pipeline_of_another_class_is_refused(saved: dict[str, Path]) -> None:
    (line,) = lines("flux_kontext", saved["qwen"])
    assert "QwenImageEditPipeline" in line and "FluxKontextPipeline" in line
    (line,) = lines("qwen", saved["qwen"], "editor.pipeline=QwenImageEditPlusPipeline")
    assert "QwenImageEditPlusPipeline was expected" in line


def test_guidance_that_the_checkpoint_cannot_use_is_refused(folder: Path) -> None:
    (line,) = lines("flux_kontext", folder, "editor.guidance=2.5")
    assert "editor.guidance=null" in line
    config = folder / "transformer" / "config.json"
    config.write_text(config.read_text().replace('"guidance_embeds": false', '"guidance_embeds": true'))
    (line,) = lines("flux_kontext", folder)
    assert "editor.guidance=2.5" in line


@pytest.mark.parametrize(
    "override", ["editor.true_cfg=0.5", "editor.steps=0", "editor.batch_size=0", "editor.dtype=int8"]
)
def test_settings_that_cannot_work_are_refused_with_the_command_line(override: str) -> None:
    with pytest.raises(BadInput, match=override.partition(".")[2].partition("=")[0]):
        run_config("editor=qwen", override)


def test_true_guidance_needs_a_negative_prompt() -> None:
    with pytest.raises(BadInput, match="negative"):
        run_config("editor=qwen", "editor.true_cfg=4", "editor.negative_prompt=null")


def test_a_missing_lora_is_named(saved: dict[str, Path], tmp_path: Path) -> None:
    (line,) = lines("qwen", saved["qwen"], "editor.lora=someone/some-lora", "editor.lora_weight_name=a.safetensors")
    assert "hf download someone/some-lora a.safetensors" in line
    (line,) = lines("qwen", saved["qwen"], f"editor.lora={tmp_path}", "editor.lora_weight_name=b.safetensors")
    assert str(tmp_path / "b.safetensors") in line
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    (line,) = lines("qwen", saved["qwen"], f"editor.lora={tmp_path}", "editor.lora_weight_name=b.safetensors")
    assert "no whole safetensors file" in line


def test_the_paper_scale_names_everything_in_one_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(preflight, "gpu_memories", lambda: [24 * GIB])
    monkeypatch.setattr(preflight, "memory_bytes", lambda: 16 * GIB)
    monkeypatch.setattr(machine, "free_gpu_memories", lambda every: [23 * GIB])
    monkeypatch.setattr(machine, "free_memory", lambda: 12 * GIB)
    for name, repository in (
        ("qwen", "Qwen/Qwen-Image-Edit"),
        ("flux_kontext", "black-forest-labs/FLUX.1-Kontext-dev"),
    ):
        with pytest.raises(MissingFile) as caught:
            preflight.preflight(run_config("scale=paper", f"editor={name}", f"paths.assets={tmp_path}"))
        message = str(caught.value)
        for needle in (
            f"weights of the editor {name}: {repository} is no folder",
            f"hf download {repository}",
            "licence",
            "weights of the decomposer",
            f"GPU memory for editor={name}",
            "23 GiB are free",
            f"memory for editor={name}",
            "GPUs: 8",
        ):
            assert needle in message, needle


def memory_lines(gpus: list[float], ram: float, monkeypatch: pytest.MonkeyPatch, *overrides: str) -> list[str]:
    monkeypatch.setattr(
        machine, "free_gpu_memories", lambda every: [round(g * GIB) for g in (gpus if every else gpus[:1])]
    )
    monkeypatch.setattr(machine, "free_memory", lambda: round(ram * GIB))
    return list(editor_preflight.missing_editor_memory(run_config("scale=paper", "editor=qwen", *overrides)))


def test_memory_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """53.7 GiB of weights, 38.1 of them the transformer; two copies of a 15.4 GiB decomposer; 4 to 5 GiB per picture."""
    one = ("editor.batch_size=1",)
    assert memory_lines([79], 200, monkeypatch) == []  # one model at a time: 38.1 + 4, and 30.9 beside it
    assert memory_lines([72], 200, monkeypatch, *one) == [] and memory_lines([69], 200, monkeypatch, *one) != []
    (line,) = memory_lines([79], 200, monkeypatch, *one, "editor.offload=none")
    assert "weights 54" in line and "the decomposer beside it 31" in line and "editor.offload=model fits" in line
    assert memory_lines([139], 200, monkeypatch, *one, "editor.offload=none") == []
    assert (
        memory_lines([60], 0, monkeypatch, *one, "editor.offload=none", "sequencer=rules", "decomposer.parameters=0")
        == []
    )
    (line,) = memory_lines([79], 40, monkeypatch, *one)
    assert "main memory" in line and "54 GiB" in line
    spread = ("editor.offload=none", "editor.device_map=balanced")
    assert memory_lines([79, 79], 0, monkeypatch, *spread) == []
    assert memory_lines([79, 79], 0, monkeypatch, spread[0]) != []


def test_a_batch_that_does_not_fit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = memory_lines([79], 200, monkeypatch, "editor.batch_size=64")
    assert "editor.batch_size=1" in line


def test_without_a_gpu_memory_counts_and_offloading_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    result = memory_lines([], 64, monkeypatch)
    assert len(result) == 2 and "editor.offload=none" in result[0] and "64 GiB are free" in result[1]
    assert memory_lines([], 256, monkeypatch, "editor.offload=none") == []
    assert memory_lines([79], 256, monkeypatch, "editor.offload=none", "engine.device=cpu") == []  # not asked for


def test_small_editors_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(every: bool) -> list[int]:
        raise AssertionError("asked for a GPU")

    monkeypatch.setattr(machine, "free_gpu_memories", never)
    for name in ("sandbox", "qwen", "flux_kontext", "gpt_image"):
        assert list(editor_preflight.missing_editor_memory(run_config(f"editor={name}"))) == []


@pytest.mark.parametrize(("name", "key"), [("nano_banana", "GEMINI_API_KEY"), ("gpt_image", "OPENAI_API_KEY")])
def test_an_api_editor_needs_its_key(name: str, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = run_config(f"editor={name}").editor
    monkeypatch.delenv(key, raising=False)
    (line,) = editor_preflight.missing_editor(config)
    assert key in line and f"editor={name}" in line
    with pytest.raises(MissingFile, match=key):
        preflight.preflight(run_config(f"editor={name}"))
    monkeypatch.setenv(key, "abc")
    assert list(editor_preflight.missing_editor(config)) == []


def test_replies_need_room_on_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """3 arms x (200 samples and 50 complex ones), and up to 5 calls each in multi execution, of 2 MiB."""
    config = run_config("editor=gpt_image", "execution=multi", f"editor.api.cache={tmp_path / 'replies'}")
    monkeypatch.setattr(machine, "free_disk", lambda place: (tmp_path, 3750 * 2 * 2**20 - 1))
    (line,) = editor_preflight.missing_cache_room(config)
    assert "3750 pictures" in line and "editor.api.cache" in line
    monkeypatch.setattr(machine, "free_disk", lambda place: (tmp_path, 3750 * 2 * 2**20))
    assert list(editor_preflight.missing_cache_room(config)) == []
    assert list(editor_preflight.missing_cache_room(run_config("editor=sandbox"))) == []
