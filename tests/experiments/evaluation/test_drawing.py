"""Answers drawn for pass@k: rows that say which are exact, made once, the same however the work is cut up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agents.backends.base import Completion, ModelRequest, Sampling
from agents.decomposer import Decomposer
from agents.plan import write_decomposition
from benchmarks.base import Decomposition
from common.errors import BadInput
from common.jsonl import read_jsonl
from experiments.build.benchmarks import BenchmarkTools, SandboxBenchmark, open_benchmark
from experiments.evaluation.decomposing import missing_blocks
from experiments.evaluation.drawing import block_seed, draw
from experiments.evaluation.layout import Layout
from experiments.evaluation.rows import read_rows
from experiments.evaluation.shares import Share
from experiments.preflight.limits import check_limits
from experiments.runs.cli import compose, typed

UNITS, CHUNK, N = 5, 2, 4
BENCHMARK = open_benchmark(SandboxBenchmark(), BenchmarkTools(64, UNITS, 0))
KEYS = [(u, 0) for u in range(UNITS)]
GOLD = {BENCHMARK.unit(u)[0].request: BENCHMARK.unit(u)[0].gold for u in range(UNITS)}


@dataclass
class Knowing:
    """A backend that answers a request rightly where its draw, made of seed, place and number, is even."""

    seen: list[tuple[int, Sampling]] = field(default_factory=list)

    def generate(self, requests: list[ModelRequest], n: int, sampling: Sampling) -> list[list[Completion]]:
        self.seen.append((n, sampling))
        return [[self._answer(r.text, sampling.seed + i + j) for j in range(n)] for i, r in enumerate(requests)]

    def _answer(self, request: str, drawn: int) -> Completion:
        text = f"{drawn}" if drawn % 2 else write_decomposition(Decomposition.of(GOLD[request]))
        return Completion((), (), text, "stop")


def work(out: Path, share: Share, backend: Knowing) -> Layout:
    layout = Layout(out, "sandbox")
    blocks = missing_blocks(layout.drawn("before"), KEYS, share, CHUNK)
    decomposer = Decomposer(backend, "{request}", Sampling(8, 0.0, top_k=3))  # type: ignore[arg-type]
    if blocks:
        draw(layout, "before", BENCHMARK, decomposer, blocks, share, N, 7, lambda done: None)
    return layout


def test_every_item_has_its_answers_and_which_of_them_are_exact(tmp_path: Path) -> None:
    backend = Knowing()
    rows = read_rows(work(tmp_path, Share(), backend).drawn("before"))
    assert list(rows) == KEYS
    for row in rows.values():
        assert len(row["texts"]) == N and row["exact"] == [float(not text.isdigit()) for text in row["texts"]]
        assert sum(row["exact"]) == 2
    for n, sampling in backend.seen:  # from the whole distribution, whatever the decomposer is evaluated with
        assert n == N and sampling.untruncated and sampling.temperature == 1.0 and sampling.max_new_tokens == 8


def test_what_is_there_is_not_drawn_again_and_a_torn_block_is_drawn_as_a_whole(tmp_path: Path) -> None:
    layout = work(tmp_path, Share(), Knowing())
    again = Knowing()
    work(tmp_path, Share(), again)
    assert again.seen == []
    path = layout.drawn("before") / "0-of-1.jsonl"
    whole = path.read_text().splitlines(keepends=True)
    before = read_rows(layout.drawn("before"))
    path.write_text("".join(whole[:1] + whole[2:4]) + whole[4][:20])  # a kill in the writing: items 1 and 4 are lost
    work(tmp_path, Share(), again)
    assert read_rows(layout.drawn("before")) == before
    assert len(again.seen) == 2 and len(read_jsonl(path)) == 3 + 2 + 1


def test_shards_draw_what_one_process_draws(tmp_path: Path) -> None:
    one = read_rows(work(tmp_path / "one", Share(), Knowing()).drawn("before"))
    for shard in (0, 1):
        layout = work(tmp_path / "two", Share(shard, 2), Knowing())
    assert read_rows(layout.drawn("before")) == one


def test_blocks_have_other_draws_and_other_seeds_too() -> None:
    seeds = {block_seed(seed, (unit, 0)) for seed in (0, 1) for unit in range(0, 200, 25)}
    assert len(seeds) == 16 and all(0 <= s < 2**31 for s in seeds)


def test_fewer_answers_than_k_are_refused_before_anything_starts() -> None:
    with pytest.raises(BadInput, match="scale.pass_samples=4: pass@8"):
        check_limits(typed(compose("run", ["scale.pass_samples=4"])))
    check_limits(typed(compose("run", ["scale.pass_samples=4", "scale.pass_at=0"])))
    check_limits(typed(compose("run", ["scale.pass_samples=16"])))
