"""The RL bench: turns, the proof of equal work, counted FLOPs, logits alive at once, and the file it writes."""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from agents.backends.vlm import VLM, collate, load_vlm
from common.errors import BadInput, RunFailed
from experiments.benches.gpu.levers import levers
from experiments.benches.rl import __main__ as bench
from experiments.benches.rl import trl_env, trl_step
from experiments.benches.rl.cost import Curve, log_slope, plot
from experiments.benches.rl.flops import Rows, forward_flops, training_flops
from experiments.benches.rl.gpu import measure_gpu
from experiments.benches.rl.lockstep import Child, Times, in_turns, row
from experiments.benches.rl.models import tiny_random
from experiments.benches.rl.rollouts import compare_rollouts
from experiments.benches.rl.steps import distinct_share, same_numbers, same_work
from experiments.benches.rl.training import compare_training, random_answers
from experiments.benches.rl.vocabulary import VocabularyRows
from experiments.benches.rl.work import Shape, requests, samples, write_settings
from rl.policies.text import TextBatch, TextPolicy

DECOMPOSER = Path("assets/tiny/decomposer")
SMALL = Shape(prompts=2, group=2, answer_tokens=4, side=64)


def quiet(text: str) -> None:
    assert text


@pytest.fixture(scope="module")
def vlm() -> VLM:
    return load_vlm(DECOMPOSER)


# ------------------------------------------------------------------------------------------------------------- turns
def test_sides_take_turns_and_every_other_round_goes_backwards() -> None:
    asked: list[str] = []

    def side(name: str) -> float:
        asked.append(name)
        return float(len(asked))

    times = in_turns([lambda: side("a"), lambda: side("b")], 3)
    assert asked == ["a", "b", "b", "a", "a", "b"]
    assert times == [Times((1.0, 4.0, 5.0)), Times((2.0, 3.0, 6.0))]


def test_a_measure_is_a_rate_with_its_range() -> None:
    assert row(Times((2.0, 1.0, 4.0)), Times((4.0, 8.0, 5.0)), "steps/s", 10) == {
        "ours": 5.0, "peer": 2.0, "ratio": 2.5, "unit": "steps/s",
        "ours_range": [2.5, 10.0], "peer_range": [1.25, 2.5], "repeats": 3,
    }  # fmt: skip


CHILD = "from experiments.benches.rl.trl_step import Line; line = Line(); line.tell(versions={}); "


def test_a_child_does_a_step_when_it_is_asked_and_its_noise_goes_to_a_log(tmp_path: Path) -> None:
    code = CHILD + "n = 0\nwhile line.wait():\n    print('noise'); n += 1; line.done(n=n)"
    with Child("child", [sys.executable, "-c", code], tmp_path / "log", {}) as child:
        assert child.hear() == {"versions": {}}
        first, second = child.step(), child.step()
    assert (first["n"], second["n"]) == (1, 2) and first["seconds"] > 0
    assert child.process.returncode == 0 and "noise" in (tmp_path / "log").read_text()


def test_a_child_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    code = CHILD + "line.wait(); raise ValueError('no such setting')"
    with Child("TRL", [sys.executable, "-c", code], tmp_path / "log", {}) as child:
        child.hear()
        with pytest.raises(RunFailed, match="(?s)TRL: .*no such setting"):
            child.step()


# --------------------------------------------------------------------------------------------------------- equal work
def test_steps_with_different_work_are_not_compared() -> None:
    mine = {"completions": 4, "prompt_tokens": 100, "answer_tokens": 16, "skipped": 0.0}
    same_work([mine], [dict(mine)])
    with pytest.raises(RunFailed, match="step 2: prompt_tokens 100 here and 90 at TRL"):
        same_work([mine, mine], [dict(mine), mine | {"prompt_tokens": 90}])
    with pytest.raises(RunFailed, match="updated nothing"):
        same_work([mine | {"skipped": 1.0}], [mine])


def test_equal_beginnings_within_a_group_count_once() -> None:
    assert distinct_share([[1, 2, 3], [1, 2, 4], [1, 2, 3], [5, 6, 7]], 2) == (4 + 6) / 12


def test_random_weights_are_of_the_same_shape(vlm: VLM, tmp_path: Path) -> None:
    path = write_settings(SMALL, DECOMPOSER, tmp_path, "random")
    other = load_vlm(json.loads(path.read_text())["model"]).model.state_dict()
    mine = vlm.model.state_dict()
    assert {n: p.shape for n, p in other.items()} == {n: p.shape for n, p in mine.items()}
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(other[name], mine[name])


def test_the_other_side_imports_nothing_of_the_project() -> None:
    tree = ast.parse(Path(trl_step.__file__).read_text())
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {n.module or "." for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    ours = {p.name for p in Path().iterdir() if (p / "__init__.py").is_file()}
    assert "experiments" in ours and not {n.partition(".")[0] for n in names} & (ours | {"", "."})


def textbook(settings: dict, answers: list[list[int]]) -> dict:
    """Rewards, mean entropy and gradient norm of GRPO's first update, from whole logits without any sharing."""
    vlm = load_vlm(settings["model"])
    vlm.model.model.visual.requires_grad_(False)
    G = settings["group"]
    shape = replace(SMALL, prompts=settings["prompts"])
    prompts = [p for p in vlm.encode(requests(samples(shape, shape.prompts))) for _ in range(G)]
    rewards = [trl_step.reward(vlm.tokenizer.decode(a)) for a in answers]
    r = torch.tensor(rewards, dtype=torch.float64).view(-1, G)
    advantage = ((r - r.mean(1, keepdim=True)) / (r.std(1, keepdim=True) + 1e-4)).view(-1)
    loss, entropy, tokens = torch.tensor(0.0), 0.0, sum(map(len, answers))
    for prompt, answer, a in zip(prompts, answers, advantage, strict=True):
        batch = collate(vlm, [prompt], [answer])
        log_p = vlm.model(**batch).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        loss = loss - float(a) * log_p.gather(-1, torch.tensor(answer)[:, None]).sum() / tokens
        entropy += float(-(log_p.exp() * log_p).sum().detach()) / tokens
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in vlm.model.parameters() if p.grad is not None]).norm()
    return {"answers": answers, "rewards": rewards, "entropy": entropy, "grad_norm": float(norm)}


def test_the_proof_of_equal_numbers_agrees_with_a_textbook_and_sees_a_difference(vlm: VLM, tmp_path: Path) -> None:
    path = write_settings(SMALL, DECOMPOSER, tmp_path, frozen_vision=True)
    settings = json.loads(path.read_text())
    first = textbook(settings, random_answers(vlm, 4, 5))
    proof = same_numbers(settings, first)
    for both in proof.values():
        assert both["ours"] == pytest.approx(both["TRL"], rel=1e-4)
    with pytest.raises(RunFailed, match="gradient norm of TRL's first batch"):
        same_numbers(settings, first | {"grad_norm": first["grad_norm"] * 1.03})


def test_our_side_does_whole_steps_of_the_wanted_work(tmp_path: Path) -> None:
    more = {"threads": 1, "lr": 1e-6, "frozen_vision": True, "out": str(tmp_path / "run")}
    path = write_settings(SMALL, DECOMPOSER, tmp_path / "work", **more)
    command = [sys.executable, "-m", "experiments.benches.rl.our_step", str(path)]
    with Child("ours", command, tmp_path / "log", {"OMP_NUM_THREADS": "1"}) as child:
        assert "torch" in child.hear()["versions"]
        step = [child.step(), child.step()][1]
    texts = [json.loads(line) for line in (tmp_path / "work" / "rows.jsonl").read_text().splitlines()]
    assert len(texts) == 4 * SMALL.prompts
    assert (step["completions"], step["answer_tokens"]) == (4, 16)  # no answer ended early
    prompts = load_vlm(path.parent / "model").encode(requests(samples(SMALL, 8)))
    assert step["prompt_tokens"] == 2 * sum(map(len, prompts[2:4]))
    assert 0 < step["phases"]["step"] <= step["seconds"]


# -------------------------------------------------------------------------------------------------- what is counted
@pytest.mark.parametrize("shared", [True, False])
def test_counted_pairs_are_those_of_a_mask(shared: bool) -> None:
    rows = Rows(prompt=5, answer=4, group=3)
    pairs = tokens = 0
    for _ in range(1 if shared else 3):
        tokens += 5
        pairs += sum(i + 1 for i in range(5))
    for _ in range(3):
        tokens += 3
        pairs += sum(5 + i + 1 for i in range(3))
    assert (rows.tokens(shared), rows.pairs(shared), rows.targets) == (tokens, pairs, 12)


def test_forward_flops_are_those_that_torch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "rl.policies.text.use_onednn", lambda model: None
    )  # its products are unknown to torch's counter
    vlm = tiny_random(DECOMPOSER, 128, 64)
    prompt = vlm.encode(requests(samples(SMALL, 1)))[0]
    text, rows = vlm.model.config.get_text_config(), Rows(len(prompt), 9, 3)
    policy = TextPolicy(vlm, frozen_vision=True)
    answers = random_answers(vlm, 3, 9)
    policy(TextBatch([prompt] * 3, answers))  # the vision tower has passed
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        policy(TextBatch([prompt] * 3, answers))
    attention = 4 * 128 * text.num_hidden_layers * rows.pairs(True)  # not counted by torch on a CPU
    assert counter.get_total_flops() == forward_flops(text, rows, True) - attention
    assert training_flops(text, rows, False) == 3 * forward_flops(text, rows, False)


def test_logits_alive_at_once_are_a_few_chunks(vlm: VLM) -> None:
    text = vlm.model.config.get_text_config()
    prompt = vlm.encode(requests(samples(SMALL, 1)))[0]
    answers = random_answers(vlm, 4, 16)
    policy = TextPolicy(vlm, chunk_tokens=8, frozen_vision=True, keep_mib=0)
    with VocabularyRows(text.vocab_size, text.hidden_size) as chunked:
        policy(TextBatch([prompt] * 4, answers)).logp_BT.sum().backward()
    assert chunked.most == 8 and chunked.most_held <= 4 * 8 < 64
    with VocabularyRows(text.vocab_size, text.hidden_size) as whole:
        held = torch.zeros(64, text.vocab_size) + 1
        del held
        held = torch.ones(3, text.vocab_size) * 2
    assert (whole.most, whole.most_held) == (64, 128)  # zeros and their sum; then nothing of them is left
    del held


def test_slopes_and_their_picture(tmp_path: Path) -> None:
    assert log_slope([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    curves = [Curve(name, [1, 2, 4], [1, 1.5, 2]) for name in ("G", "tokens")]
    assert curves[0].slope == pytest.approx(0.5)
    assert plot(curves, tmp_path / "new" / "cost.png").read_bytes().startswith(b"\x89PNG")


# ------------------------------------------------------------------------------------------------------ the comparisons
def test_training_is_compared_with_equal_gradients(vlm: VLM) -> None:
    prompts = vlm.encode(requests(samples(SMALL, 2)))
    measure, details = compare_training(vlm, prompts, 4, 7, 1, quiet)
    assert details["apart"] <= 1e-5 * details["largest"] and details["tokens"] == round(sum(map(len, prompts)) / 14)
    assert measure["ours"] > 0 and measure["unit"] == "answer tokens/s"


def test_rollouts_of_different_length_are_not_compared(vlm: VLM) -> None:
    from agents.backends.hf import HFBackend

    backend, asked = HFBackend(vlm), requests(samples(SMALL, 2))
    measure = compare_rollouts(backend, backend, asked, 2, 6, 1, quiet)
    assert measure["unit"] == "tokens/s" and measure["peer"] > 0

    class Brief:
        sync = backend.sync

        def generate(self, requests, n, sampling):
            return backend.generate(requests, n, replace(sampling, max_new_tokens=2))

    with pytest.raises(RunFailed, match="not the same work"):
        compare_rollouts(backend, Brief(), asked, 2, 6, 1, quiet)


def test_the_gpu_part_runs_at_any_size() -> None:
    def small(checkpoint: Path, side: int, dtype: torch.dtype, device: str) -> VLM:
        return tiny_random(checkpoint, 128, side)

    measure, details = measure_gpu(
        DECOMPOSER, 1, quiet, "cpu", small, 64, 40, 4, 64, lambda *work: levers(*work, at_once=8, repeats=1)
    )
    trained = details["also"]
    assert trained.pop("liger-kernel") == "needs CUDA" and min(trained.values()) > 0
    assert set(trained) == {
        "as it is",
        "attention in two pieces (split)",
        "logits computed twice",
        "rows of few lengths",
    }
    assert set(details["phases_s"]) == {"train", "optimiser", "rollout", "sync"} and measure["ours"] > 0
    assert min(details["prompt_tokens"]) >= 40
    assert details["mfu"]["shared"] > 0 and 0 < details["tokens_per_s"]["step"] < details["tokens_per_s"]["train"]


# ------------------------------------------------------------------------------------------------------- the command
def test_it_writes_the_agreed_form_and_says_what_it_skips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench"
    out.mkdir()
    (out / "rl.json").write_text('{"step_vs_trl_g8": {"ours": 1, "peer": 1, "ratio": 1, "unit": "steps/s", '
                                 '"ours_range": [1, 1], "peer_range": [1, 1]}}')  # fmt: skip
    bench.main(["threads=1", "repeats=1", "prompts=1", "only=train,gpu", f"out={out}"])
    table = json.loads((out / "rl.json").read_text())
    assert set(table) == {"step_vs_trl_g8", "train_shared_vs_unshared_g8"}  # what was not asked for stays
    measure = table["train_shared_vs_unshared_g8"]
    assert measure["ratio"] == pytest.approx(measure["ours"] / measure["peer"], rel=0.05)
    details = json.loads((out / "rl_details.json").read_text())
    assert details["logits"]["held"] <= 4 * 64
    said = capsys.readouterr().out
    assert "gradients differ by at most" in said
    assert torch.cuda.is_available() or "skipped, no GPU here" in said


@pytest.mark.parametrize("word", ["speed=9", "repeats", "repeats=many", "threads=0", "only=lunch", "weights=light"])
def test_unknown_words_are_refused(word: str) -> None:
    with pytest.raises(BadInput):
        bench.main([word])


def test_a_section_that_fails_leaves_the_others_and_the_exit_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(self: bench.Bench) -> None:
        raise RunFailed("no such peer")

    monkeypatch.setattr(bench.Bench, "steps", fail)
    with pytest.raises(RunFailed, match="1 of 2 sections failed: steps"):
        bench.main(["threads=1", "only=steps,gpu", f"out={tmp_path}"])
    assert json.loads((tmp_path / "rl.json").read_text()) == {}
    assert "no such peer" in capsys.readouterr().err


def test_torch_comes_from_a_configured_folder_or_from_uvs_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert trl_env.find_links() == [str(tmp_path)]
    assert trl_env.torch_flags("2.13.0", [str(tmp_path)]) == ["--torch-backend=cpu"]
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl").touch()
    assert trl_env.torch_flags("2.13.0", [f"file://{tmp_path}"]) == []


def test_an_installation_that_fails_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    with pytest.raises(RunFailed, match="installing TRL"):
        trl_env.trl_python(tmp_path / "venv")
    assert not (tmp_path / "venv" / ".ready").exists()
