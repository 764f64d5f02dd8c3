"""Rare damage is said in the user's terms: weights that are no numbers, a torn end of a journal, a full disk, an early Ctrl-C."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from agents.backends.vlm import load_vlm
from common.atomic import why_refused
from common.errors import BadData
from common.jsonl import Journal, read_jsonl
from common.places import ROOT
from common.weights import check_finite

TINY = ROOT / "assets/tiny/decomposer"


def test_weights_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    folder = shutil.copytree(TINY, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    name = next(n for n in weights if n.endswith("layers.1.mlp.up_proj.weight"))
    weights[name][3, 5] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadData, match=r"layers\.1\.mlp\.up_proj\.weight hold values that are no finite numbers"):
        load_vlm(folder)
    layer = torch.nn.Linear(3, 2)
    check_finite(layer, "here")
    with torch.no_grad():
        layer.bias[0] = float("inf")
    with pytest.raises(BadData, match="here: the weights bias"):
        check_finite(layer, "here")


@pytest.mark.parametrize("tail", ["\x00\x00\x00", '{"step": 4, "re', "\x00\x00\n\x00\x00\n", '\ufffd\ufffd{"a"\n\n'])
def test_a_damaged_end_of_a_journal_goes(tail: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl")
    journal.append({"step": k} for k in (1, 2, 3))
    with journal.path.open("a") as file:
        file.write(tail)
    assert [r["step"] for r in read_jsonl(journal.path)] == [1, 2, 3]
    journal.cut_after(2)
    journal.append([{"step": 3}])
    assert journal.path.read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


def test_damage_before_whole_rows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n\x00\x00\n{"step": 3}\n')
    with pytest.raises(BadData, match="line 2"):
        read_jsonl(path)


def test_a_full_disk_is_said_in_the_systems_words() -> None:
    full = OSError(28, os.strerror(28))
    wrapped = RuntimeError("[enforce fail at inline_container.cc:668] . unexpected pos 64 vs 0")
    wrapped.__context__ = full
    assert why_refused(full) == why_refused(wrapped) == "No space left on device"
    assert why_refused(
        ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
    ) == os.strerror(28)
    alone = why_refused(
        RuntimeError("[enforce fail at inline_container.cc:668] . PytorchStreamWriter failed writing file")
    )
    assert alone == "the file could not be written to its end (is the disk full?)"


def test_an_interrupt_during_the_imports_leaves_no_traceback() -> None:
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it
        "import experiments, os, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode in (130, -signal.SIGINT) and done.stderr == "\nstopped\n"
