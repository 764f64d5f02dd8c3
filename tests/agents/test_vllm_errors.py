"""vLLM's own errors become one line with a way out, and a release that lacks what is used is refused by what it lacks."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from agents.backends import vllm_version
from agents.backends.lora import AdapterShape
from agents.backends.vllm_errors import generation_error, one_line, start_error
from agents.backends.vllm_settings import EngineSettings
from agents.backends.vllm_start import engine_arguments
from agents.backends.vllm_version import (
    ARGUMENTS,
    ENGINE,
    HELD,
    NAMES,
    SAMPLING,
    SLOT_ARGUMENTS,
    SLOT_ENGINE,
    SLOT_NAMES,
    TESTED,
    check_version,
    installed_release,
)
from common.errors import BadInput, MissingFile, RunFailed

SETTINGS = EngineSettings(
    "weights/7b", "bfloat16", "cuda", {"w": (2**30, 2), "b": (1,)}, {}, (), 1, 2, 10, max_tokens=8192, cache_gib=16
)
# what vLLM 0.32 says
TOO_LITTLE_CACHE = (
    "To serve at least one request with the model's max seq len (8192), (32.0 GiB KV cache is needed, which is larger than the "
    "available KV cache memory (16.0 GiB). Try increasing `gpu_memory_utilization`\nor decreasing `max_model_len`."
)
TOO_LONG = (
    "1 validation error for ModelConfig\n  Value error, User-specified max_model_len (8192) is greater than the derived "
    "max_model_len (max_position_embeddings=1024). [type=value_error, input_type=ArgsKwargs]\n    For further information"
)
NO_ROOM = "Free memory on device cuda:0 (2.1/79.2 GiB) on startup is less than desired GPU memory utilization (0.05, 4.0 GiB)."
CUMEM = "CuMem allocator can only be used for one instance per process."


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (ValueError(TOO_LITTLE_CACHE), BadInput, ("rollouts.cache_gib=16", "rollouts.max_tokens=8192", "raise the first")),
        (ValueError(TOO_LONG), BadInput, ("rollouts.max_tokens=8192", "weights/7b", "lower it")),
        (ValueError(NO_ROOM), RunFailed, ("4.00 GiB of weights", "rollouts.cache_gib=16", "end other programs")),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), RunFailed, ("no room on the cuda", "batch_size")),
        (AssertionError(CUMEM), RunFailed, ("rollouts.sleep=false", "rollouts.process=separate")),
        (AssertionError(), RunFailed, ("did not start: AssertionError",)),
        (KeyError("q_proj"), RunFailed, ("KeyError: 'q_proj'",)),
    ],
)  # fmt: skip
def test_what_kept_an_engine_from_starting_is_one_line_with_a_way_out(
    error: Exception, kind: type[Exception], words: tuple[str, ...]
) -> None:
    ours = start_error(error, SETTINGS)
    assert type(ours) is kind and "\n" not in str(ours) and all(word in str(ours) for word in words), ours


def test_an_engine_that_dies_says_how_to_go_on() -> None:
    class EngineDeadError(Exception):
        """vLLM's kind, by its name."""

    assert "goes on from the last checkpoint" in str(
        generation_error(EngineDeadError("EngineCore encountered an issue."))
    )
    assert "lower rollouts.batch_size" in str(generation_error(torch.OutOfMemoryError("CUDA out of memory.")))
    assert "IndexError: 3" in str(generation_error(IndexError(3)))


def test_long_words_are_cut() -> None:
    assert len(one_line(ValueError("a b\n" * 1000))) < 450 and one_line(AssertionError()) == "AssertionError"


class Takes:
    def __init__(self, *words: str) -> None:
        self.__dataclass_fields__ = dict.fromkeys(words)


def release(monkeypatch: pytest.MonkeyPatch, version: str, without: str = "") -> None:
    """A stand-in for a release of vLLM that has what is used of it, but for one name."""

    def sampling(n, temperature, top_p, top_k, seed, max_tokens, stop_token_ids, logprobs, detokenize, output_kind): ...  # type: ignore[no-untyped-def]

    fake = ModuleType("vllm")
    parts = {
        "__version__": version,
        "LLMEngine": SimpleNamespace(**{name: None for name in (*ENGINE, *SLOT_ENGINE) if name != without}),
        "EngineArgs": Takes(*(name for name in (*ARGUMENTS, *SLOT_ARGUMENTS) if name != without)),
        "SamplingParams": sampling,
    }
    for name, value in parts.items():
        setattr(fake, name, value)
    every = {**NAMES, **SLOT_NAMES}
    modules = {module: SimpleNamespace(**{n: None for n in names if n != without}) for module, names in every.items()}
    monkeypatch.setitem(__import__("sys").modules, "vllm", fake)
    monkeypatch.setattr(vllm_version, "import_module", lambda name: modules[name])
    vllm_version._note.cache_clear()


@pytest.mark.parametrize(
    ("without", "named"),
    [
        ("reset_encoder_cache", "LLMEngine.reset_encoder_cache"),
        ("logprobs_mode", r"EngineArgs\(logprobs_mode=\)"),
        ("PlaceholderRange", "vllm.multimodal.inputs.PlaceholderRange"),
    ],
)
def test_a_release_that_lacks_what_is_used_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, without: str, named: str
) -> None:
    release(monkeypatch, "0.26.0", without)
    with pytest.raises(MissingFile, match=rf"vLLM 0\.26\.0 does not have .*{named}.*make extra-vllm"):
        check_version()


def test_a_release_that_was_never_tried_is_taken_with_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for tried in TESTED:
        release(monkeypatch, f"{tried}.1")
        assert check_version() == f"{tried}.1" and not caplog.text
    release(monkeypatch, "0.99.0")
    assert check_version() == check_version() == "0.99.0"
    assert caplog.text.count("0.99.0 was never tried") == 1


def test_a_release_without_slots_for_adapters_serves_merged_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    release(monkeypatch, "0.32.0", "add_lora")
    assert check_version() == "0.32.0"
    with pytest.raises(MissingFile, match=r"lacks LLMEngine\.add_lora; take rollouts\.adapters=merged"):
        check_version(slot=True)


def test_the_release_is_known_without_importing_it() -> None:
    if importlib.util.find_spec("vllm") is None:
        assert installed_release() is None
    else:
        assert installed_release() >= (0, 26)  # type: ignore[operator]


def test_every_name_that_is_used_of_vllm_is_checked_at_the_start() -> None:
    """The code's own imports, calls and settings against the lists that releases are held to."""
    imported, asked, sampled = set[str](), set[str](), set[str]()
    for path in Path(vllm_version.__file__).parent.glob("vllm*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "vllm":
                imported |= {f"{node.module}.{name.name}" for name in node.names}
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("self._engine", "engine"):
                asked.add(node.attr)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "SamplingParams":
                sampled |= {word.arg for word in node.keywords if word.arg}
    core = {"vllm.EngineArgs", "vllm.LLMEngine", "vllm.SamplingParams"}  # whose own names are checked
    names = {**NAMES, **SLOT_NAMES}
    assert imported <= core | {f"{module}.{name}" for module, listed in names.items() for name in listed}
    ours = {
        "generate",
        "sync",
        "token_scores",
        "settings",
        "ready",
        "usable",
        "closed",
        "close",
        "weights",
        "drop_adapters",
    }
    assert asked - ours <= {*ENGINE, *SLOT_ENGINE, *HELD}
    assert sampled <= {*SAMPLING, "logprob_token_ids"}  # the last is looked for when it is needed
    for device in ("cpu", "cuda"):
        settings = replace(SETTINGS, device=device, adapters=AdapterShape(4, 8))
        assert engine_arguments(settings, Takes()).keys() | {"logits_processors"} <= {*ARGUMENTS, *SLOT_ARGUMENTS}
