"""Evaluation items never come through: by id, by text, by nearness, whatever they are read from."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.avoid import Avoided, drop, drop_near_held_out, load_avoided, prompts
from benchmarks.carried import compared_texts, read_mice
from benchmarks.labels import TrainingRequest
from benchmarks.mice import MiceText
from benchmarks.mice_records import ENV
from benchmarks.near import jaccard
from benchmarks.options import BenchmarkOptions
from common.errors import BadData, MissingFile
from tests.published import write_requests

WORDS = ["remove", "the", "dog", "dogs", "cat", "add", "a", "red", "hat", "please", "把"]
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)


def candidate(id_: str, request: str, history: tuple[str, ...] = (), source: str = "psr") -> TrainingRequest:
    return TrainingRequest(f"{source}-{id_}", request, source, "x", history, own_id=id_)


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXT, max_size=10), st.lists(TEXT, max_size=10), st.sampled_from([0.4, 0.6, 0.7, 0.9]), st.randoms())
def test_no_evaluation_text_survives_and_nothing_else_goes(
    requests: list[str], evaluated: list[str], threshold: float, rng: random.Random
) -> None:
    candidates = [candidate(str(i), r) for i, r in enumerate(requests)]
    kept, dropped = drop(candidates, [Avoided("e", tuple(evaluated), frozenset())], threshold)
    near = {c.id for c in candidates if any(jaccard(c.request, e) >= threshold for e in evaluated)}
    assert {d.id for d in dropped} == near and {c.id for c in kept} == {c.id for c in candidates} - near
    for d in dropped:
        assert d.near_to in evaluated and d.similarity == pytest.approx(jaccard(d.request, d.near_to), abs=1e-4)
    shuffled, texts = candidates[:], evaluated[:]
    rng.shuffle(shuffled), rng.shuffle(texts)
    again, _ = drop(shuffled, [Avoided("e", tuple(texts), frozenset())], threshold)
    assert {c.id for c in again} == {c.id for c in kept}


def test_a_later_turn_is_compared_whole_and_alone() -> None:
    turn = candidate("1", "make the roof green", ("add a small house by the lake",))
    for text in ("Make the roof green!", "add a small house by the lake make the roof green"):
        assert drop([turn], [Avoided("e", (text,), frozenset())], 0.9)[0] == []
    # an evaluated session that ends with the same words is another prompt
    assert drop([turn], [Avoided("e", ("draw three cats make the roof green",), frozenset())], 0.9)[0] == [turn]


def test_ids_are_compared_within_one_source_and_those_of_files_with_all() -> None:
    one, two = candidate("abc", "add a hat"), candidate("abc", "remove the dog", source="requests")
    kept, dropped = drop([one, two], [Avoided("psr", (), frozenset({"psr-abc"}))], 0.7)
    assert kept == [two] and (dropped[0].by, dropped[0].near_to, dropped[0].of) == ("id", "psr-abc", "psr")
    assert drop([one, two], [Avoided("f.csv", (), frozenset({"abc"}), True)], 0.7)[0] == []
    assert drop([one, two], [Avoided("realedit", (), frozenset({"abc"}))], 0.7)[0] == [one, two]


def test_training_requests_near_to_the_sets_own_held_out_ones_go() -> None:
    some = [candidate(str(i), f"paint wall number {i} green") for i in range(60)]
    held = {c.id for c in some if c.part != "train"}
    assert held and len(held) < 60
    kept, dropped = drop_near_held_out(some, 0.6)
    assert held <= {c.id for c in kept} and dropped
    for c in kept:
        if c.part == "train":
            assert all(jaccard(c.request, h.request) < 0.6 for h in some if h.part != "train")


def test_files(tmp_path: Path) -> None:
    csv = tmp_path / "held.csv"
    csv.write_text("id,instruction,simplified_instruction\nq1,Take him out,remove man\n7,Add a hat,\n")
    result = load_avoided(str(csv))
    assert result.texts == ("Add a hat", "Take him out", "remove man") and result.anywhere
    assert result.ids == {"q1"}  # 7 only counts rows
    jsonl = tmp_path / "turns.jsonl"
    jsonl.write_text(json.dumps({"instruction": ["Add a hat", "Make it red"], "post_id": "xy"}) + "\n")
    assert load_avoided(str(jsonl)).texts == ("Add a hat", "Add a hat Make it red")
    (tmp_path / "a.txt").write_text("one\n\n two \n")
    assert load_avoided(str(tmp_path / "a.txt")).texts == ("one", "two")
    (tmp_path / "bad.csv").write_text("number\n3\n")
    with pytest.raises(BadData, match="bad.csv:2: no column of requests"):
        load_avoided(str(tmp_path / "bad.csv"))
    with pytest.raises(MissingFile, match="nowhere.csv.*psr"):
        load_avoided(str(tmp_path / "nowhere.csv"))


def mice_file(file: Path, *sessions: list[str]) -> None:
    rows = [
        {
            "instruction": turns,
            "task_type": ["subject_remove"] * len(turns),
            "formatted_instruction": [f"Remove [{t}]" for t in turns],
        }
        for turns in sessions
    ]
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))


def test_all_of_a_published_test_file_is_kept_away_from(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    mice_file(data / "cu_test.jsonl", *([f"Drop the big number {i}", "And it"] for i in range(20)))
    alone = load_avoided(f"mice:{data}")
    assert len(alone.texts) == 40 and len(alone.ids) == 40  # though by their hash most would be for training
    mice_file(data / "cu_train.jsonl", *([f"Carve object {i} out", "And it"] for i in range(50)))
    read = read_mice(BenchmarkOptions(path=str(data)))
    assert all("number" not in c.request and "number" not in " ".join(c.history) for c in read.candidates)
    assert len(read.evaluated) == 40 and read.left_out["turn of a published test session"] == 40


def test_a_lasting_rule_makes_no_two_sessions_alike() -> None:
    rule = "From now on every object that is touched must be made of polished oak wood. With this rule active, "
    one, two = prompts([rule + "Add a cup", "Remove the cat"]), prompts([rule + "Change the background to a beach"])
    assert one == ["Add a cup", "Add a cup Remove the cat"] and two == ["Change the background to a beach"]


def test_a_later_turn_of_an_evaluated_session_is_kept_away_from_by_itself_too(tmp_path: Path) -> None:
    rows = [
        {"id": f"t{k}", "image": "a.png", "instruction": said, "session": "s", "turn": k}
        for k, said in enumerate(["Add a wooden bench", "Cover the pond with pink lilies"])
    ]
    result = load_avoided(f"folder:{write_requests(tmp_path / 'held', rows)}")
    leak, other = candidate("a", "cover the pond with pink lilies!"), candidate("b", "give him a haircut")
    kept, (dropped,) = drop([leak, other], [result], 0.7)
    assert kept == [other] and dropped.id == leak.id


@pytest.mark.skipif(not os.environ.get(ENV), reason=f"{ENV} is not set")
def test_real_sessions() -> None:
    read = read_mice(BenchmarkOptions())
    assert len(read.candidates) > 7000 and len({c.id for c in read.candidates}) == len(read.candidates)
    kept, dropped = drop(read.candidates, [load_avoided("mice")], 0.7)
    tested = MiceText(split="test")
    assert not {c.own_id for c in kept} & {s.id for s in tested}
    assert not {t for c in kept for t in c.texts} & {compared_texts(s)[0] for s in tested}
    rng = random.Random(0)
    texts = [compared_texts(s)[0] for s in tested]
    for c in rng.sample(kept, 40):  # every pair would take minutes
        assert max(jaccard(c.texts[0], t) for t in texts) < 0.7
    own, near = drop_near_held_out(read.candidates, 0.7)
    assert 0 < len(near) < 0.05 * len(read.candidates)
    assert len(own) + len(near) == len(read.candidates)
