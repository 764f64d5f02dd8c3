"""Sharing rows between samples that are still alike changes how much is computed, never what."""

from hypothesis import given
from hypothesis import strategies as st

from agents.backends.base import ModelRequest, Sampling
from agents.backends.decode import Decoder, split_rows
from agents.backends.hf import HFBackend
from agents.backends.vlm import VLM
from tests.tiny_models import both_families

DRAWS = st.integers(1, 6).flatmap(
    lambda rows: st.lists(st.tuples(st.integers(0, rows - 1), st.integers(0, 3)), min_size=1, max_size=12)
)


@given(DRAWS)
def test_samples_share_a_row_exactly_when_they_shared_one_and_drew_alike(draws: list[tuple[int, int]]) -> None:
    rows, tokens, source, target = split_rows([r for r, _ in draws], [t for _, t in draws])
    assert len(tokens) == len(set(draws)) and set(rows) == set(range(len(tokens)))  # no holes
    came_from = {row: row for row in range(len(tokens))} | dict(zip(target, source, strict=True))
    for (old, token), row in zip(draws, rows, strict=True):
        assert tokens[row] == token and came_from[row] == old
    assert not set(source) & set(target)  # the order of the copies cannot matter


@both_families
def test_only_distinct_beginnings_are_decoded(tiny_vlm: VLM, monkeypatch) -> None:
    steps: list[int] = []
    step = Decoder.step
    monkeypatch.setattr(Decoder, "step", lambda self, ids, prompt: steps.append(len(ids)) or step(self, ids, prompt))
    requests = [ModelRequest("add a hat"), ModelRequest("a longer request")]
    for temperature, n in ((1.0, 5), (0.0, 5), (0.3, 3)):
        steps.clear()
        answers = HFBackend(tiny_vlm).generate(requests, n, Sampling(10, temperature, seed=2))
        for t, rows in enumerate(steps, 1):
            assert rows == sum(len({c.token_ids[:t] for c in row if len(c.token_ids) > t}) for row in answers)
        if temperature == 0:
            assert set(steps) == {2} and all(len(set(row)) == 1 for row in answers)


def test_a_prompts_samples_do_not_depend_on_how_many_there_are(tiny_vlm: VLM) -> None:
    """The draws are laid out by (prompt, sample, position), so one prompt with more samples repeats the first ones."""
    backend, request = HFBackend(tiny_vlm), [ModelRequest("add a hat")]
    few, many = (backend.generate(request, n, Sampling(6, seed=4))[0] for n in (3, 9))
    assert [c.token_ids for c in few] == [c.token_ids for c in many[:3]]
